"""What every room may use and that knows nothing of images: errors, files, randomness, registry, statistics."""
