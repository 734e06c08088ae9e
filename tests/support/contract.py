"""What every distortion has to do, whatever it computes."""

from __future__ import annotations

import torch

from unseen.core.randomness import generator
from unseen.distortions import Distortion


def check_contract(distortion: Distortion, size: tuple[int, int], channels: int, dtype: torch.dtype) -> None:
    """Replay from parameters, a batch equal to its images one by one, dtype, range, and an input left alone."""
    n = 5
    clean = torch.rand(n, channels, *size, generator=generator(0, "clean"), dtype=dtype)
    before = clean.clone()
    parameters = distortion.sample(generator(3), n)
    assert all(len(value) == n and value.dtype in (torch.float64, torch.int64) for value in parameters.values())

    first = distortion.apply(clean, parameters)
    assert torch.equal(clean, before)
    assert first.dtype == dtype
    assert first.shape == (n, channels, *(side // distortion.scale for side in size))
    assert float(first.min()) >= 0
    assert float(first.max()) <= 1

    assert torch.equal(first, distortion.apply(clean, parameters))
    assert torch.equal(first, distortion.apply(clean, distortion.sample(generator(3), n)))
    assert torch.equal(first, distortion.apply(clean.contiguous(memory_format=torch.channels_last), parameters))
    singles = [
        distortion.apply(clean[i : i + 1], {name: value[i : i + 1] for name, value in parameters.items()})
        for i in range(n)
    ]
    assert torch.equal(first, torch.cat(singles))
