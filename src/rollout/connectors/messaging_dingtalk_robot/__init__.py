"""A DingTalk group robot: alerts as webhook messages, signed."""
