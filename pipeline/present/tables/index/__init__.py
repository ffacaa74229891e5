"""Tables of the commands that ask a whole index, or many videos."""
