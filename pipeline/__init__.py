"""Reelmill: durable, exactly-once batch ingestion of video.

Where things are, floor by floor (each floor imports only floors below; ``pyproject.toml`` holds the contract):

=============  =====================================================================================
``cli``        arguments -> one call -> exit code
``app``        the composition root: the only module that sees everything
``present``    values -> tables, JSON, progress. Pure
``engine``     claims due tasks, runs one step, has the verdict decided, writes it
``ingest``     the four kinds of task: item, video, analysis, publish
``store``      where tasks, results and the ledger live: SQLite, and memory for tests
``provider``   the Twelve Labs API: dialects without I/O, one transport, the status board
``source``     manifests, files, identity, preflight
``sink``       results on disk, whole or not at all
``budget``     prices, estimates, the spending limit
``local``      the embedded platform: an HTTP server that really reads the video
``kit``        the one import a job author needs
``ports``      the seams, on one page
``lifecycle``  the state machine, pure
=============  =====================================================================================
"""

__version__ = "0.1.0"
