"""Places that Chinese company names and addresses begin with: provinces, and cities by province."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_CITIES = """
北京:  | 海淀 朝阳区 昌平 顺义 大兴区
天津:  | 滨海 武清 塘沽
上海:  | 浦东 松江 嘉定 青浦 奉贤 闵行
重庆:  | 万州 涪陵 江津 永川 璧山
河北: 保定 唐山 廊坊 张家口 承德 沧州 石家庄 衡水 邢台 邯郸 | 雄安 任丘 三河 涿州 迁安 遵化 霸州
  辛集 定州
山西: 临汾 大同 太原 忻州 晋中 吕梁 晋城 运城 长治 阳泉 朔州 | 介休 孝义
辽宁: 丹东 大连 朝阳 沈阳 铁岭 抚顺 本溪 盘锦 营口 葫芦岛 辽阳 锦州 阜新 鞍山 | 瓦房店 海城 庄河
  普兰店
吉林: 四平 延边 松原 白城 白山 辽源 通化 长春 | 珲春 延吉 梅河口
黑龙江: 七台河 伊春 佳木斯 双鸭山 哈尔滨 大兴安岭 大庆 牡丹江 绥化 鸡西 鹤岗 黑河 齐齐哈尔
江苏: 南京 南通 宿迁 常州 徐州 扬州 无锡 泰州 淮安 盐城 苏州 连云港 镇江 | 昆山 江阴 张家港 常熟
  太仓 宜兴 丹阳 泰兴 靖江 如皋 启东 海门 海安 溧阳 金坛 吴江 东台 兴化 高邮 仪征 扬中 句容 邳州
  新沂
浙江: 丽水 台州 嘉兴 宁波 杭州 温州 湖州 绍兴 衢州 金华 舟山 | 义乌 慈溪 余姚 永康 诸暨 温岭 瑞安
  乐清 海宁 桐乡 平湖 嘉善 德清 长兴 安吉 东阳 兰溪 玉环 临海 上虞 嵊州 萧山 余杭 富阳 建德 临安
  奉化 宁海 象山 龙港 江山
安徽: 六安 合肥 安庆 宣城 宿州 池州 淮北 淮南 滁州 芜湖 蚌埠 铜陵 阜阳 马鞍山 黄山 亳州 | 桐城 天长
  宁国 巢湖
福建: 三明 南平 厦门 宁德 泉州 漳州 福州 莆田 龙岩 | 晋江 石狮 南安 福清 龙海 长乐 福安
江西: 上饶 九江 南昌 吉安 宜春 抚州 新余 景德镇 萍乡 赣州 鹰潭 | 瑞昌 樟树 丰城 高安
山东: 东营 临沂 威海 德州 日照 枣庄 泰安 济南 济宁 淄博 滨州 潍坊 烟台 聊城 菏泽 青岛 莱芜 | 寿光
  诸城 龙口 招远 莱州 蓬莱 滕州 邹城 胶州 即墨 平度 文登 荣成 章丘 新泰 肥城
河南: 三门峡 信阳 南阳 周口 商丘 安阳 平顶山 新乡 洛阳 漯河 濮阳 焦作 许昌 郑州 驻马店 鹤壁 济源 |
  巩义 新郑 长葛 禹州 偃师 新密 荥阳 登封 项城
湖北: 仙桃 潜江 天门 十堰 咸宁 孝感 宜昌 恩施 武汉 荆州 荆门 襄阳 鄂州 随州 黄冈 黄石 神农架 | 枝江
  宜都 大冶
湖南: 娄底 岳阳 常德 张家界 怀化 永州 湘西 益阳 衡阳 邵阳 郴州 长沙 湘潭 株洲 | 浏阳 醴陵 宁乡 吉首
广东: 东莞 中山 云浮 佛山 广州 惠州 揭阳 梅州 汕头 汕尾 江门 河源 深圳 清远 湛江 潮州 珠海 肇庆 茂名
  阳江 韶关 | 顺德 南海 番禺 增城 台山 开平 鹤山 普宁 高要 四会 潮阳 澄海 花都
海南: 海口 三亚 儋州 | 文昌 琼海
四川: 甘孜 乐山 内江 凉山 南充 宜宾 巴中 广元 广安 德阳 成都 资阳 眉山 攀枝花 泸州 绵阳 自贡 达州
  遂宁 雅安 阿坝 | 都江堰 广汉 绵竹 什邡 简阳 江油 西昌
贵州: 六盘水 毕节 贵阳 遵义 安顺 铜仁 黔西南 黔东南 黔南 | 仁怀 凯里 都匀
云南: 怒江 临沧 丽江 保山 大理 文山 昆明 昭通 普洱 曲靖 楚雄 玉溪 红河 西双版纳 德宏 | 香格里拉
陕西: 商洛 安康 宝鸡 延安 榆林 汉中 渭南 西安 咸阳 铜川 | 杨凌 兴平
甘肃: 甘南 临夏 兰州 天水 定西 平凉 庆阳 张掖 武威 白银 酒泉 陇南 嘉峪关 金昌
青海: 果洛 海东 海北 海西 玉树 西宁 黄南 | 格尔木
台湾: 台北 高雄 新竹 台中 台南 桃园
内蒙古: 乌兰察布 乌海 兴安 包头 呼伦贝尔 呼和浩特 巴彦淖尔 赤峰 通辽 鄂尔多斯 锡林郭勒 阿拉善
广西: 北海 南宁 崇左 柳州 桂林 梧州 河池 玉林 百色 钦州 防城港 来宾 贺州 贵港
西藏: 山南 拉萨 日喀则 昌都 林芝 那曲 阿里
宁夏: 中卫 吴忠 固原 石嘴山 银川 | 灵武
新疆: 伊犁 克孜勒苏 克拉玛依 博尔塔拉 吐鲁番 和田 哈密 喀什 塔城 巴音郭楞 昌吉 乌鲁木齐 阿克苏 阿勒泰 |
  石河子 库尔勒
香港:  | 九龙 新界
澳门:  | 氹仔
"""
"""A paragraph a province, `province: cities | counties and districts`. Short forms, without 省 and 市."""


def _places() -> tuple[dict[str, str], frozenset[str]]:
    provinces: dict[str, str] = {}
    counties: set[str] = set()
    for line in _CITIES.replace("\n  ", " ").strip().split("\n"):
        province, _, rest = line.partition(":")
        cities, _, parts = rest.partition("|")
        for name in (province, *cities.split(), *parts.split()):
            provinces.setdefault(name, province)
        counties.update(parts.split())
    return provinces, frozenset(counties)


_PROVINCES, COUNTIES = _places()
"""COUNTIES: places that lie in another city or may be meant by it: 昆山 in 苏州."""
PROVINCE_OF: Mapping[str, str] = MappingProxyType(_PROVINCES)
"""Province by place; a province is its own."""
