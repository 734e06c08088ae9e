"""Clean images: folders of photographs, the embedded ones, and dead leaves."""

from .dead_leaves import DeadLeaves, dead_leaves_photos
from .embedded import embedded_photos
from .photographs import Photo, Skipped, UnreadableImage, find_photos, load_photos, read_photo

__all__ = [
    "DeadLeaves",
    "Photo",
    "Skipped",
    "UnreadableImage",
    "dead_leaves_photos",
    "embedded_photos",
    "find_photos",
    "load_photos",
    "read_photo",
]
