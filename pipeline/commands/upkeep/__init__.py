"""``service`` and ``prune``: to be set up once, and tidied now and then."""
