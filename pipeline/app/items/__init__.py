"""What an operator does with items by name."""
