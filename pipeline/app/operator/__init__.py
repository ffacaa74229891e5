"""What an operator asks for: `status`, `show`, `doctor`, `retry`, `cancel`, `platform`."""
