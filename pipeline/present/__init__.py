"""Values from ``views`` as text: tables, JSON, the live display; and the border to stdout and stderr."""
