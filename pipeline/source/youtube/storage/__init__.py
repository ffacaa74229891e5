"""Downloaded copies on disk: their folders, the disk quota, the cleanup."""
