"""The engine: claims due tasks, runs one step, has the verdict decided by the pure lifecycle, writes it."""
