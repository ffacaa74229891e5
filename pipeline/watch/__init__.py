"""Tells people and machines how a run went, within time limits."""
