"""PSNR and SSIM against scikit-image, under every convention, and the edges where they have no value."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from skimage import color, data
from skimage import metrics as skimage_metrics
from torch import Tensor

from unseen.core.errors import UserError
from unseen.evaluation.metrics import prepare, psnr, ssim
from unseen.protocols.convention import Convention

Array = npt.NDArray[Any]

# Its functions are partly typed, which a strict check would refuse to call.
ORACLE: Any = skimage_metrics

UNROUNDED = Convention(round_output=False)
CONVENTIONS = pytest.mark.parametrize(
    "convention",
    [
        Convention(),
        UNROUNDED,
        Convention(border=4),
        Convention(channels="y"),
        Convention(channels="y", border=3, round_output=False),
        Convention(channels="y", round_y=True),
    ],
    ids=str,
)


def noisy(clean: Tensor, sigma: float, seed: int = 0) -> Tensor:
    """`clean` with Gaussian noise of `sigma` (of 255), not clipped."""
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed), dtype=clean.dtype)
    return clean + sigma / 255 * noise


def photo(name: str, rows: int = 96, columns: int = 131) -> Tensor:
    """A (3, rows, columns) piece of one of scikit-image's photos, in [0, 1]."""
    pixels: Array = getattr(data, name)()[100 : 100 + rows, 150 : 150 + columns]
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255


def random_pair(seed: int = 0) -> tuple[Tensor, Tensor]:
    clean = torch.rand(3, 40, 33, generator=torch.Generator().manual_seed(seed))
    return noisy(clean, 60, seed), clean


PAIRS = {
    "random": random_pair(),
    "astronaut": (noisy(photo("astronaut"), 25), photo("astronaut")),
    "coffee": (noisy(photo("coffee"), 5), photo("coffee")),
}
EVERY_PAIR = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())


def oracle_view(image: Tensor, convention: Convention) -> Array:
    """(3, H, W) → what the convention compares, on the scale 0 to 255, by NumPy and scikit-image."""
    pixels: Array = np.clip(image.permute(1, 2, 0).double().numpy(), 0, 1) * 255
    if convention.round_output:
        pixels = np.rint(pixels).astype(np.uint8)
    if convention.channels == "y":
        # scikit-image scales integers by their type and takes floats as they are.
        in_unit = pixels if pixels.dtype == np.uint8 else pixels / 255
        pixels = color.rgb2ycbcr(in_unit)[..., :1]
    if convention.round_y:
        pixels = np.rint(pixels).astype(np.uint8)
    height, width = pixels.shape[:2]
    border = convention.border
    return pixels[border : height - border, border : width - border]


def oracle_psnr(restored: Tensor, clean: Tensor, convention: Convention) -> float:
    views = [oracle_view(image, convention) for image in (clean, restored)]
    return float(ORACLE.peak_signal_noise_ratio(*views, data_range=255))


def oracle_ssim(restored: Tensor, clean: Tensor, convention: Convention) -> float:
    views = [oracle_view(image, convention) for image in (clean, restored)]
    value = ORACLE.structural_similarity(
        *views,
        data_range=255,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(value)


@EVERY_PAIR
@CONVENTIONS
def test_psnr_agrees_with_scikit_image(pair: tuple[Tensor, Tensor], convention: Convention) -> None:
    restored, clean = pair
    ours = psnr(restored[None], clean[None], convention)
    assert ours.item() == pytest.approx(oracle_psnr(restored, clean, convention), abs=1e-4)


@EVERY_PAIR
@CONVENTIONS
def test_ssim_agrees_with_scikit_image(pair: tuple[Tensor, Tensor], convention: Convention) -> None:
    restored, clean = pair
    ours = ssim(restored[None], clean[None], convention)
    assert ours.item() == pytest.approx(oracle_ssim(restored, clean, convention), abs=1e-6)


@CONVENTIONS
def test_a_batch_equals_its_images_one_by_one(convention: Convention) -> None:
    clean = torch.stack([photo("astronaut", 40, 50), photo("coffee", 40, 50), photo("chelsea", 40, 50)])
    restored = noisy(clean, 20)
    for metric in (psnr, ssim):
        together = metric(restored, clean, convention)
        singles = [metric(restored[[i]], clean[[i]], convention) for i in range(len(clean))]
        assert together.shape == (3,)
        assert together.dtype == torch.float64
        torch.testing.assert_close(together, torch.cat(singles), rtol=0, atol=1e-12)


@CONVENTIONS
def test_identical_images_have_infinite_psnr_and_an_ssim_of_one(convention: Convention) -> None:
    clean = photo("coffee", 30, 40)[None]
    assert psnr(clean, clean, convention).tolist() == [math.inf]
    assert ssim(clean, clean, convention).tolist() == [pytest.approx(1, abs=1e-12)]


def test_psnr_of_a_known_error() -> None:
    clean = torch.full((2, 3, 4, 4), 0.5)
    restored = clean + torch.tensor([0.1, 1e-3]).view(2, 1, 1, 1)
    assert psnr(restored, clean, UNROUNDED).tolist() == pytest.approx([20, 60], abs=1e-3)
    # The smaller error rounds away: 127.5 and 127.755 are both level 128.
    assert psnr(restored, clean, Convention()).tolist()[1] == math.inf


def test_luma_is_studio_range() -> None:
    black, white = torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1)
    as_y = Convention(channels="y")
    assert prepare(black, as_y).item() * 255 == pytest.approx(16)
    assert prepare(white, as_y).item() * 255 == pytest.approx(235)
    gray_level = torch.full((1, 3, 1, 1), 100 / 255)
    exact = prepare(gray_level, as_y).item() * 255
    rounded = prepare(gray_level, Convention(channels="y", round_y=True)).item() * 255
    assert exact == pytest.approx(16 + 219 * 100 / 255)
    assert rounded == pytest.approx(round(exact), abs=1e-9)
    assert rounded != pytest.approx(exact, abs=1e-3)


