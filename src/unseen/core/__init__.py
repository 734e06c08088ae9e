"""Helpers for every room, which know nothing of images: errors, files, randomness, registry, statistics."""
