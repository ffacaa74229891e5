"""What the platform heard in a video, fetched and written as captions."""
