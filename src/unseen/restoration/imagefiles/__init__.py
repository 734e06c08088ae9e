"""Image files in and out, with all that a file says beside its pixels."""
