"""What an operator asks of the database and the machine."""
