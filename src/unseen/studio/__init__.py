"""A local page to watch what networks do with degrees that they have seen, and with degrees that they have not."""

from .server import serve

__all__ = ["serve"]
