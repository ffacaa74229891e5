"""Sentences, chapters and the summary of a text."""
