"""One file per command: arguments in, one call of ``app``, an exit code out."""
