"""The wrapper `wne`: what it promises of any network within it, what it passes on, and how its spec is read."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import tifffile
import torch
from support.networks import redrawn
from torch import Tensor, nn

from unseen.core.errors import UserError
from unseen.core.registry import build
from unseen.core.trust import trusting
from unseen.data.file_jobs import FileJob
from unseen.methods.second_order import check_second_order
from unseen.models.backbones import BACKBONES, WNE, PlainCNN, UNet
from unseen.models.backbones.wne import LEAST_DEVIATION, NoiseReadingWNE, image_statistics, statistics_of_strips
from unseen.models.card import Card
from unseen.models.checkpoint import load_checkpoint, save_checkpoint
from unseen.models.loading import model_of
from unseen.restoration.batch import RestoreOptions, restore_files
from unseen.restoration.restorer import Restorer
from unseen.restoration.tiles import restore_tiled, tiling_for
from unseen.training.config import TrainConfig

SPECS = ["wne:plain:features=6,depth=4", "wne:unet:features=4,levels=2,bias=true", "wne:rrdb_small:features=6,scale=2"]
SPECS += ["wne:drunet_small:features=4,levels=2,bias=true"]


def images(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


@torch.no_grad()
def departure(network: nn.Module, x: Tensor, a: float, b: float) -> float:
    """The largest difference between f(a·x + b) and a·f(x) + b, beside the largest value."""
    expected = a * network(x) + b
    return float((network(a * x + b) - expected).abs().max() / expected.abs().max())


class ReadsNoise(nn.Module):
    """A network that reads noise by differences of neighbours, and subtracts `strength` times what it read."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(0.5))

    def noise_map(self, x: Tensor) -> Tensor:
        """(B, C, H, W − 1)."""
        return self.factor * x.diff(dim=-1).abs()

    def forward(self, x: Tensor, strength: Tensor | None = None) -> Tensor:
        factor = torch.ones(()) if strength is None else strength
        return x - factor.view(-1, 1, 1, 1) * nn.functional.pad(self.noise_map(x), (0, 1))

    def own_loss(self, distorted: Tensor, clean: Tensor) -> Tensor:
        return (self.noise_map(distorted).mean() - (distorted - clean).std()).square()


# What it promises


@pytest.mark.parametrize(("a", "b"), [(1, 0.3), (0.01, 0), (0.2, 0.7), (30, -4)])
@pytest.mark.parametrize("spec", SPECS)
def test_it_follows_scale_and_shift_whatever_is_within(spec: str, a: float, b: float) -> None:
    wrapped = redrawn(spec).double()
    for size in ((1, 2), (7, 5), (16, 12)):
        assert departure(wrapped, images(2, 3, *size), a, b) < 1e-12
        assert departure(wrapped.float(), images(2, 3, *size, dtype=torch.float32), a, b) < 1e-5
        wrapped.double()
    assert isinstance(wrapped, WNE)
    assert departure(wrapped.network, images(2, 3, 16, 12), a, b) > 1e-3  # what is within does not


@pytest.mark.parametrize("size", [(1, 1), (9, 7)])
def test_flat_images_stay_finite_and_nearly_as_they_are(size: tuple[int, int]) -> None:
    flat = torch.full((1, 3, *size), 0.4)
    with torch.no_grad():
        assert (redrawn(SPECS[0])(flat) - flat).abs().max() < 100 * LEAST_DEVIATION


def test_statistics_are_of_each_image_and_the_same_from_strips() -> None:
    batch = images(3, 3, 40, 21, dtype=torch.float32) * torch.tensor([1, 0.1, 0]).view(3, 1, 1, 1) + 0.2
    of_batch = image_statistics(batch)
    torch.testing.assert_close(of_batch[:2, 1], batch[:2].flatten(1).std(1, correction=0))
    assert of_batch[2].tolist() == pytest.approx([0.2, LEAST_DEVIATION])
    for image, expected in zip(batch, of_batch, strict=True):
        rows = image.permute(1, 2, 0).numpy()
        of_strips = statistics_of_strips(np.array_split(rows, 7))
        torch.testing.assert_close(of_strips, expected[None], rtol=1e-5, atol=1e-6)


def test_a_tile_needs_the_numbers_of_the_whole_image() -> None:
    network, image = redrawn(SPECS[0]), images(1, 3, 20, 20, dtype=torch.float32) * torch.linspace(0, 1, 20)
    with torch.no_grad():
        whole = network(image)[..., :10]
        tile = network(image[..., :16], statistics=image_statistics(image))[..., :10]
        torch.testing.assert_close(tile, whole)
        assert (network(image[..., :16])[..., :10] - whole).abs().max() > 1e-3


TILED = ["wne:plain:features=6,depth=4", "wne:drunet_small:features=4,levels=2"]


