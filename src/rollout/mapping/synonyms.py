"""Words that legacy systems use for the same thing, Chinese and English: by them columns and fields are paired."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from rollout.mapping.transforms_text import lookup_key

CONCEPTS: Mapping[str, tuple[str, ...]] = {
    "company_name": (
        *("客户名称", "公司名称", "企业名称", "单位名称", "客户全称", "单位", "客户", "抬头", "开票抬头"),
        *("company", "company name", "customer name", "account name", "customer", "organisation", "organization"),
    ),
    "person_name": ("姓名", "联系人", "联系人姓名", "联系人名称", "contact", "contact name", "full name"),
    "first_name": ("first name", "given name", "forename", "first"),
    "last_name": ("last name", "family name", "surname", "last"),
    "uscc": (
        *("统一社会信用代码", "社会信用代码", "信用代码", "税号", "纳税人识别号", "营业执照号"),
        *("uscc", "tax number", "tax no", "credit code", "vat number"),
    ),
    "phone": ("电话", "联系电话", "固定电话", "座机", "公司电话", "总机", "tel", "telephone", "phone"),
    "mobile": ("手机", "手机号", "手机号码", "移动电话", "联系手机", "mobile", "cell", "mobile phone", "mobile number"),
    "email": ("邮箱", "电子邮箱", "邮件", "电子邮件", "邮箱地址", "email", "e-mail", "mail"),
    "address": ("地址", "公司地址", "通讯地址", "联系地址", "注册地址", "详细地址", "address", "street"),
    "city": ("城市", "所在城市", "city", "town"),
    "website": ("网址", "网站", "官网", "主页", "website", "homepage", "url"),
    "industry": ("行业", "所属行业", "行业类别", "行业分类", "industry", "sector"),
    "region": ("区域", "大区", "地区", "片区", "销售区域", "region", "area", "territory"),
    "level": ("等级", "级别", "客户等级", "客户级别", "评级", "level", "grade", "rating"),
    "owner": (
        *("负责人", "业务员", "销售", "销售员", "客户经理", "跟进人", "销售代表", "归属人", "制单人"),
        *("owner", "sales", "salesperson", "sales rep", "account manager"),
    ),
    "established_on": ("成立日期", "成立时间", "注册日期", "founded", "established"),
    "employees": ("员工人数", "人数", "员工数", "职工人数", "人员规模", "employees", "headcount"),
    "annual_revenue": ("年营业额", "营业额", "年销售额", "营业收入", "annual revenue", "revenue", "turnover"),
    "remark": ("备注", "说明", "描述", "备注说明", "remark", "remarks", "note", "notes", "comment", "description"),
    "position": ("职务", "职位", "岗位", "头衔", "position", "job title", "title"),
    "birthday": ("生日", "出生日期", "出生年月", "birthday", "date of birth", "birth date", "born", "dob"),
    "is_primary": ("主要联系人", "首要联系人", "是否主要联系人", "默认联系人", "primary", "primary contact"),
    "legacy_no": ("编号", "编码", "客户编号", "客户编码", "客户代码", "旧系统编号", "code", "no", "id", "number"),
    "customer_key": (
        "所属客户",
        "所属客户编号",
        "客户编号",
        "客户编码",
        "客户代码",
        "account",
        "customer no",
        "customer id",
    ),
    "erp_code": ("erp编码", "erp代码", "erp编号", "erp code"),
    "order_no": ("订单号", "订单编号", "单号", "单据号", "单据编号", "销售单号", "order no", "order number"),
    "ordered_on": ("下单日期", "订单日期", "签订日期", "销售日期", "order date"),
    "product": (
        "产品",
        "商品",
        "物料",
        "品名",
        "产品名称",
        "产品编号",
        "产品编码",
        "物料编码",
        "product",
        "item",
        "sku",
    ),
    "quantity": ("数量", "订购数量", "件数", "quantity", "qty"),
    "price": ("单价", "价格", "售价", "price", "unit price"),
    "amount": ("金额", "总金额", "合计", "合同金额", "订单金额", "预计金额", "价税合计", "含税金额", "amount", "total"),
    "cost": ("费用", "成本", "花费", "预算", "cost", "budget"),
    "status": ("状态", "客户状态", "订单状态", "工单状态", "status", "state"),
    "stage": ("阶段", "销售阶段", "商机阶段", "stage"),
    "subject": ("主题", "标题", "名称", "事由", "subject", "title", "topic", "name"),
    "content": ("内容", "跟进内容", "跟进记录", "沟通内容", "问题描述", "content", "details"),
    "opened_on": ("受理日期", "报修日期", "创建日期", "提交日期", "opened", "created"),
    "happened_on": ("跟进日期", "跟进时间", "拜访日期", "联系日期", "visit date"),
    "updated_on": ("更新日期", "最后修改日期", "修改日期", "修改时间", "更新时间", "updated", "last modified"),
    "company": ("所属公司", "集团公司", "账套", "分公司", "法人", "legal entity", "group company"),
}
"""By concept the words for it. A word may stand for several."""

_ASIDE = re.compile(r"[(（\[【].*?[)）\]】]")
_SEPARATORS = re.compile(r"[\s_\-:：.*]+")


@cache
def _converter() -> Any:
    import opencc  # noqa: PLC0415 - heavy; only suggestions need it

    return opencc.OpenCC("t2s")


def folded_header(text: str) -> str:
    """A header as it is compared: the last part of a joined one, simplified, without units in brackets, signs, case."""
    last = text.rsplit("/", 1)[-1]
    return _folded(last if last.isascii() else _converter().convert(last))


def _folded(text: str) -> str:
    return _SEPARATORS.sub("", lookup_key(_ASIDE.sub("", text)) or lookup_key(text))


_BY_WORD: dict[str, set[str]] = {}
for _concept, _words in CONCEPTS.items():
    for _word in (_concept, *_words):
        _BY_WORD.setdefault(_folded(_word), set()).add(_concept)


def concepts(*texts: str) -> frozenset[str]:
    """What words may stand for."""
    return frozenset().union(*(_BY_WORD.get(folded_header(text), set()) for text in texts if text))
