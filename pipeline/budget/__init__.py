"""What things cost, and the purse that a run may empty."""
