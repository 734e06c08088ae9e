"""The wrapper `capped_noise`: what the network within is given, what stays as it is, and its tiles."""

from __future__ import annotations

import pytest
import torch
from support.networks import redrawn
from torch import Tensor
from torch.nn.functional import interpolate

from unseen.methods.second_order import check_second_order
from unseen.models.backbones import CappedNoise, PlainCNN
from unseen.models.backbones.capped_noise import STRONGEST_DEVIATION
from unseen.models.backbones.unit_noise import RADIUS, local_statistics
from unseen.models.loading import model_of
from unseen.models.receptive_field import ReceptiveField, receptive_field_of
from unseen.restoration.tiles import restore_tiled, tiling_for

SPEC = "capped_noise:plain:features=6,depth=4"
GRAY = "capped_noise:plain:features=6,depth=4,channels=1"
ENLARGING = "capped_noise:rrdb_small:features=6,scale=2"


def noise(*shape: int, sigma: float = 255, seed: int = 1) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=draws, dtype=torch.float64) * sigma / 255


@torch.no_grad()
def test_where_noise_is_weak_it_is_the_network_within_to_the_bit() -> None:
    wrapped = redrawn(SPEC)
    for image in (0.4 + noise(2, 3, 40, 50, sigma=12).float(), torch.rand(1, 3, 1, 1)):
        assert torch.equal(wrapped(image), wrapped.network(image))


def test_what_is_within_sees_no_noise_above_the_strongest() -> None:
    seen: list[Tensor] = []
    wrapped = CappedNoise(PlainCNN(features=4, depth=2).double())
    wrapped.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for sigma in (5, 15, 30, 75):
        wrapped(0.7 + noise(1, 3, 64, 64, sigma=sigma))
    strongest = 255 * STRONGEST_DEVIATION
    assert [float(x.std()) * 255 for x in seen] == pytest.approx([5, 15, strongest, strongest], rel=0.05)
    assert [float(x.mean()) for x in seen] == pytest.approx([0.7] * 4, abs=0.01)  # its brightness stays


@torch.no_grad()
@pytest.mark.parametrize(("spec", "channels"), [(SPEC, 3), (GRAY, 1), (ENLARGING, 3)])
def test_strong_noise_is_restored_as_its_contrast_lowered_and_raised_again(spec: str, channels: int) -> None:
    """The formula of the docstring, written out."""
    wrapped = redrawn(spec).double()
    x = 0.5 + noise(2, channels, 40, 40, sigma=60)
    mean, deviation = local_statistics(x)
    scale = deviation / STRONGEST_DEVIATION
    assert float(scale.min()) > 1
    restored = wrapped.network((x - mean) / scale + mean)
    mean, scale = (interpolate(values, restored.shape[-2:]) for values in (mean, scale))
    torch.testing.assert_close(wrapped(x), scale * (restored - mean) + mean)


@pytest.mark.parametrize(("spec", "channels"), [(SPEC, 3), (GRAY, 1)])
def test_second_derivatives_are_right(spec: str, channels: int) -> None:
    assert check_second_order(redrawn(spec).double(), (1, channels, 12, 12)) < 1e-8


def test_tiles_make_the_same_as_the_whole() -> None:
    network = redrawn("capped_noise:unet:features=4,levels=2,bias=true")
    model = model_of(network, "capped_noise:unet:features=4,levels=2,bias=true")
    tiling = tiling_for(model, 0, 16)
    rows, columns = (48 + 2 * tiling.overlap + 7 * i for i in (0, 1))
    image = 0.5 + noise(1, 3, rows, columns).float() * torch.linspace(0.01, 0.3, columns)
    whole = model.run(image)
    torch.testing.assert_close(restore_tiled(model, image, tiling), whole, rtol=0, atol=1e-5 * float(whole.abs().max()))


def test_its_receptive_field_is_that_of_the_network_within_and_the_window() -> None:
    assert receptive_field_of(redrawn(SPEC)) == ReceptiveField(4 + RADIUS + 1)
