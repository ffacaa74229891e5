"""How an analysis ends: its price by then, and its end at the platform."""
