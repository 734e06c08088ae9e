"""The wrapper `unit_noise`: the deviation that it reads, what it promises of any network within it, and its tiles."""

from __future__ import annotations

import pytest
import torch
from support.networks import redrawn
from torch import Tensor, nn

from unseen.core.errors import UserError
from unseen.methods.second_order import check_second_order
from unseen.models.backbones import WNE, CappedNoise, PlainCNN, UnitNoise
from unseen.models.backbones.unit_noise import LEAST_DEVIATION, RADIUS, SHOWN_DEVIATION, local_statistics
from unseen.models.channels import channels_of, in_colour
from unseen.models.loading import model_of
from unseen.models.receptive_field import ReceptiveField, measured_receptive_field, receptive_field_of
from unseen.restoration.tiles import restore_tiled, tiling_for

SPECS = ["unit_noise:plain:features=6,depth=4", "unit_noise:unet:features=4,levels=2,bias=true"]
SPECS += ["unit_noise:rrdb_small:features=6,scale=2"]


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# What it reads


@pytest.mark.parametrize("sigma", [2, 10, 50])
@pytest.mark.parametrize("channels", [1, 3])
def test_white_noise_is_read_to_a_few_percent_around_every_pixel(sigma: float, channels: int) -> None:
    ramp = torch.linspace(0, 1, 120, dtype=torch.float64)
    _, deviation = local_statistics(ramp + noise(2, channels, 120, 120) * sigma / 255)
    assert deviation.shape == (2, 1, 120, 120)
    assert float(deviation.mean()) * 255 == pytest.approx(sigma, rel=0.03)
    assert float(deviation.min()) * 255 > 0.65 * sigma  # in a corner
    assert float(deviation.max()) * 255 < 1.3 * sigma


def test_noise_that_changes_across_the_image_is_read_where_it_is() -> None:
    strengths = torch.tensor([5.0, 40]).repeat_interleave(80) / 255
    _, deviation = local_statistics(noise(1, 3, 60, 160) * strengths)
    assert float(deviation[..., : 80 - RADIUS - 1].mean()) * 255 == pytest.approx(5, rel=0.04)
    assert float(deviation[..., 80 + RADIUS + 1 :].mean()) * 255 == pytest.approx(40, rel=0.04)


def test_a_map_is_the_mean_over_the_window_within_the_image() -> None:
    image = noise(1, 2, 9, 40)
    mean, _ = local_statistics(image)
    torch.testing.assert_close(mean[0, 0, 4, 3], image[..., : 3 + RADIUS + 1].mean())
    torch.testing.assert_close(mean[0, 0, 0, 25], image[..., 25 - RADIUS : 25 + RADIUS + 1].mean())


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (9, 7)])
def test_what_has_no_noise_is_divided_by_the_least_deviation(size: tuple[int, int]) -> None:
    mean, deviation = local_statistics(torch.full((1, 3, *size), 0.4))
    torch.testing.assert_close(mean, torch.full((1, 1, *size), 0.4))
    assert (deviation == LEAST_DEVIATION).all()


# What it promises


@torch.no_grad()
@pytest.mark.parametrize(("a", "b"), [(1, 0.3), (0.05, 0), (0.2, 0.7), (30, -4)])
@pytest.mark.parametrize("spec", SPECS)
def test_it_follows_scale_and_shift_of_noisy_images_whatever_is_within(spec: str, a: float, b: float) -> None:
    wrapped = redrawn(spec).double()
    for size in ((3, 2), (16, 12)):
        x = noise(2, 3, *size)
        expected = a * wrapped(x) + b
        torch.testing.assert_close(wrapped(a * x + b), expected, rtol=1e-10, atol=1e-10)
    assert (wrapped.network(a * x + b) - a * wrapped.network(x) - b).abs().max() > 1e-3  # what is within does not


