"""The page over the results: database in, changed files out."""
