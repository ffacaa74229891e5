"""Routes of API v1.2."""
