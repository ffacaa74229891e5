"""Routes of API v1.3."""
