"""A model of the user's own that writes from the evidence: endpoint, chat, checks."""
