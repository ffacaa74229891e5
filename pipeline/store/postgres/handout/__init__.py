"""How due tasks are handed out: by the table alone, or by PgQueuer."""
