"""Questions about parts of a video, and what their answers make together."""
