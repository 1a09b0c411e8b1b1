"""The columns of each kind of export, named as in the API's answers, with the headers of the bills (facts.md 4.4, 4.5).

Without pydantic: the worker reads them too.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_platform.exports import What
from exports.focus_columns import FOCUS_COLUMNS
from exports.tables import Column, Kind

_WHAT = (
    Column("resource_id", "资源 ID", "Resource ID"),
    Column("alias", "资源别名", "Resource name"),
    Column("payer", "支付者", "Payer account"),
    Column("product", "产品名称", "Product"),
    Column("sub_product", "子产品名称", "Sub-product"),
    Column("tag", "计费标签", "Billing tag"),
    Column("project", "项目名称", "Project"),
    Column("region", "地域", "Region"),
    Column("billing_mode", "计费模式", "Billing mode"),
    Column("transaction_type", "交易类型", "Transaction type"),
    Column("bill_id", "账单 ID", "Bill ID"),
    Column("order_id", "订单 ID", "Order ID"),
    Column("charged_at", "扣费时间", "Charged at", Kind.TIME),
    Column("usage_start", "开始使用时间", "Usage start", Kind.TIME),
    Column("usage_end", "结束使用时间", "Usage end", Kind.TIME),
)
_PAYMENT = (
    Column("voucher", "代金券支出", "Paid by voucher", Kind.YUAN),
    Column("gift", "赠送账户支出", "Paid from gift", Kind.YUAN),
    Column("income_transfer", "收益转入支出", "Paid from income transfer", Kind.YUAN),
    Column("cash", "现金账户支出", "Paid from cash", Kind.YUAN),
)
RESOURCE_COLUMNS = (
    *_WHAT,
    Column("original_cost", "原价", "Original cost", Kind.YUAN),
    Column("discount_rate", "折扣率", "Discount rate", Kind.RATE),
    Column("total_cost", "优惠后总价", "Total cost", Kind.YUAN),
    *_PAYMENT,
)
DETAIL_COLUMNS = (
    Column("transaction_id", "交易 ID", "Transaction ID"),
    *_WHAT,
    Column("usage_day", "账单归属日", "Usage day", Kind.DAY),
    Column("list_price", "组件刊例价", "List price", Kind.PRICE),
    Column("unit_price", "组件单价", "Unit price", Kind.PRICE),
    Column("price_unit", "组件价格单位", "Price unit"),
    Column("discount_rate", "折扣率", "Discount rate", Kind.RATE),
    Column("raw_quantity", "原始用量", "Usage counted", Kind.COUNT),
    Column("deducted_quantity", "抵扣用量（含资源包）", "Deducted by packages", Kind.COUNT),
    Column("uncovered_quantity", "未计费用量", "Not covered, not charged", Kind.COUNT),
    Column("quantity", "组件用量", "Quantity charged", Kind.COUNT),
    Column("original_cost", "组件原价", "Original cost", Kind.DETAIL),
    Column("total_cost", "优惠后总价", "Total cost", Kind.DETAIL),
    Column("formula", "计算说明", "Formula"),
    Column("reason", "备注", "Remark"),
    Column("corrects", "关联单据", "Corrects"),
    *_PAYMENT,
)
_OF: dict[What, tuple[tuple[Column, ...], ...]] = {
    What.RESOURCES: (RESOURCE_COLUMNS,),
    What.DETAILS: (DETAIL_COLUMNS,),
    What.PACK: (RESOURCE_COLUMNS, DETAIL_COLUMNS),
    What.FOCUS: (FOCUS_COLUMNS,),
}


def unknown_columns(what: What, names: Sequence[str]) -> list[int]:
    """The places in `names` of those that no table of the export has."""
    known = {column.name for columns in _OF[what] for column in columns}
    return [place for place, name in enumerate(names) if name not in known]


def chosen(columns: Sequence[Column], names: Sequence[str] | None) -> tuple[Column, ...]:
    """Those of a table's columns that are asked for, in the order asked for; all of them without a choice.

    What only another table of the pack has is left out.
    """
    if names is None:
        return tuple(columns)
    by_name = {column.name: column for column in columns}
    return tuple(by_name[name] for name in names if name in by_name)
