"""What an operator asks of the database and the machine: `status`, `show`, `doctor`, `retry`, `cancel`, `platform`."""
