"""Manifests: text, CSV and JSONL into lines, lines into items."""
