"""The engine: a worker pool that runs tasks and writes what the lifecycle decides."""
