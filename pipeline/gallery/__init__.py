"""The page over the results, opened from disk: values, data files, shell. Pure."""
