"""The protocols between the parts. Each has one conformance suite that all implementations pass."""
