"""What the local platform stores: its SQLite database, ledger, full-text index."""