def test_prepare_clips_rounds_and_crops() -> None:
    row = torch.tensor([9.0, -0.5, 0.5021, 1.25, 9.0])
    prepared = prepare(row.expand(1, 3, 3, 5), Convention(border=1))
    assert prepared.shape == (1, 3, 1, 3)
    assert prepared.dtype == torch.float64
    assert (prepared[0, 0, 0] * 255).tolist() == pytest.approx([0, 128, 255])


def test_clean_pixels_of_a_file_are_met_exactly_in_every_precision() -> None:
    levels = (torch.arange(256) / 255).expand(1, 3, 4, 256)
    for dtype in (torch.float16, torch.float32, torch.float64):
        assert torch.equal(prepare(levels.to(dtype), Convention()), prepare(levels, Convention()))


def test_the_arguments_are_left_alone_and_carry_no_gradient() -> None:
    restored = (photo("coffee", 20, 20)[None] * 1.5).requires_grad_()
    before = restored.detach().clone()
    value = psnr(restored, photo("astronaut", 20, 20)[None], Convention())
    assert not value.requires_grad
    assert torch.equal(restored, before)


def test_ssim_needs_room_for_one_window() -> None:
    restored, clean = (image[None, :, :13, :12] for image in random_pair())
    assert ssim(restored, clean, UNROUNDED).isfinite().all()
    assert ssim(restored[..., :11, :11], clean[..., :11, :11], UNROUNDED).isfinite().all()
    assert ssim(restored[..., :10], clean[..., :10], UNROUNDED).isnan().all()
    assert ssim(restored, clean, Convention(border=1)).isnan().all()
    assert psnr(restored, clean, Convention(border=1)).isfinite().all()


def test_nan_is_not_hidden() -> None:
    clean = torch.rand(2, 3, 16, 16)
    restored = clean * 0.9
    restored[1, 0, 3, 3] = math.nan
    for metric in (psnr, ssim):
        assert metric(restored, clean, Convention()).isnan().tolist() == [False, True]


def test_a_border_that_leaves_nothing_is_refused() -> None:
    image = torch.rand(1, 3, 8, 20)
    assert prepare(image, Convention(border=3)).shape == (1, 3, 2, 14)
    with pytest.raises(UserError, match=r"^convention\.border: 4 leaves nothing .* 20×8"):
        psnr(image, image, Convention(border=4))


def test_tensors_that_would_be_misread_are_refused() -> None:
    image = torch.rand(2, 3, 16, 16)
    with pytest.raises(ValueError, match="differ in shape"):
        psnr(image, image[:1], Convention())
    with pytest.raises(ValueError, match="must be"):
        ssim(image[:, :2], image[:, :2], Convention())
    with pytest.raises(ValueError, match="must be"):
        ssim(image[:, :1], image[:, :1], Convention(channels="y"))
    with pytest.raises(ValueError, match="must be"):
        psnr(image[0], image[0], Convention())
    with pytest.raises(TypeError, match="floating point"):
        psnr((image * 255).byte(), (image * 255).byte(), Convention())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("channels", "ycbcr"),
        ("channels", ["y"]),
        ("border", -1),
        ("border", True),
        ("border", 1.5),
        ("round_output", "yes"),
        ("round_input", 1),
        ("round_y", None),
        ("round_y", True),
    ],
)
def test_a_wrong_field_is_named(field: str, value: object) -> None:
    with pytest.raises(UserError, match=rf"^convention\.{field}: "):
        Convention(**{field: value})  # type: ignore[arg-type]


def test_hash_tells_conventions_apart_and_stays_as_it_is() -> None:
    default = Convention(channels="y")
    changes: list[dict[str, Any]] = [
        {"channels": "rgb"},
        {"border": 1},
        {"round_output": False},
        {"round_input": True},
        {"round_y": True},
    ]
    hashes = {default.hash(), *(dataclasses.replace(default, **change).hash() for change in changes)}
    assert len(hashes) == 6
    assert Convention().hash() == Convention(border=0, channels="rgb").hash()
    # Reports on disk hold this value: if it moves, old rows no longer match new ones.
    assert Convention().hash() == "6400e10946be"
