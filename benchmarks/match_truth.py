"""Made-up companies and persons whose duplicates are known, and corruptions of our own.

Nothing here shares code or seeds with what matching takes names apart by, and some trades are such as it does not know.
The slips are those of the field. Any resemblance to a real company or person is chance.
"""

# ruff: noqa: PLR2004 - the shares of made-up slips

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

Row = dict[str, str | None]

_BRAND_SIGNS = (
    "恒泰华盛宏远鑫源瑞丰嘉和润达通宇博雅诚信安康永昌隆兴旺德正大中天海洋龙凤金银星光明辉煌利民惠佳美乐福"
    "祥顺发展鹏程万里东方西北南新锐创智联合众力强劲飞跃腾云智慧思源卓越凯旋奥迪斯曼尔特科伦百千亿佰仟元亨"
    "贞晟晨曦昊天翔宇铭泽霖沐森林木水清泉溪江河湖湾港澳岛山峰岭峻岩石磊玉珍珠宝贝琳琅珂玮琪瑜瑾瑶璟琦蓝青"
    "绿红紫橙白雪冰霜雨露雷电风火土地春夏秋冬梅兰竹菊松柏桐枫桦槐榕樟楠杉柳杨"
)
_CITIES = {
    "浙江": ("杭州", "宁波", "温州", "嘉兴", "绍兴", "金华", "台州"),
    "江苏": ("南京", "苏州", "无锡", "常州", "南通", "徐州", "扬州"),
    "广东": ("广州", "深圳", "东莞", "佛山", "珠海", "中山", "惠州"),
    "山东": ("济南", "青岛", "烟台", "潍坊", "临沂", "淄博"),
    "四川": ("成都", "绵阳", "德阳", "宜宾"),
    "湖北": ("武汉", "宜昌", "襄阳"),
    "福建": ("福州", "厦门", "泉州"),
    "上海": ("上海",),
    "北京": ("北京",),
    "天津": ("天津",),
    "重庆": ("重庆",),
}
_AREA = {"上海": "21", "北京": "10", "天津": "22", "重庆": "23", "广州": "20", "南京": "25", "武汉": "27", "成都": "28"}
_TRADES_LIST = """
机械设备 精密机械 电子科技 信息技术 网络科技 化工 新材料 汽车零部件 食品 生物科技 医疗器械 建筑材料
装饰工程 纺织 服饰 包装材料 塑料制品 五金制品 自动化设备 仪器仪表 环保科技 新能源 电气 照明 物流
国际贸易 商贸 进出口 实业 工程技术 智能装备 模具 制冷设备 传动设备 压缩机 流体控制 软件开发 文化传媒
企业管理咨询 教育科技 液压件 密封件 真空技术 起重机械 滤清器 粉体技术 烘焙食品 晶体材料
"""
_TRADES = _TRADES_LIST.split()
_ROADS_LIST = """
人民 解放 中山 建设 和平 新华 长江 黄河 文化 科技 工业 创业 滨海 学院 体育 迎宾 振兴 光明 朝阳
友谊 青年 胜利 团结 幸福 东风 开发
"""
_ROADS = _ROADS_LIST.split()
_SIMPLIFIED = "华东电机国际贸易设备发展实业兴龙凤银辉创联达远丰运环药汽车门万双"
_TRADITIONAL = dict(zip(_SIMPLIFIED, "華東電機國際貿易設備發展實業興龍鳳銀輝創聯達遠豐運環藥汽車門萬雙", strict=True))
_SOUNDS_LIST = """
恒衡横 泰太钛 华桦铧 盛晟圣 宏弘鸿 远源元 鑫新欣 瑞锐睿 丰峰锋 嘉佳家 达大 通同 博勃 诚成程 信芯
金锦晋 明铭 海嗨 凯铠 科柯
"""
_SOUNDS = _SOUNDS_LIST.split()
_USCC_SIGNS = "0123456789ABCDEFGHJKLMNPQRTUWXY"


@dataclass(frozen=True)
class Truth:
    """Rows in an order that tells nothing, and which record each is of."""

    rows: list[Row]
    record: list[int]


@dataclass(frozen=True)
class _Company:
    province: str
    city: str
    brand: str
    trade: str
    form: str
    uscc: str
    phones: tuple[str, ...]
    road: str
    door: int
    site: str | None


def companies(records: int, seed: int, doubled: float = 0.2) -> Truth:
    """Companies, a share of which have one to three doubles; some belong together by brand, phone or building only."""
    rng = random.Random(seed)  # noqa: S311 - made-up data
    made = _make_companies(records, rng)
    rows = []
    for number, company in enumerate(made):
        copies = 1 + (rng.choices((1, 2, 3), (80, 15, 5))[0] if rng.random() < doubled else 0)
        rows += [(number, _company_row(company, rng, clean=copy == 0)) for copy in range(copies)]
    rng.shuffle(rows)
    return Truth([row for _, row in rows], [number for number, _ in rows])


def _make_companies(records: int, rng: random.Random) -> list[_Company]:
    made: list[_Company] = []
    while len(made) < records:
        company = _new_company(rng)
        made.append(company)
        kin = rng.random()
        if kin < 0.03:  # a sister of the same group: another city and trade, the head office's phone
            made.append(_sister(company, rng, phones=company.phones[:1]))
        elif kin < 0.05:  # the same brand, by chance or not, in the same city
            made.append(_sister(company, rng, city=company.city, province=company.province))
        elif kin < 0.07:  # next door: one building, one switchboard
            made.append(_neighbour(company, rng))
    return made[:records]


