"""API v1.2, the notebook's. Frozen."""
