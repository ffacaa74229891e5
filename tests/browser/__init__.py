"""The page in real browsers, from disk."""
