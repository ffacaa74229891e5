"""Settings: the TOML file, its sections, and errors that name the key."""
