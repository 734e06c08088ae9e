"""From a network to images and files: models, tiles, formats, self-checks."""
