"""What the CRM keeps: its entities and fields, as data. Tables, validation, describe and pages derive from here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property


class Kind(StrEnum):
    """Types of fields, by the names the API uses."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    PHONE = "phone"
    EMAIL = "email"
    USCC = "uscc"
    PICKLIST = "picklist"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Field:
    """A field that users may set."""

    name: str
    label: str
    kind: Kind = Kind.TEXT
    required: bool = False
    max_length: int | None = None
    picklist: tuple[str, ...] = ()
    references: str | None = None
    user_login: bool = False
    """The value must be the login of an active user."""
    custom: bool = False
    """The company had it added, as CRMs let them."""
    reserved: bool = False
    """Only administrators and the migration may set it."""


@dataclass(frozen=True)
class Entity:
    """A kind of record. ``prefix`` starts its ids, so that an id never passes for another entity's."""

    name: str
    label: str
    prefix: str
    fields: tuple[Field, ...]
    title: str = "name"
    """The field that people know a record by."""

    @cached_property
    def reserved(self) -> frozenset[str]:
        """Names of the fields that only administrators and the migration may set."""
        return frozenset(field.name for field in self.fields if field.reserved)

    @cached_property
    def _by_name(self) -> dict[str, Field]:
        return {field.name: field for field in self.fields}

    def field(self, name: str) -> Field | None:
        """The field of this name."""
        return self._by_name.get(name)


MAX_KEY_LENGTH = 100

COMPANIES = ("恒泰精工", "恒泰电气")
"""Companies of the made-up group; each has customer codes of its own."""
_REGIONS = ("华东", "华南", "华北", "华中", "西南", "西北", "东北")

ACCOUNT = Entity(
    "account",
    "客户",
    "A-",
    (
        Field("name", "客户名称", required=True, max_length=200),
        Field("uscc", "统一社会信用代码", Kind.USCC, max_length=18),
        Field(
            "industry",
            "行业",
            Kind.PICKLIST,
            picklist=("机械制造", "电子电器", "化工", "汽车零部件", "食品饮料", "医疗器械", "建筑材料", "其他"),
        ),
        Field("region", "区域", Kind.PICKLIST, required=True, picklist=_REGIONS),
        Field("address", "地址", max_length=500),
        Field("phone", "电话", Kind.PHONE, max_length=40),
        Field("website", "网址", max_length=255),
        Field("level", "等级", Kind.PICKLIST, picklist=("A", "B", "C")),
        Field("owner", "负责人", max_length=50, user_login=True),
        Field("established_on", "成立日期", Kind.DATE, custom=True),
        Field("employees", "员工人数", Kind.INTEGER, custom=True),
        Field("annual_revenue", "年营业额", Kind.DECIMAL, custom=True),
        Field("legacy_no", "原系统编号", required=True, max_length=100),
        Field("customer_no", "客户编号", max_length=40, custom=True),
        Field("erp_code", "ERP 客户代码", max_length=40, custom=True),
        Field("company", "集团公司", Kind.PICKLIST, picklist=COMPANIES, custom=True),
        Field("industry_class", "国标行业代码", max_length=5, custom=True),
        Field("status", "状态", Kind.PICKLIST, picklist=("正常", "冻结"), custom=True),
        Field("updated_on", "资料更新日期", Kind.DATE, custom=True),
        Field("remark", "备注", max_length=2000),
        # The record's own times are those of the migration, so what they were before has fields of its own.
        Field("originally_created_at", "原创建时间", Kind.DATETIME, reserved=True),
        Field("last_followed_at", "最近跟进时间", Kind.DATETIME, reserved=True),
    ),
)

CONTACT = Entity(
    "contact",
    "联系人",
    "C-",
    (
        Field("name", "姓名", required=True, max_length=100),
        Field("account", "所属客户", Kind.REFERENCE, required=True, references="account"),
        Field("position", "职务", max_length=100),
        Field("mobile", "手机", Kind.PHONE, max_length=40),
        Field("email", "邮箱", Kind.EMAIL, max_length=254),
        Field("birthday", "生日", Kind.DATE, custom=True),
        Field("is_primary", "主要联系人", Kind.BOOLEAN, custom=True),
        Field("legacy_no", "原系统编号", required=True, max_length=100),
    ),
)

PRODUCT = Entity(
    "product",
    "产品",
    "R-",
    (
        Field("product_no", "产品编号", required=True, max_length=40),
        Field("name", "产品名称", required=True, max_length=200),
        Field("category", "产品类别", Kind.PICKLIST, picklist=("功能部件", "机床附件", "工装夹具", "电气元件", "服务")),
        Field("unit", "单位", max_length=20),
        Field("price", "标准单价", Kind.DECIMAL),
        Field("on_sale", "在售", Kind.BOOLEAN),
    ),
)

