"""Background work of the local platform: analysis, indexing, fetching."""
