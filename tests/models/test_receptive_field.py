"""How far networks see: what is measured, against what is known of them."""

from __future__ import annotations

import pytest
import torch
from support.known_reach import OURS, Blocks, Mean, Shifted, drawn, small
from torch import Tensor, nn

from unseen.core.errors import UserError
from unseen.models.backbones import Padded
from unseen.models.receptive_field import ReceptiveField, measured_receptive_field, receptive_field_of


@pytest.mark.parametrize("name", OURS)
def test_what_is_measured_is_what_our_networks_state(name: str) -> None:
    network = drawn(OURS[name]())
    stated = receptive_field_of(network)
    with torch.inference_mode():
        measured = measured_receptive_field(network)
    assert stated.radius is not None
    assert measured.radius is not None
    assert (measured.stride, measured.scale) == (stated.stride, stated.scale)
    assert 0 < measured.radius <= stated.radius
    if name.startswith("plain"):
        assert measured.radius == stated.radius


@pytest.mark.parametrize(("across", "down"), [(0, 0), (3, 0), (0, -17), (-63, 5), (64, 0), (9, 200), (0, -255)])
def test_a_known_radius_is_found_in_every_direction(across: int, down: int) -> None:
    assert receptive_field_of(Shifted(across, down)) == ReceptiveField(max(abs(across), abs(down)), 1, 1)


@pytest.mark.parametrize("shift", [256, 1000])
def test_what_is_farther_than_measured_counts_as_endless(shift: int) -> None:
    assert receptive_field_of(Shifted(0, shift)).radius is None


@pytest.mark.parametrize(("side", "scale"), [(2, 1), (8, 2), (12, 1), (40, 1), (64, 1), (7, 3)])
def test_a_known_stride_and_scale_are_found(side: int, scale: int) -> None:
    found = receptive_field_of(Blocks(side, scale))
    assert (found.stride, found.scale) == (side, scale)
    assert found.radius is not None
    assert found.radius < side


class Round(nn.Module):
    """Each row sees the one before it, the first sees the last."""

    def forward(self, x: Tensor) -> Tensor:
        return x + x.roll(1, -2)


class Placed(nn.Module):
    """Knows where it is."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.linspace(0, 1, x.shape[-2])[:, None]


class Noisy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand_like(x)


class NotANumber(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / 0 * 0


@pytest.mark.parametrize("network", [Mean(), Round(), Placed(), Noisy(), NotANumber()], ids=lambda n: type(n).__name__)
def test_networks_that_tiles_change_have_no_radius(network: nn.Module) -> None:
    assert receptive_field_of(network).radius is None


@pytest.mark.parametrize("name", ["rcan", "nafnet", "uformer"])
def test_networks_of_others_that_see_the_whole_image_are_named(name: str) -> None:
    assert receptive_field_of(small(name)).radius is None


def test_a_smallest_size_is_kept_by_the_stride() -> None:
    assert receptive_field_of(Padded(Shifted(2, 1), multiple=4, smallest=30)) == ReceptiveField(2, 32, 1)


def test_measuring_leaves_everything_as_it_was() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Dropout(0.5), nn.BatchNorm2d(3))
    network[2].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    assert receptive_field_of(network) == ReceptiveField(1, 1, 1)
    assert [module.training for module in network.modules()] == [True, True, True, False]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    receptive_field_of(Noisy())
    assert torch.equal(torch.get_rng_state(), state)


def test_a_network_that_does_not_restore_is_refused() -> None:
    with pytest.raises(UserError, match=r"^the network makes 1 × 3 × 64 × 32 of 1 × 3 × 128 × 64: "):
        receptive_field_of(nn.AvgPool2d(2))
    with pytest.raises(UserError, match="three channels"):
        receptive_field_of(nn.Conv2d(3, 1, 3, padding=1))
