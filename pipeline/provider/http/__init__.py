"""HTTP to the platform: transport, bodies, retries of safe calls, rate limits."""
