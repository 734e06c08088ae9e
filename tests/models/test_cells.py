"""Means over squares of pixels, against the pooling of PyTorch."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from unseen.models.backbones.cells import cell_means, mean_around


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("side", [1, 4, 8])
def test_cells_are_those_of_pooling(layout: torch.memory_format, side: int) -> None:
    x = torch.rand(2, 3, 16, 40, dtype=torch.float64).contiguous(memory_format=layout)
    torch.testing.assert_close(cell_means(x, side), F.avg_pool2d(x, side), rtol=0, atol=1e-14)


@pytest.mark.parametrize("radius", [1, 2, 4])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 2), (21, 30)])
def test_means_around_a_pixel_are_of_those_within_the_image(radius: int, size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size, dtype=torch.float64, requires_grad=True)
    expected = F.avg_pool2d(x, 2 * radius + 1, 1, radius, count_include_pad=False)
    torch.testing.assert_close(mean_around(x, radius), expected, rtol=0, atol=1e-14)
    assert torch.autograd.gradcheck(lambda images: mean_around(images, radius), (x,))
