"""The price list and the spending limits."""
