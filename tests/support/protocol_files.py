"""A small protocol, which tests write into files, changed or whole."""

from __future__ import annotations

GOOD = {
    "name": "mine",
    "version": 1,
    "about": "a test",
    "seen": ["gaussian_noise:5", "gaussian_noise:20"],
    "held_out": ["gaussian_noise:25"],
    "unseen": ["gaussian_noise:30"],
}
