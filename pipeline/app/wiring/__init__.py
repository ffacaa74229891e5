"""The composition root: settings in, wired components out."""
