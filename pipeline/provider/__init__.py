"""Our client of the video platform: dialects, transport, rate limits, status board."""
