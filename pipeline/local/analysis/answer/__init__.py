"""Answers: free text, and values that fit a JSON schema."""
