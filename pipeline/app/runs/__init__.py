"""`run`, `plan` and `demo`: one ingestion from manifests to results."""
