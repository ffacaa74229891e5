"""Where tasks, results and the ledger live: one encoding and one requeue rule for every database; SQLite."""
