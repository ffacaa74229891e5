"""Commands for several hosts on one database."""
