"""Questions to a whole index, and its videos."""
