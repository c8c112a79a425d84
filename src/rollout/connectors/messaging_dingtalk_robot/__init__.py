"""A DingTalk group robot: alerts as webhook messages, signed."""

from rollout.connectors.messaging_dingtalk_robot.connector import DingTalkRobot, sign

__all__ = ["DingTalkRobot", "sign"]
