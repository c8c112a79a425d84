"""Which file holds what: every list of the old world with its headings, as the departments keep them."""

from __future__ import annotations

from dataclasses import dataclass

ACCOUNT_COLUMNS = (
    "客户编号",
    "客户名称",
    "统一社会信用代码",
    "行业",
    "区域",
    "地址",
    "电话",
    "网址",
    "等级",
    "业务员",
    "所属公司",
    "成立日期",
    "员工人数",
    "年营业额",
    "更新日期",
    "备注",
)
"""Of the customer lists. Some regions name a column otherwise, or do not keep it."""
_RENAMED = {
    "华南": {"统一社会信用代码": "信用代码"},
    "华北": {"业务员": "客户经理"},
    "华中": {"电话": "联系电话"},
    "东北": {"客户名称": "单位名称"},
}
_NOT_KEPT = {
    "西南": ("网址",),
    "西北": ("员工人数", "年营业额"),
    "东北": ("更新日期",),
}


def headings(region: str) -> dict[str, str]:
    """The columns that a region keeps: what each is, and what it is called there."""
    names = _RENAMED.get(region, {})
    return {name: names.get(name, name) for name in ACCOUNT_COLUMNS if name not in _NOT_KEPT.get(region, ())}


def leave_out(row: dict[str, str | None]) -> None:
    """Empty the cells of columns that the row's region does not keep."""
    row |= dict.fromkeys(_NOT_KEPT.get(str(row["区域"])[:2], ()))


@dataclass(frozen=True, slots=True)
class Table:
    """A list in a text file of its own."""

    file: str
    columns: tuple[str, ...]
    encoding: str = "utf-8-sig"
    delimiter: str = ","


TABLES = {
    "erp_customers": Table(
        "客户主数据_ERP.csv",
        (
            "客户代码",
            "原客户编号",
            "客户全称",
            "税号",
            "大区",
            "开票地址",
            "开票电话",
            "集团公司",
            "信用状态",
            "更新日期",
        ),
    ),
    "customer_codes": Table("客户编码对照.csv", ("company", "code", "customer"), "utf-8"),
    "products": Table("产品.csv", ("产品编号", "产品名称", "类别", "单位", "标准单价", "在售"), "gb18030"),
    "campaigns": Table("市场活动.csv", ("活动编号", "活动名称", "类型", "大区", "开始", "结束", "费用(元)")),
    "orders_jg": Table("订单_恒泰精工.csv", ("订单号", "客户编号", "下单日期", "订单金额", "状态"), "gb18030"),
    "orders_dq": Table("订单_恒泰电气.csv", ("单据号", "客户代码", "日期", "价税合计", "单据状态")),
    "order_lines": Table("订单明细.csv", ("明细编号", "订单号", "产品编号", "数量", "单价", "金额"), "gb18030"),
    "opportunities": Table("商机.csv", ("商机编号", "商机名称", "客户编号", "预计金额", "阶段", "负责人", "预计成交")),
    "contracts": Table(
        "合同.csv",
        ("合同编号", "合同名称", "客户编号", "合同金额", "签订日期", "生效日期", "到期日期", "状态", "经办人"),
        "gb18030",
        ";",
    ),
}
"""Lists in text files, by the name of their source."""
DATABASE = "legacy.sqlite"
DATABASE_TABLES = {
    "tickets": (
        "ticket_no TEXT PRIMARY KEY",
        "cust_no TEXT",
        "subject TEXT",
        "kind INTEGER",
        "state TEXT",
        "opened_at TEXT",
        "closed_at TEXT",
        "description TEXT",
    ),
    "follow_ups": (
        "id INTEGER PRIMARY KEY",
        "cust_no TEXT",
        "person TEXT",
        "happened_at TEXT",
        "channel TEXT",
        "content TEXT",
    ),
}
"""The service desk's database: tables and their columns."""
FAIR_FILE = "展会成交登记"
FAIR_COLUMNS = (
    "客户编号",
    "客户名称",
    "统一社会信用代码",
    "区域",
    "电话",
    "业务员",
    "所属公司",
    "联系人编号",
    "联系人",
    "职务",
    "手机",
    "订单号",
    "下单日期",
    "订单金额",
    "明细编号",
    "产品编号",
    "数量",
    "单价",
    "金额",
)
"""Each row holds a customer, as a rule a contact, an order and one of its lines."""
