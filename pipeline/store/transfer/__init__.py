"""A database copied row by row into an empty one of another kind."""