def test_what_is_within_sees_noise_of_one_deviation() -> None:
    seen: list[Tensor] = []
    wrapped = UnitNoise(PlainCNN(features=4, depth=2).double())
    wrapped.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for sigma in (3, 20, 75):
        wrapped(0.5 + noise(1, 3, 64, 64, seed=sigma) * sigma / 255)
    assert [float(x.std()) for x in seen] == pytest.approx([SHOWN_DEVIATION] * 3, rel=0.05)


def test_below_the_least_deviation_it_does_as_the_network_within() -> None:
    wrapped, flat = redrawn(SPECS[0]), torch.full((1, 3, 40, 40), 0.4)
    scale = LEAST_DEVIATION / SHOWN_DEVIATION
    with torch.no_grad():
        torch.testing.assert_close(wrapped(flat), scale * wrapped.network(torch.zeros_like(flat)) + 0.4)


@pytest.mark.parametrize("bias", [False, True])
def test_around_a_network_without_biases_the_mean_that_is_taken_away_is_all_that_it_adds(bias: bool) -> None:
    wrapped = redrawn(f"unit_noise:plain:features=6,depth=4,bias={str(bias).lower()}").double()
    for strength in (0.001, 0.2):  # below the least deviation, and far above it, the same around every pixel
        pattern = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(32)
        image = 0.5 + strength * (pattern[:, None] * pattern)[RADIUS:, RADIUS:].expand(1, 3, -1, -1)
        mean, deviation = local_statistics(image)
        inner = deviation[..., 16:-16, 16:-16]
        assert float(inner.max() - inner.min()) < 1e-12
        centred = wrapped.network(image - mean) + mean
        same = torch.allclose(wrapped(image)[..., 24:-24, 24:-24], centred[..., 24:-24, 24:-24], atol=1e-6)
        assert same is not bias


def test_second_derivatives_are_right() -> None:
    assert check_second_order(redrawn(SPECS[0]).double(), (1, 3, 12, 12)) < 1e-8


# Its tiles, and what it passes on


@pytest.mark.parametrize("spec", SPECS)
def test_its_receptive_field_is_that_of_the_network_within_and_the_window(spec: str) -> None:
    wrapped = redrawn(spec)
    field, inner = receptive_field_of(wrapped), receptive_field_of(wrapped.network)
    assert field.radius == (inner.radius or 0) + RADIUS + 1
    assert (field.stride, field.scale) == (inner.stride, inner.scale)
    if spec == SPECS[0]:
        assert measured_receptive_field(wrapped) == ReceptiveField(4 + RADIUS + 1)


def test_tiles_make_the_same_as_the_whole() -> None:
    model = model_of(redrawn(SPECS[1]), SPECS[1])
    tiling = tiling_for(model, 0, 16)
    rows, columns = (48 + 2 * tiling.overlap + 7 * i for i in (0, 1))
    image = 0.5 + noise(1, 3, rows, columns).float() * torch.linspace(0.01, 0.2, columns)
    whole = model.run(image)
    torch.testing.assert_close(restore_tiled(model, image, tiling), whole, rtol=0, atol=1e-5 * float(whole.abs().max()))


def test_channels_are_those_of_the_network_within_and_a_gray_one_restores_each_colour_by_itself() -> None:
    gray = UnitNoise(PlainCNN(features=4, depth=2, channels=1))
    assert channels_of(gray) == 1
    assert channels_of(UnitNoise(PlainCNN(features=4, depth=2))) == 3
    x = noise(1, 3, 20, 20).float() * torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)
    with torch.no_grad():
        expected = torch.cat([gray(x[:, i : i + 1]) for i in range(3)], dim=1)
        torch.testing.assert_close(in_colour(gray)(x), expected)


@pytest.mark.parametrize("wrapper", [WNE, UnitNoise, CappedNoise])
@pytest.mark.parametrize("within", [WNE, UnitNoise, CappedNoise])
def test_a_wrapper_takes_no_wrapped_network(wrapper: type[nn.Module], within: type[nn.Module]) -> None:
    with pytest.raises(UserError, match="give one, once"):
        wrapper(within(PlainCNN(features=4, depth=2)))
