"""A local page that shows how networks restore degrees of a distortion that they have seen, and unseen degrees."""

from .server import serve

__all__ = ["serve"]
