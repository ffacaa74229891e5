"""The page over the results: the database in, files out, as much as has changed."""
