"""The rate limit and the circuit breaker of one site, shared by all runs of a machine."""
