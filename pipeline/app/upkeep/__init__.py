"""What an operator sets up once and tidies now and then."""
