"""The testbed CRM as a target: JSON over HTTP with a token."""

from __future__ import annotations

from rollout.connectors.crm_testbed.connector import TestbedConnector

__all__ = ["TestbedConnector"]
