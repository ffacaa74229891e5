"""What commands show on a terminal: one file per command, values in, rich tables out. Pure."""
