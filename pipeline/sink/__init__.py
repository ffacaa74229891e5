"""The sink: results on disk."""
