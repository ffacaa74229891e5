"""The shared pace with one site, with a circuit breaker."""
