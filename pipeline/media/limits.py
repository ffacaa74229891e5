"""Limits of foreign files; without imports, so that who only compares loads no decoder."""

MAX_PIXELS = 100_000_000  #: of a picture that is decoded: no platform takes a larger one, and it may be a trap
