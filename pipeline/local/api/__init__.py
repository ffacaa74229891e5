"""The HTTP API of the local platform: what both versions share."""