@pytest.mark.parametrize("spec", TILED)
def test_tiles_make_the_same_as_the_whole_in_memory_and_from_files(spec: str, tmp_path: Path) -> None:
    model = model_of(redrawn(spec), spec)
    rows, columns = (4 * model.receptive_field.stride + 2 * 16 + 7 * i for i in (3, 5))
    rows, columns = (side + 2 * tiling_for(model, 0, 16).overlap for side in (rows, columns))
    image = images(1, 3, rows, columns, dtype=torch.float32) * torch.linspace(0.1, 0.9, columns)
    whole, tiling = model.run(image), tiling_for(model, 0, 16)
    rounding = 1e-5 * float(whole.abs().max())
    torch.testing.assert_close(restore_tiled(model, image, tiling), whole, rtol=0, atol=rounding)
    several = torch.cat((image, 0.5 * image))
    torch.testing.assert_close(restore_tiled(model, several, tiling), model.run(several), rtol=0, atol=rounding)
    checked = Restorer(model, tiling).restore_checked(image, harm_check=False).image
    torch.testing.assert_close(checked, whole.clamp(0, 1), rtol=0, atol=rounding)

    tifffile.imwrite(tmp_path / "a.tif", image[0].permute(1, 2, 0).numpy(), photometric="rgb")
    job = FileJob(tmp_path / "a.tif", "a.tif", "restored.tif")
    for keep_colours in (False, True):
        options = RestoreOptions(model, tiling, harm_check=False, keep_colours=keep_colours)
        report = restore_files([job], tmp_path, options, Event(), overwrite=True)
        assert (len(report.restored), report.failed) == (1, [])
        if not keep_colours:
            from_file = torch.from_numpy(tifffile.imread(tmp_path / "restored.tif")).permute(2, 0, 1)[None]
            torch.testing.assert_close(from_file, whole.clamp(0, 1), rtol=0, atol=rounding)


def test_second_derivatives_are_right() -> None:
    assert check_second_order(redrawn(SPECS[0]).double(), (1, 3, 12, 12)) < 1e-8


# What it passes on


def test_strength_and_noise_map_of_what_is_within_are_passed_on() -> None:
    inner = ReadsNoise()
    assert not hasattr(redrawn(SPECS[0]), "noise_map")
    wrapped, x = BACKBONES["wne"](inner), images(2, 3, 8, 8, dtype=torch.float32)
    assert isinstance(wrapped, NoiseReadingWNE)
    with torch.no_grad():
        # This network follows scale and shift by itself, so that the wrapper changes nothing.
        for strength in (None, torch.tensor(0.5), torch.tensor([0.0, 2.0])):
            torch.testing.assert_close(wrapped(x, strength), inner(x, strength))
        torch.testing.assert_close(wrapped.noise_map(x), inner.noise_map(x))
        torch.testing.assert_close(wrapped.noise_map(3 * x), 3 * inner.noise_map(x))


def test_an_own_loss_is_that_of_normalised_images_and_0_without_one() -> None:
    clean = images(2, 3, 8, 8)
    distorted = clean + 0.1 * images(2, 3, 8, 8).sqrt()
    wrapped = NoiseReadingWNE(ReadsNoise())
    mean, deviation = image_statistics(distorted).view(2, 2, 1, 1, 1).unbind(1)
    expected = wrapped.network.own_loss((distorted - mean) / deviation, (clean - mean) / deviation)
    torch.testing.assert_close(wrapped.own_loss(distorted, clean), expected)
    assert WNE(PlainCNN()).own_loss(distorted, clean) == 0


# How its spec is read


def test_all_that_follows_the_colon_is_the_network_within() -> None:
    wrapped = build("wne: plain:features=8,depth=3", BACKBONES, "backbone", nn.Module)
    assert isinstance(wrapped, WNE)
    assert isinstance(wrapped.network, PlainCNN)
    assert [conv.out_channels for conv in wrapped.network.convs] == [8, 8, 3]
    assert isinstance(build("wne:unet", BACKBONES, "backbone", nn.Module).network, UNet)


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("wne", "backbone: 'wne': wraps another, whose name must follow: wne:NAME"),
        ("wne:plane", "backbone: 'plane' is none of "),
        ("wne:plain:featurs=3", "backbone: 'plain:featurs=3': no setting 'featurs' (did you mean 'features'?)"),
        ("wne:plain:depth=1", "backbone.depth: 1 is too small"),
        ("wne:wne:plain", "backbone: wne, unit_noise and capped_noise take no network that is one of them already"),
        ("wne:drunet_small:kept_brightness=true", "backbone: kept_brightness needs images in [0, 1]"),
        ("wne:" * 900 + "plain", "more than 8 wrappers around one another"),
        ("wne:my_parts.Net", "'my_parts.Net' is code from outside of unseen"),
    ],
)
def test_what_cannot_be_wrapped_is_refused_in_one_line(spec: str, line: str) -> None:
    with pytest.raises(UserError) as error:
        build(spec, BACKBONES, "backbone", nn.Module)
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_a_network_of_one_s_own_within_must_be_trusted_as_outside(tmp_path: Path) -> None:
    spec = f"wne:{__name__}.{ReadsNoise.__name__}"
    save_checkpoint(
        tmp_path / "a.safetensors",
        BACKBONES["wne"](ReadsNoise()).state_dict(),
        Card("0.1.0", asdict(TrainConfig(backbone=spec)), "hash", 5),
    )
    with pytest.raises(UserError, match="is code from outside of unseen"):
        load_checkpoint(tmp_path / "a.safetensors")
    with trusting(f"{__name__}.{ReadsNoise.__name__}"):
        network, _ = load_checkpoint(tmp_path / "a.safetensors", spec)
        with pytest.raises(UserError, match=r"was trained, and not 'my_parts.Net'"):
            load_checkpoint(tmp_path / "a.safetensors", "my_parts.Net")
    assert isinstance(network, NoiseReadingWNE)
