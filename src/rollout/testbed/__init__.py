"""A small real CRM over HTTP on PostgreSQL, and fakes of an ERP, WeCom and DingTalk beside it. All content is made up.

It knows nothing of the rest of this product, as any vendor's CRM would not, so it can bear witness to what was loaded.
Start it with ``python -m rollout.testbed``.
"""

from __future__ import annotations

WECOM_CORP_ID = "ww_testbed"
"""Known to those who start the testbed and to the fake inside it."""
