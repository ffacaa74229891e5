"""The two API versions as pure functions: request values out, response values in."""
