"""Values from ``views`` as tables, JSON and the live display; stdout and stderr."""
