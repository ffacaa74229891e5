"""Sentence vectors, by which a search finds meaning. Nothing is fetched."""
