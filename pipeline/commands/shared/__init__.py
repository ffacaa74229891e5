"""What the commands share: common options, argument parsing, the frame around each."""
