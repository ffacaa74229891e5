"""Analyses by the batch: which, how packed, and what each waits for."""
