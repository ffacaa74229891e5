"""The SQLite database behind the store port."""
