"""Texts that let a machine run Reelmill by itself. Pure."""
