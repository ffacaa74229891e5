"""The yt-dlp worker process and the pool that runs it."""
