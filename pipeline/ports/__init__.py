"""The protocols between the parts. Each names the conformance suite in ``tests`` that all its implementations pass."""
