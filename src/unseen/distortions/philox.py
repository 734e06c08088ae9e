"""Random fields by the counter-based generator Philox: every value by itself, from a key and the value's position.

Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011: Philox4x32 in ten rounds. No value
depends on one drawn before it, so that a GPU draws a whole batch in one launch, a graph can hold the drawing, and image
i of a batch is what it is alone. On a CPU torch's operations compute what the kernel of `philox_kernel` does on a GPU;
normal values of the two differ in their last bits, as logarithm and cosine do.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

WORD = 0xFFFFFFFF
"""The largest number of 32 bits."""

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
"""The constants of Philox4x32."""

ROUNDS = 10
STEP = 2.0**-24
"""The distance between two neighbouring uniform values: a float32 holds every multiple of it below 1."""

Field = Literal["normal", "uniform"]


def keys_of(seeds: Tensor) -> Tensor:
    """Split seeds, int64 (n,), into the two words of 32 bits of Philox keys: int64 (n, 2), the lower word first."""
    return torch.stack([seeds & WORD, (seeds >> 32) & WORD], dim=1)


def philox_fields(keys: Tensor, like: Tensor, kind: Field) -> Tensor:
    """Draw fields of the shape (n, ...) of `like`, field i from keys[i] alone, on the device of `like`.

    Args:
        keys: int64 (n, 2), the words of n Philox keys, on the device of `like`.
        like: a tensor whose shape, and whose layout in memory, the fields get.
        kind: standard normal values, or values drawn evenly from [0, 1).

    Returns:
        float32 (n, ...); value j of a field, in the order of its dimensions, is made of the words at counter j.
    """
    fields = torch.empty_like(like, dtype=torch.float32)
    layouts = torch.contiguous_format, torch.channels_last
    if like.device.type == "cuda" and any(fields.is_contiguous(memory_format=layout) for layout in layouts):
        from .philox_kernel import fill  # Triton comes with torch's CUDA build alone

        fill(fields, keys, kind == "normal")
        return fields
    first, second = _words(keys, like[0].numel())
    values = _normal(first, second) if kind == "normal" else _uniform(first)
    return fields.copy_(values.view(like.shape))


def _uniform(words: Tensor) -> Tensor:
    """Values in [0, 1) of words of 32 bits: their upper 24 bits."""
    return (words >> 8).float() * STEP


def _normal(first: Tensor, second: Tensor) -> Tensor:
    """Standard normal values of two words each (Box and Muller 1958), at most 5.8 from zero."""
    radius = (-2 * torch.log(((first >> 8) + 1).float() * STEP)).sqrt()
    return radius * torch.cos(_uniform(second) * (2 * math.pi))


def _words(keys: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The first two of the four words at the counters 0 to count − 1 under each key: int64 (n, count)."""
    counter = torch.arange(count, device=keys.device).expand(len(keys), count)
    zero = torch.zeros_like(counter)
    words = (counter, zero, zero, zero)
    key = keys[:, :1], keys[:, 1:]
    for _ in range(ROUNDS):
        words = _round(words, key)
        key = (key[0] + WEYL[0]) & WORD, (key[1] + WEYL[1]) & WORD
    return words[0], words[1]


def _round(
    words: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One round of Philox4x32. Products wrap around in int64, whose 64 bits are those of the unsigned product."""
    a, b, c, d = words
    low, high = a * MULTIPLIERS[0], c * MULTIPLIERS[1]
    return (
        ((high >> 32) & WORD) ^ b ^ key[0],
        high & WORD,
        ((low >> 32) & WORD) ^ d ^ key[1],
        low & WORD,
    )
