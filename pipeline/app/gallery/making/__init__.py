"""The page's blocks of videos, made by two processes at once."""
