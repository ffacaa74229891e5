"""The rate limit and the circuit breaker of one site."""
