"""The four kinds of task: ``item`` finds a video, ``video`` uploads it, ``analysis`` asks, ``publish`` writes to disk."""
