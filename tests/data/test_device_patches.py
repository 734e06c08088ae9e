"""Patches gathered on a device against patches cut on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unseen.data.device_patches import DevicePatches
from unseen.data.patches import Patches
from unseen.data.photo import Photo


@pytest.mark.parametrize("channels", [1, 3])
def test_gathered_patches_are_the_drawn_ones_bit_for_bit(channels: int) -> None:
    values = np.random.default_rng(0)
    sizes = [(20, 50), (60, 33), (24, 24), (25, 90)]  # the first is shorter than a patch, the third just as large
    photos = [Photo(str(size), values.integers(0, 256, (*size, channels), dtype=np.uint8)) for size in sizes]
    patches = Patches(photos, 24)
    drawn = patches.draw(200, torch.Generator().manual_seed(1))
    gathered = DevicePatches(patches, torch.device("cpu")).gather(patches.picks(200, torch.Generator().manual_seed(1)))
    assert torch.equal(drawn, gathered)
    assert drawn.stride() == gathered.stride()
