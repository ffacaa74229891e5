"""Tells people and machines how a run went; each way has a time limit and fails nothing."""
