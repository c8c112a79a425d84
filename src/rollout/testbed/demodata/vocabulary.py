"""Words that names, addresses and people of the made-up data are put together from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A city: its short and full name, the sales region, the division code and the area code."""

    name: str
    full: str
    region: str
    division: str
    area: str
    local_digits: int = 8
    """Of a landline number, without area code."""


PLACES = (
    Place("上海", "上海市", "华东", "310115", "021"),
    Place("南京", "江苏省南京市", "华东", "320106", "025"),
    Place("苏州", "江苏省苏州市", "华东", "320506", "0512"),
    Place("杭州", "浙江省杭州市", "华东", "330106", "0571"),
    Place("宁波", "浙江省宁波市", "华东", "330203", "0574"),
    Place("合肥", "安徽省合肥市", "华东", "340104", "0551"),
    Place("青岛", "山东省青岛市", "华东", "370202", "0532"),
    Place("广州", "广东省广州市", "华南", "440106", "020"),
    Place("深圳", "广东省深圳市", "华南", "440305", "0755"),
    Place("东莞", "广东省东莞市", "华南", "441900", "0769"),
    Place("厦门", "福建省厦门市", "华南", "350203", "0592", 7),
    Place("北京", "北京市", "华北", "110108", "010"),
    Place("天津", "天津市", "华北", "120101", "022"),
    Place("石家庄", "河北省石家庄市", "华北", "130102", "0311"),
    Place("太原", "山西省太原市", "华北", "140105", "0351", 7),
    Place("武汉", "湖北省武汉市", "华中", "420106", "027"),
    Place("长沙", "湖南省长沙市", "华中", "430104", "0731"),
    Place("郑州", "河南省郑州市", "华中", "410105", "0371"),
    Place("成都", "四川省成都市", "西南", "510107", "028"),
    Place("重庆", "重庆市", "西南", "500103", "023"),
    Place("昆明", "云南省昆明市", "西南", "530102", "0871"),
    Place("西安", "陕西省西安市", "西北", "610113", "029"),
    Place("兰州", "甘肃省兰州市", "西北", "620102", "0931", 7),
    Place("沈阳", "辽宁省沈阳市", "东北", "210102", "024"),
    Place("大连", "辽宁省大连市", "东北", "210202", "0411"),
    Place("长春", "吉林省长春市", "东北", "220104", "0431"),
)
REGIONS = tuple(dict.fromkeys(place.region for place in PLACES))
BRAND_FIRST = "恒泰鑫宏瑞德盛华金远博嘉信永安隆昌凯立诚汇达泽润腾元锦康佳万"
BRAND_SECOND = "泰源达丰盛兴通和成宇翔辉创联诺邦捷科特利明旺顺杰峰洋益海晟铭"
TRADES = (
    ("精密机械", "机械制造"),
    ("重型装备", "机械制造"),
    ("数控机床", "机械制造"),
    ("电子科技", "电子电器"),
    ("电器", "电子电器"),
    ("化工", "化工"),
    ("新材料", "化工"),
    ("汽车零部件", "汽车零部件"),
    ("汽车电子", "汽车零部件"),
    ("食品", "食品饮料"),
    ("饮料", "食品饮料"),
    ("医疗器械", "医疗器械"),
    ("建材", "建筑材料"),
    ("贸易", "其他"),
    ("物流", "其他"),
)
"""Trade in a name, and the industry it belongs to."""
INDUSTRY_SPELLINGS = {
    "机械制造": ("机械制造", "机械", "装备制造"),
    "电子电器": ("电子电器", "电子", "家电"),
    "化工": ("化工", "化学工业", "精细化工"),
    "汽车零部件": ("汽车零部件", "汽配", "汽车配件"),
    "食品饮料": ("食品饮料", "食品", "饮料"),
    "医疗器械": ("医疗器械", "医疗", "医疗设备"),
    "建筑材料": ("建筑材料", "建材", "建材"),
    "其他": ("其他", "其它", "其他"),
}
LEGAL_FORMS = ("有限公司", "有限公司", "有限公司", "有限责任公司", "股份有限公司", "集团有限公司")
STREETS = ("人民路", "中山路", "解放大道", "建设路", "科技园路", "工业大道", "滨江路", "和平街", "长江路", "创业路")
SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许邓冯韩曹"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超霞平刚桂华建国文辉玉兰红梅志成宇晨欣雨思佳"
POSITIONS = ("总经理", "副总经理", "采购经理", "采购员", "技术总监", "工程师", "财务经理", "仓库主管", "销售经理")
OWNERS = ("张伟", "李娜", "王芳", "刘洋", "陈杰", "杨敏", "赵磊", "黄燕", "周涛", "吴刚", "小张")
"""Salespeople as the old lists call them; all of them are in the owner map."""
LEAVERS = ("钱程(离职)", "周敏(离职)")
"""People who left; the owner map names a successor, or the pool."""
UNKNOWN_OWNERS = ("老钱", "孙经理", "离职人员", "郑爽朗")
"""Not in the owner map until somebody completes it."""
COMPANIES = ("恒泰精工", "恒泰精工", "恒泰电气")
"""Companies of the group. The second has customer codes of its own."""
TRADITIONAL = str.maketrans(
    "华远汇达泽润腾锦万凯诚丰兴辉创联诺顺杰铭机装备数电车饮医疗贸团责东广连长门岛宁苏庆汉兰阳业",
    "華遠匯達澤潤騰錦萬凱誠豐興輝創聯諾順傑銘機裝備數電車飲醫療貿團責東廣連長門島寧蘇慶漢蘭陽業",
)
"""Characters as they are written in Hong Kong and Taiwan."""
MOBILE_PREFIXES = ("135", "136", "137", "138", "139", "150", "151", "158", "159", "186", "187", "188")
REMARKS = ("老客户,账期 60 天", "展会认识", "价格敏感", "年度框架协议客户", "需要开专票", "由总部统一采购")
