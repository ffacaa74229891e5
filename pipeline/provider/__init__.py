"""Our client of the video platform: dialects without I/O, one HTTP transport, rate limits and a status board."""
