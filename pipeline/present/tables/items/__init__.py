"""The tables of the commands for items."""
