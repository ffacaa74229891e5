"""What the commands of ``cli`` have in common: their options, and the frame around each."""
