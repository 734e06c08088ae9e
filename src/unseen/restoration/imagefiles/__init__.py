"""Image files in and out, with all metadata that a file holds beside its pixels."""
