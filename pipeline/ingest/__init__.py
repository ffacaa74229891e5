"""From manifest lines to results on disk: six types of task.

``item`` finds a video, ``listing`` expands a playlist, ``video`` uploads, ``analysis`` asks, ``indexing`` puts into an
index, ``publish`` writes to disk.
"""