CAMPAIGN = Entity(
    "campaign",
    "市场活动",
    "G-",
    (
        Field("campaign_no", "活动编号", required=True, max_length=40),
        Field("name", "活动名称", required=True, max_length=200),
        Field("kind", "类型", Kind.PICKLIST, picklist=("展会", "技术研讨会", "线上推广", "客户拜访日")),
        Field("region", "区域", Kind.PICKLIST, picklist=_REGIONS),
        Field("starts_on", "开始日期", Kind.DATE),
        Field("ends_on", "结束日期", Kind.DATE),
        Field("cost", "费用", Kind.DECIMAL),
    ),
)

ORDER = Entity(
    "order",
    "订单",
    "O-",
    (
        Field("order_no", "订单号", required=True, max_length=100),
        Field("account", "客户", Kind.REFERENCE, references="account"),
        Field("product", "产品", max_length=200),
        Field("quantity", "数量", Kind.DECIMAL),
        Field("amount", "金额", Kind.DECIMAL, required=True),
        Field("status", "状态", Kind.PICKLIST, picklist=("已下单", "生产中", "已发货", "已完成", "已取消")),
        Field("ordered_on", "下单日期", Kind.DATE),
        Field("company", "集团公司", Kind.PICKLIST, picklist=COMPANIES, custom=True),
    ),
    title="order_no",
)

ORDER_LINE = Entity(
    "order_line",
    "订单明细",
    "I-",
    (
        Field("line_no", "明细编号", required=True, max_length=60),
        Field("order", "订单", Kind.REFERENCE, required=True, references="order"),
        Field("product", "产品", Kind.REFERENCE, references="product"),
        Field("quantity", "数量", Kind.DECIMAL, required=True),
        Field("price", "单价", Kind.DECIMAL),
        Field("amount", "金额", Kind.DECIMAL, required=True),
    ),
    title="line_no",
)

CONTRACT = Entity(
    "contract",
    "合同",
    "H-",
    (
        Field("contract_no", "合同编号", required=True, max_length=60),
        Field("name", "合同名称", required=True, max_length=200),
        Field("account", "客户", Kind.REFERENCE, required=True, references="account"),
        Field("amount", "合同金额", Kind.DECIMAL),
        Field("signed_on", "签订日期", Kind.DATE),
        Field("starts_on", "生效日期", Kind.DATE),
        Field("ends_on", "到期日期", Kind.DATE),
        Field("status", "状态", Kind.PICKLIST, picklist=("执行中", "已到期", "已终止")),
        Field("owner", "负责人", max_length=50, user_login=True),
    ),
)

OPPORTUNITY = Entity(
    "opportunity",
    "商机",
    "P-",
    (
        Field("name", "商机名称", required=True, max_length=200),
        Field("account", "客户", Kind.REFERENCE, required=True, references="account"),
        Field("amount", "金额", Kind.DECIMAL),
        Field(
            "stage",
            "阶段",
            Kind.PICKLIST,
            required=True,
            picklist=("初步接触", "需求确认", "方案报价", "商务谈判", "赢单", "输单"),
        ),
        Field("owner", "负责人", max_length=50, user_login=True),
        # The lead's id as text: the lead refers to the opportunity, and two tables cannot each need the other first.
        Field("lead", "来源线索", max_length=40),
        Field("opportunity_no", "商机编号", max_length=60, custom=True),
        Field("expected_on", "预计成交日期", Kind.DATE, custom=True),
    ),
)

LEAD = Entity(
    "lead",
    "线索",
    "L-",
    (
        Field("name", "线索名称", required=True, max_length=200),
        Field("company", "公司名称", required=True, max_length=200),
        Field("mobile", "手机", Kind.PHONE, max_length=40),
        Field("region", "区域", Kind.PICKLIST, picklist=_REGIONS),
        Field("status", "状态", Kind.PICKLIST, required=True, picklist=("新建", "跟进中", "已成交", "已关闭")),
        Field("owner", "负责人", max_length=50, user_login=True),
        Field("expected_amount", "预计金额", Kind.DECIMAL),
        Field("account", "成交客户", Kind.REFERENCE, references="account"),
        Field("opportunity", "成交商机", Kind.REFERENCE, references="opportunity"),
    ),
)

