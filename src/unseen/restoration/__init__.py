"""Restoration of a user's images and files: tiles, formats, self-checks."""
