"""Foreign media files, opened safely."""
