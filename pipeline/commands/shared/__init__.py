"""What the commands share: common options, small argument languages, and the frame around every command."""