def _new_company(rng: random.Random) -> _Company:
    province = rng.choice(list(_CITIES))
    city = rng.choice(_CITIES[province])
    brand = "".join(rng.choices(_BRAND_SIGNS, k=rng.choices((2, 3, 4), (60, 30, 10))[0]))
    return _Company(
        province,
        city,
        brand,
        rng.choice(_TRADES),
        rng.choices(("有限公司", "有限责任公司", "股份有限公司", "厂"), (70, 18, 8, 4))[0],
        "91" + "".join(rng.choices("0123456789", k=6)) + "".join(rng.choices(_USCC_SIGNS, k=10)),
        tuple(_phone(city, rng) for _ in range(rng.choice((1, 1, 2)))),
        rng.choice(_ROADS) + rng.choice(("路", "大道", "街", "北路", "南路", "东路", "西路")),
        rng.randint(1, 1999),
        _site(rng) if rng.random() < 0.4 else None,
    )


def _site(rng: random.Random) -> str:
    name = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(4, 9)))
    return f"www.{name}.{rng.choice(('com', 'cn', 'com.cn'))}"


def _sister(of: _Company, rng: random.Random, **same: object) -> _Company:
    other = _new_company(rng)
    values = {**other.__dict__, "brand": of.brand, **same}
    if values["trade"] == of.trade and values["city"] == of.city:
        values["trade"] = _TRADES[(_TRADES.index(of.trade) + 1) % len(_TRADES)]
    return _Company(**values)


def _neighbour(of: _Company, rng: random.Random) -> _Company:
    other = _new_company(rng)
    same = {name: getattr(of, name) for name in ("province", "city", "road", "door", "phones")}
    return _Company(**{**other.__dict__, **same})


def _phone(city: str, rng: random.Random) -> str:
    if rng.random() < 0.45:
        return "+861" + rng.choice("3578") + "".join(rng.choices("0123456789", k=9))
    area = _AREA.get(city) or str(310 + sum(map(ord, city)) % 680)
    return f"+86{area}" + rng.choice("2345678") + "".join(rng.choices("0123456789", k=7))


def _company_row(company: _Company, rng: random.Random, *, clean: bool) -> Row:
    name = f"{company.city}{'市' if rng.random() < 0.3 else ''}{company.brand}{company.trade}{company.form}"
    street = f"{company.road}{company.door}号"
    row: Row = {
        "name": name,
        "uscc": company.uscc if rng.random() < 0.55 else None,
        "phone": rng.choice(company.phones) if rng.random() < 0.85 else None,
        "address": f"{_province(company)}{company.city}市{street}" if rng.random() < 0.85 else None,
        "website": company.site if rng.random() < 0.8 else None,
    }
    if clean:
        return row
    row["name"] = _slipped_name(company, name, rng)
    if row["phone"] and rng.random() < 0.10:
        row["phone"] = rng.choice((_wrong_digit(row["phone"], rng), _phone(company.city, rng)))
    if row["address"] and rng.random() < 0.5:
        row["address"] = rng.choice(
            (
                street,
                f"{company.city}{street}",
                f"{company.city}市{street}{rng.randint(1, 20)}楼",
                f"{street}{rng.randint(1, 9)}幢",
            )
        )
    elif row["address"] and rng.random() < 0.08:
        row["address"] = f"{company.city}市{rng.choice(_ROADS)}路{rng.randint(1, 1999)}号"  # they moved
    if row["uscc"] and rng.random() < 0.04:
        row["uscc"] = None
    if not (row["uscc"] or row["phone"] or row["address"]):
        row["phone"] = company.phones[0]
    return row


def _province(company: _Company) -> str:
    return "" if company.province == company.city else f"{company.province}省"


def _slipped_name(company: _Company, name: str, rng: random.Random) -> str:
    slips: tuple[tuple[float, Callable[[], str]], ...] = (
        (22, lambda: name),
        (
            12,
            lambda: company.city + company.brand + company.trade + _other_form(company.form),
        ),
        (10, lambda: f"{company.brand}{company.trade}{company.form}"),
        (8, lambda: f"{company.brand}（{company.city}）{company.trade}{company.form}"),
        (8, lambda: f"{company.brand}{company.trade}"),
        (6, lambda: f"{company.city}{company.brand}"),
        (6, lambda: f"{company.province}{company.city}{company.brand}{company.trade}{company.form}"),
        (8, lambda: "".join(_TRADITIONAL.get(sign, sign) for sign in name)),
        (7, lambda: name.replace(company.brand, _mistyped(company.brand, rng))),
        (5, lambda: name.replace(company.brand, _missounded(company.brand))),
        (3, lambda: f"{name}（{rng.choice(('老客户', '停用', '新', '2021年'))}）"),
        (3, lambda: name.replace(company.trade, company.trade[: max(2, len(company.trade) // 2)])),
        (2, lambda: company.brand),
    )
    return rng.choices([slip for _, slip in slips], [share for share, _ in slips])[0]()


def _other_form(form: str) -> str:
    return "有限责任公司" if form == "有限公司" else form


def _mistyped(brand: str, rng: random.Random) -> str:
    place = rng.randrange(len(brand))
    if len(brand) > 2 and rng.random() < 0.3:
        return brand[:place] + brand[place + 1 :]
    return brand[:place] + rng.choice(_BRAND_SIGNS) + brand[place + 1 :]


def _missounded(brand: str) -> str:
    for group in _SOUNDS:
        for sign in group:
            if sign in brand:
                return brand.replace(sign, next(other for other in group if other != sign))
    return brand


def _wrong_digit(phone: str, rng: random.Random) -> str:
    place = rng.randrange(5, len(phone))
    return phone[:place] + str((int(phone[place]) + rng.randint(1, 9)) % 10) + phone[place + 1 :]
