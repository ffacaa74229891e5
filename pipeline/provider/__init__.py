"""Our client of the video platform: dialects without I/O, one HTTP border, shared limits and a status board."""
