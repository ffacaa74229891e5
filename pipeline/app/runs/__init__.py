"""`run`, `plan`, `demo` and `config check`: one ingestion from manifests to results."""
