"""What is extracted from a file: pictures, shots, captions."""
