"""`reconcile`: the account's contents compared with the database."""
