"""``list`` and ``forget``."""
