"""Optional readers that need a program or package of their own."""
