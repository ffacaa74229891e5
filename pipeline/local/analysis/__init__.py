"""Reading a video and answering questions about it."""
