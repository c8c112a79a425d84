"""WeCom (企业微信): messages of 微信客服 are read, application messages are sent."""
