"""Benchmarks: ``python -m tests.bench COMMAND``. Figures, never pass or fail; nothing here is a test."""
