"""API v1.3, the live one."""
