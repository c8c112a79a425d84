"""The testbed's ERP as a system that a sync reads: its orders, in the order in which they changed."""

from __future__ import annotations

from rollout.connectors.erp_testbed.connector import ErpTestbedConnector

__all__ = ["ErpTestbedConnector"]
