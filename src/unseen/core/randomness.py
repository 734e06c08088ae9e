"""Seeds of all random draws, derived from (seed, purpose, rank, step), so that any step can be drawn again alone."""

from __future__ import annotations

import hashlib

import torch


def derive(seed: int, *path: str | int) -> int:
    """Return a seed of 63 bits for one purpose.

    Args:
        seed: the seed of the run.
        path: the purpose of the draws, and what distinguishes them: rank, step. Paths that differ anywhere give
            unrelated seeds.
    """
    text = "/".join(str(item) for item in (seed, *path))
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:8], "big") >> 1


def generator(seed: int, *path: str | int) -> torch.Generator:
    """Return a generator on the CPU, seeded by `derive`."""
    return torch.Generator().manual_seed(derive(seed, *path))
