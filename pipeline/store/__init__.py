"""Where tasks, results and the ledger live: SQLite, and dictionaries for tests and dry runs."""
