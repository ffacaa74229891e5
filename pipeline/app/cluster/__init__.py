"""Several hosts on one database: who is there, and work without a list."""
