"""`search`, `classify`, `indexes` and `videos`: questions to a whole index."""