TICKET = Entity(
    "ticket",
    "工单",
    "T-",
    (
        Field("subject", "主题", required=True, max_length=200),
        Field("account", "客户", Kind.REFERENCE, references="account"),
        Field("kind", "类型", Kind.PICKLIST, required=True, picklist=("咨询", "报修", "投诉")),
        Field("status", "状态", Kind.PICKLIST, required=True, picklist=("新建", "处理中", "已解决", "已关闭")),
        Field("needs_sales", "需销售介入", Kind.BOOLEAN),
        Field("owner", "负责人", max_length=50, user_login=True),
        Field("description", "描述", max_length=4000),
        Field("ticket_no", "工单编号", max_length=60, custom=True),
        Field("opened_on", "报单日期", Kind.DATE, custom=True),
        Field("closed_on", "关闭日期", Kind.DATE, custom=True),
    ),
    title="subject",
)

MESSAGE = Entity(
    "message",
    "会话消息",
    "M-",
    (
        Field("external_user", "外部联系人", required=True, max_length=100),
        Field("account", "客户", Kind.REFERENCE, references="account"),
        Field("text", "内容", required=True, max_length=4000),
        Field("sent_at", "发送时间", Kind.DATETIME, required=True),
        Field("channel", "渠道", Kind.PICKLIST, picklist=("微信客服", "企业微信", "电话")),
    ),
    title="text",
)

TODO = Entity(
    "todo",
    "待办",
    "D-",
    (
        Field("subject", "主题", required=True, max_length=200),
        Field("owner", "负责人", required=True, max_length=50, user_login=True),
        Field("account", "客户", Kind.REFERENCE, references="account"),
        Field("ticket", "工单", Kind.REFERENCE, references="ticket"),
        Field("due_on", "到期日", Kind.DATE),
        Field("done", "已完成", Kind.BOOLEAN),
    ),
    title="subject",
)

NOTIFICATION = Entity(
    "notification",
    "通知",
    "N-",
    (
        Field("recipient", "接收人", required=True, max_length=50, user_login=True),
        Field("text", "内容", required=True, max_length=4000),
        Field("ticket", "工单", Kind.REFERENCE, references="ticket"),
    ),
    title="text",
)

FOLLOWUP = Entity(
    "followup",
    "跟进记录",
    "F-",
    (
        Field("account", "客户", Kind.REFERENCE, required=True, references="account"),
        Field("text", "内容", required=True, max_length=4000),
        Field("owner", "负责人", max_length=50, user_login=True),
        Field("followed_on", "跟进日期", Kind.DATE),
        Field("channel", "方式", Kind.PICKLIST, picklist=("电话", "拜访", "微信", "邮件"), custom=True),
        Field("followup_no", "原系统编号", max_length=60, custom=True),
    ),
    title="text",
)

ENTITIES: dict[str, Entity] = {
    entity.name: entity
    for entity in (
        ACCOUNT,
        CONTACT,
        PRODUCT,
        CAMPAIGN,
        ORDER,
        ORDER_LINE,
        CONTRACT,
        OPPORTUNITY,
        LEAD,
        TICKET,
        MESSAGE,
        TODO,
        NOTIFICATION,
        FOLLOWUP,
    )
}
"""Parents before those that refer to them."""

USERS: dict[str, str] = {
    "zhang.wei": "张伟",
    "li.na": "李娜",
    "wang.fang": "王芳",
    "liu.yang": "刘洋",
    "chen.jie": "陈杰",
    "yang.min": "杨敏",
    "zhao.lei": "赵磊",
    "huang.yan": "黄燕",
    "zhou.tao": "周涛",
    "wu.gang": "吴刚",
    "admin": "系统管理员",
    "migration": "数据迁移",
}
"""Made-up users: login and name. The last two are nobody's colleagues: one keeps the CRM, one is for the migration."""


class Role(StrEnum):
    """What users are. Everybody may keep records; rules and users are for the last two."""

    SALES = "sales"
    MANAGER = "manager"
    ADMIN = "admin"
    MIGRATION = "migration"


ROLES: dict[str, Role] = {
    "zhang.wei": Role.MANAGER,
    "wu.gang": Role.MANAGER,
    "admin": Role.ADMIN,
    "migration": Role.MIGRATION,
}
"""Roles at the start; everybody else is in sales."""

ADMINISTRATORS = frozenset({Role.ADMIN, Role.MIGRATION})
"""Who may keep users and rules, set reserved fields, and write without setting rules off."""


def format_id(entity: Entity, number: int) -> str:
    """The id as the API shows it, such as ``A-1001``."""
    return f"{entity.prefix}{number}"


def parse_id(entity: Entity, text: str) -> int | None:
    """The number in an id, or None if it cannot be an id of this entity."""
    digits = text.removeprefix(entity.prefix)
    if not text.startswith(entity.prefix) or not (digits.isascii() and digits.isdigit()) or len(digits) > 18:  # noqa: PLR2004 - bigint
        return None
    return int(digits)
