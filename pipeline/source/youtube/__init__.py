"""YouTube, by way of yt-dlp in a process of its own."""
