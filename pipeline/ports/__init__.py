"""The protocols between the parts, each with a conformance suite in ``tests``."""
