"""Where tasks, results and the ledger live; one encoding for every database."""
