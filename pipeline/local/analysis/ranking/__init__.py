"""Search hits and classes, ranked by evidence."""
