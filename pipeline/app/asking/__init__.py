"""`ask`: one question across many videos."""
