"""The demo's videos and their texts."""
