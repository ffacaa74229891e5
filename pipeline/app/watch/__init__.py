"""The night watch of a run: who is told what, and when."""
