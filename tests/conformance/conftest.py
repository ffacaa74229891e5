"""The PostgreSQL that the store's suites run on."""

from tests.support.postgres import databases

__all__ = ["databases"]
