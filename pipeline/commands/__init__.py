"""One file per command: arguments in, one call of ``app``, the result on stdout, an exit code out."""
