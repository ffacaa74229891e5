"""The engine: a worker pool that claims due tasks, runs one step of each, and writes what the lifecycle decides."""
