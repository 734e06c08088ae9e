"""Train image-restoration networks to hold up on distortions they have never seen, and measure by how much."""

__version__ = "0.1.0"
