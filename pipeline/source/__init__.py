"""Sources: manifests become items, items become checked media files."""
