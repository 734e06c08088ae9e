"""Images that pass through a network in bands of rows, against the same images whole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from unseen.models.backbones.carried_rows import CarriedRows
from unseen.models.backbones.drunet import DRUNetSmall
from unseen.models.backbones.wne import NoiseReadingWNE, image_statistics


def network_with_every_weight(levels: int, bias: bool, kept_brightness: bool = False) -> DRUNetSmall:
    """A network of which no layer is near zero, as the last ones are at the start of a training."""
    torch.manual_seed(0)
    network = DRUNetSmall(features=6, levels=levels, bias=bias, kept_brightness=kept_brightness).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.2)
    return network


def in_bands(network: torch.nn.Module, x: Tensor, cuts: list[int], **settings: Tensor) -> list[Tensor]:
    rows, restored = CarriedRows(), []
    for top, bottom in zip([0, *cuts], [*cuts, x.shape[-2]], strict=True):
        rows.begin(last=bottom == x.shape[-2])
        restored.append(network(x[..., top:bottom, :], rows=rows, **settings))
    return restored


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])  # oneDNN's convolutions and others
@pytest.mark.parametrize(
    ("levels", "bias", "height", "kept_brightness"),
    [(2, False, 117, False), (3, True, 208, False), (2, True, 350, True)],
)
@torch.inference_mode()
def test_bands_make_what_the_whole_image_makes(
    dtype: torch.dtype, levels: int, bias: bool, height: int, kept_brightness: bool
) -> None:
    network = network_with_every_weight(levels, bias, kept_brightness).to(dtype)
    x = torch.rand(1, 3, height, 90, dtype=dtype).contiguous(memory_format=torch.channels_last)
    strength = torch.tensor(0.7, dtype=dtype)
    whole = network(x, strength)
    for cuts in ([96], list(range(16, height - 16, 16)), list(range(48, height - 16, 48))):
        bands = in_bands(network, x, cuts, strength=strength)
        torch.testing.assert_close(torch.cat(bands, dim=-2), whole, rtol=0, atol=1e-5 * float(whole.abs().max()))


@torch.inference_mode()
def test_bands_pass_through_wne_too() -> None:
    network, x = NoiseReadingWNE(network_with_every_weight(2, bias=True)), torch.rand(1, 3, 150, 40)
    bands = in_bands(network, x, [96, 112], statistics=image_statistics(x))
    torch.testing.assert_close(torch.cat(bands, dim=-2), network(x), rtol=0, atol=1e-4)


@torch.inference_mode()
def test_inference_leaves_the_input_as_it_is() -> None:
    network, x = network_with_every_weight(2, bias=False), torch.rand(1, 3, 64, 64)
    before = x.clone()
    torch.testing.assert_close(network(x), network(before.clone()), rtol=0, atol=0)
    assert x.equal(before)
