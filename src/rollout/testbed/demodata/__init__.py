"""Legacy data of the made-up company 恒泰精工 (Hengtai Precision), of any size, with the truth about it.

All of it is generated: customers, people, numbers and addresses are made up. The organisation part of every credit code
starts with ``XN`` (虚拟), which no authority hands out, and every mail address and web site lies in ``.example``.

Customer lists by region, whose columns differ; contacts; the ERP's list of customers; the register of a fair, a row of
which holds a customer, a contact, an order and a line; orders of two companies; products, campaigns, opportunities and
contracts; and the service desk's database with tickets and follow-ups. `rollout.testbed.demodata.layout` has the files.

What is planted and where is written down beside the data: ``truth/clusters.csv`` (which rows are the same customer or
person) and ``truth/defects.csv`` (row, field, what is wrong with it; codes in `rollout.testbed.demodata.defects`).
"""

from __future__ import annotations

from rollout.testbed.demodata.dataset import MAX_ACCOUNTS, MIN_ACCOUNTS, DemoData, generate, read_names
from rollout.testbed.demodata.traffic import erp_orders, wecom_messages

__all__ = ["MAX_ACCOUNTS", "MIN_ACCOUNTS", "DemoData", "erp_orders", "generate", "read_names", "wecom_messages"]
