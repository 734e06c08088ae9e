"""Images in memory: the same kind comes back, whatever kind it is; from many threads at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms
from support.commandline import photographs
from torch import Tensor, nn
from torch.nn import functional as F

from unseen.core.errors import UserError
from unseen.models.backbones import UNet
from unseen.models.loading import Model, model_of
from unseen.models.receptive_field import ReceptiveField
from unseen.restoration.batch import RestoreOptions, restore_files
from unseen.restoration.planning import plan_restoration
from unseen.restoration.restorer import Restorer
from unseen.restoration.self_check import SLIGHT_WHERE_QUIET
from unseen.restoration.tiles import Tiling

WHITE = {"uint8": 255, "uint16": 65535}
FLOATS = ("float16", "float32", "float64")
TENSORS = ("uint8", "uint16", "float16", "bfloat16", "float32", "float64")


class Negative(nn.Module):
    """1 − x, every pixel repeated `scale` times: what comes out is known for every kind of image."""

    receptive_radius = 0

    def __init__(self, scale: int = 1) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return 1 - F.interpolate(x, scale_factor=self.scale)


def restorer_of(network: nn.Module, tile: int = 16) -> Restorer:
    model = model_of(network, "mine")
    overlap = (
        -(-max(1, model.receptive_field.radius or 0) // model.receptive_field.stride) * model.receptive_field.stride
    )
    return Restorer(model, Tiling(tile, overlap))


@pytest.fixture(scope="module")
def negative() -> Restorer:
    return restorer_of(Negative())


def drawn(shape: tuple[int, ...], dtype: str, seed: int = 0) -> NDArray[Any]:
    """An array with every value that its type has in [0, 1], the ends among them."""
    values = np.random.default_rng(seed).random(shape)
    values.flat[:2] = 0, 1
    return (values * WHITE[dtype] + 0.5).astype(dtype) if dtype in WHITE else values.astype(dtype)


def negated(array: NDArray[Any]) -> NDArray[Any]:
    """The first channels negated, an alpha channel as it was."""
    white = WHITE.get(array.dtype.name, 1)
    expected = (white - array.astype(np.float64)).astype(array.dtype)
    if array.ndim == 3 and array.shape[2] in (2, 4):
        expected[..., -1] = array[..., -1]
        expected = np.where(array[..., -1:] == 0, array, expected)  # what nobody sees stays what it was
    return expected


# ------------------------------------------------------------------------------------------- arrays


@pytest.mark.parametrize("dtype", [*WHITE, *FLOATS])
@pytest.mark.parametrize("shape", [(23, 31), (23, 31, 1), (9, 8, 2), (40, 17, 3), (7, 33, 4), (1, 1), (1, 50, 3)])
def test_arrays_keep_shape_and_dtype(negative: Restorer, shape: tuple[int, ...], dtype: str) -> None:
    given = drawn(shape, dtype)
    before = given.copy()
    found = negative.restore(given)
    assert isinstance(found, np.ndarray)
    assert (found.shape, found.dtype) == (given.shape, given.dtype)
    assert np.array_equal(given, before)
    if dtype in WHITE:
        assert np.array_equal(found, negated(given))
    else:
        np.testing.assert_allclose(found, negated(given), rtol=0, atol=1e-3 if dtype == "float16" else 1e-7)


def test_arrays_may_be_views_of_any_order(negative: Restorer) -> None:
    given = drawn((24, 30, 3), "uint16")
    views = [given[::-1, ::-2], given.transpose(1, 0, 2), given[..., ::-1], given.astype(">u2")]
    for view in views:
        found = negative.restore(view)
        assert found.dtype == view.dtype
        assert np.array_equal(found, negated(view))
    given.flags.writeable = False
    assert np.array_equal(negative.restore(given), negated(given))


def test_gray_stays_gray_when_the_network_tints() -> None:
    class Tints(nn.Module):
        receptive_radius = 0

        def forward(self, x: Tensor) -> Tensor:
            return x * torch.tensor([0.5, 0.75, 1.0]).reshape(3, 1, 1)

    found = restorer_of(Tints()).restore(drawn((5, 6), "float64"))
    np.testing.assert_allclose(found, drawn((5, 6), "float64") * 0.75, atol=1e-7)


def test_results_are_clipped_and_rounded() -> None:
    class Steep(nn.Module):
        receptive_radius = 0

        def forward(self, x: Tensor) -> Tensor:
            return 3 * x - 1

    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    expected = np.clip(3 * levels.astype(int) - 255, 0, 255)
    assert np.array_equal(restorer_of(Steep()).restore(levels), expected)
    found = restorer_of(Steep()).restore(levels.astype(np.float32) / 255)
    assert (found.min(), found.max()) == (0, 1)


def test_a_network_that_makes_no_numbers_is_named() -> None:
    class Divides(nn.Module):
        receptive_radius = 0

        def forward(self, x: Tensor) -> Tensor:
            return x / x

    assert (restorer_of(Divides()).restore(np.ones((3, 3))) == 1).all()
    with pytest.raises(UserError, match=r"^mine: makes values of this image that are not finite"):
        restorer_of(Divides()).restore(np.zeros((3, 3)))


@pytest.mark.parametrize(
    ("image", "kind", "reason"),
    [
        (np.zeros((4, 4, 5), np.uint8), ValueError, r"\(4, 4, 5\) is no image"),
        (np.zeros((3, 20, 30), np.uint8), ValueError, r"\(3, 20, 30\) is no image; give \(H, W\) or \(H, W, C\)"),
        (np.zeros((2, 4, 4, 3), np.uint8), ValueError, "no image"),
        (np.zeros((0, 4, 3), np.uint8), ValueError, r"\(0, 4, 3\) is no image"),
        (np.zeros((4, 4, 3), np.int32), TypeError, "int32 is none of uint8"),
        (np.zeros((4, 4, 3), bool), TypeError, "bool is none of"),
        (np.full((4, 4, 3), 200.0), ValueError, "values from 200 to 200"),
        (np.full((4, 4), -1e-6), ValueError, "floating-point images are in"),
        (np.array([[0.5, np.nan]]), ValueError, "NaN"),
        (np.array([[0.5, np.inf]]), ValueError, "to inf"),
        (torch.zeros(4, 4), ValueError, r"\(4, 4\) is no image; give \(C, H, W\) or \(B, C, H, W\)"),
        (torch.zeros(4, 4, 3), ValueError, None),
        (torch.zeros(0, 3, 4, 4), ValueError, "no image"),
        (torch.zeros(3, 4, 4, dtype=torch.int64), TypeError, "int64 is none of"),
        (torch.full((3, 4, 4), 2.0), ValueError, "values from 2 to 2"),
        (Image.new("CMYK", (4, 4)), TypeError, "mode CMYK is none of L, LA, RGB"),
        (Image.new("F", (4, 4)), TypeError, "mode F"),
        ([[1, 2], [3, 4]], TypeError, "list is no NumPy array"),
        ("photo.png", TypeError, "str is no NumPy array"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(
    negative: Restorer, image: Any, kind: type[Exception], reason: str | None
) -> None:
    if reason is None:  # C from 1 to 4: nothing tells this from an image of four channels
        assert negative.restore(image).shape == image.shape
        return
    with pytest.raises(kind, match=reason) as error:
        negative.restore(image)
    assert "\n" not in str(error.value)


# ------------------------------------------------------------------------------------------ tensors


@pytest.mark.parametrize("dtype", TENSORS)
@pytest.mark.parametrize("shape", [(3, 9, 31), (1, 9, 31), (4, 5, 6), (2, 3, 20, 25), (3, 1, 7, 4), (2, 2, 3, 3)])
def test_tensors_keep_shape_dtype_and_device(negative: Restorer, shape: tuple[int, ...], dtype: str) -> None:
    kind: torch.dtype = getattr(torch, dtype)
    given = torch.from_numpy(drawn(shape, dtype if dtype != "bfloat16" else "float32")).to(kind)
    found = negative.restore(given)
    assert (found.shape, found.dtype, found.device) == (given.shape, kind, given.device)
    expected = WHITE.get(dtype, 1) - given.double()
    if shape[-3] in (2, 4):
        expected[..., -1, :, :] = given.double()[..., -1, :, :]
    assert (found.double() - expected).abs().max() <= {"float16": 1e-3, "bfloat16": 8e-3}.get(dtype, 1e-7)


def test_tensors_are_given_back_for_any_use(negative: Restorer) -> None:
    given = torch.rand(3, 8, 9, requires_grad=True)
    found = negative.restore(given)
    assert not found.requires_grad
    (slope,) = torch.autograd.grad(found.requires_grad_().square().sum(), found)  # refused of what inference mode made
    assert torch.equal(slope, 2 * found)
    turned = given.detach().permute(0, 2, 1)
    assert torch.equal(negative.restore(turned), negative.restore(turned.contiguous()))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_tensors_on_a_gpu_come_back_there(negative: Restorer) -> None:
    given = torch.rand(2, 3, 20, 25)
    found = negative.restore(given.cuda())
    assert found.is_cuda
    assert torch.equal(found.cpu(), negative.restore(given))


def test_a_model_that_enlarges_enlarges_alpha_too() -> None:
    doubling = restorer_of(Negative(scale=2))
    given = drawn((6, 7, 4), "uint8")
    given[..., 3] = 90  # of which every interpolation is itself
    found = doubling.restore(given)
    assert found.shape == (12, 14, 4)
    assert np.array_equal(found[..., :3], negated(given)[..., :3].repeat(2, 0).repeat(2, 1))
    assert (found[..., 3] == 90).all()
    assert doubling.restore(torch.rand(2, 1, 5, 4)).shape == (2, 1, 10, 8)
    assert doubling.restore(Image.new("RGB", (7, 5))).size == (14, 10)


# ----------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16", "I;16B"])
def test_pictures_keep_mode_and_info(negative: Restorer, mode: str) -> None:
    channels = {"LA": (2,), "RGB": (3,), "RGBA": (4,)}.get(mode, ())
    array = drawn((12, 15, *channels), "uint16" if mode.startswith("I") else "uint8")
    image = Image.fromarray(array.astype(">u2") if mode == "I;16B" else array)
    assert image.mode == mode
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.info = {"icc_profile": profile, "exif": b"Exif\0\0rest", "dpi": (300, 300)}
    found = negative.restore(image)
    assert (found.mode, found.size, found.info) == (mode, image.size, image.info)
    assert np.array_equal(np.asarray(found), negated(array))


def test_palettes_and_transparent_colours_become_channels(negative: Restorer, tmp_path: Path) -> None:
    rgb = Image.open(photographs(tmp_path / "photos", "a.png") / "a.png")
    palette = rgb.quantize(16)
    found = negative.restore(palette)
    assert found.mode == "RGB"
    assert np.array_equal(np.asarray(found), 255 - np.asarray(palette.convert("RGB")))
    palette.info["transparency"] = 3
    found = negative.restore(palette)
    assert (found.mode, "transparency" in found.info) == ("RGBA", False)
    assert np.array_equal(np.asarray(found.getchannel("A")) == 0, np.asarray(palette) == 3)
    gray = rgb.convert("L")
    gray.info["transparency"] = 128
    assert negative.restore(gray).mode == "LA"


def test_a_file_s_profile_and_exif_outlive_restoration(negative: Restorer, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "a description", 6
    Image.fromarray(drawn((8, 12, 3), "uint8")).save(tmp_path / "a.jpg", exif=exif, dpi=(72, 72))
    with Image.open(tmp_path / "a.jpg") as image:
        restored = negative.restore(image)
    assert restored.size == (12, 8)  # not turned: the orientation goes along
    restored.save(tmp_path / "b.png", exif=restored.info["exif"])
    with Image.open(tmp_path / "b.png") as image:
        assert dict(image.getexif()) == dict(exif)


# ----------------------------------------------------------------------------------- threads, tiles


def test_eight_threads_restore_as_one_does() -> None:
    torch.manual_seed(0)
    restorer = restorer_of(UNet(features=4, levels=1), tile=24)
    sizes = np.random.default_rng(1).integers(5, 70, (32, 2))
    images = [drawn((*size, 3), "float32", seed) for seed, size in enumerate(sizes.tolist())]
    serial = [restorer.restore(image) for image in images]
    with ThreadPoolExecutor(8) as pool:
        for found, expected in zip(pool.map(restorer.restore, images), serial, strict=True):
            assert np.array_equal(found, expected)


def test_tiles_make_no_difference() -> None:
    torch.manual_seed(0)
    network = UNet(features=4, levels=1).eval()
    image = torch.rand(2, 3, 61, 47)
    with torch.no_grad():
        expected = network(image).clamp(0, 1)
    found = restorer_of(network, tile=8).restore(image)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_importing_the_package_alone_loads_no_pytorch() -> None:
    script = (
        "import sys, unseen; assert 'torch' not in sys.modules and 'numpy' not in sys.modules; "
        "from unseen import Restorer; assert unseen.Restorer is Restorer and 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    import unseen

    with pytest.raises(AttributeError, match="module 'unseen' has no attribute 'Restore'"):
        partial(getattr, unseen)("Restore")


# ------------------------------------------------------------------------------------------ judged


def grainy(*size: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).normal(128, 20, (*size, 3))
    return noise.clip(0, 255).astype(np.uint8)


def partly_hidden(*size: int) -> NDArray[np.uint8]:
    """Noise with a third that is transparent, where the file holds another noise."""
    image = np.concatenate([grainy(*size), np.full((*size, 1), 255, np.uint8)], axis=2)
    image[:, : size[1] // 3, :3] //= 3
    image[:, : size[1] // 3, 3] = 0
    return image


@pytest.mark.parametrize("make", [grainy, partly_hidden])
@pytest.mark.parametrize("keep_colours", [False, True])
def test_checked_images_have_what_the_command_tells_of_files(
    keep_colours: bool, make: Callable[..., NDArray[np.uint8]], tmp_path: Path
) -> None:
    restorer, image = Restorer.load("denoiser", device="cpu", tile=64), make(80, 70)
    Image.fromarray(image).save(tmp_path / "a.png")
    options = RestoreOptions(restorer.model, restorer.tiling, envelope=restorer.envelope, keep_colours=keep_colours)
    planned = plan_restoration([str(tmp_path / "a.png")], tmp_path / "out", "input")
    (record,) = restore_files(planned.jobs, planned.folder, options, Event()).restored
    checked = restorer.restore_checked(image, keep_colours=keep_colours)
    assert np.array_equal(np.asarray(Image.open(record.target)), checked.image)
    assert (record.noise_level, record.kept) == (checked.noise_level, checked.kept)
    assert tuple(warning.text for warning in record.warnings) == checked.warnings
    if make is grainy:
        assert checked.noise_level == pytest.approx(20, rel=0.1)
    if not keep_colours:
        assert np.array_equal(checked.image, restorer.restore(image))
    assert restorer.safety.startswith("Safe where the noise level is")


def test_images_that_would_hardly_change_come_back_to_the_bit(negative: Restorer) -> None:
    """A network that darkens what is bright a good deal, and what is dark by half a level."""
    model = replace(negative.model, run=lambda images: torch.where(images > 0.5, images - 0.1, images - 0.5 / 255))
    images = torch.rand(2, 4, 20, 30, dtype=torch.float64) * 0.3 + torch.tensor([0.1, 0.6]).view(2, 1, 1, 1)
    images[:, 3] = 1
    restorer = Restorer(model, Tiling(16, 1))
    restored, all_of_it = restorer.restore(images), restorer.restore(images, harm_check=False)
    assert torch.equal(restored[0], images[0])
    assert torch.equal(restored[1], all_of_it[1])
    assert (all_of_it[:, :3] < images[:, :3]).all()
    checked = [restorer.restore_checked(image) for image in images]
    assert [check.kept for check in checked] == [0, 1]
    assert (checked[0].warnings, torch.equal(checked[0].image, images[0])) == ((), True)


@pytest.mark.parametrize("worth", [0.97, 1.03])
def test_a_file_and_an_image_in_memory_are_judged_alike(worth: float, tmp_path: Path) -> None:
    """A change in the middle alone, which tiles that overlap restore more often than what is around it."""
    image = np.full((96, 96, 3), 128, np.uint8)
    image[40:56, 40:56] = 60
    change = 6 * worth * SLIGHT_WHERE_QUIET  # of a 36th of the pixels
    restorer = Restorer(
        Model("middle", lambda x: torch.where(x < 0.3, x + change, x), ReceptiveField(0)), Tiling(32, 24)
    )
    Image.fromarray(image).save(tmp_path / "a.png")
    planned = plan_restoration([str(tmp_path / "a.png")], tmp_path / "out", "input")
    options = RestoreOptions(restorer.model, restorer.tiling)
    (record,) = restore_files(planned.jobs, planned.folder, options, Event()).restored
    kept = [record.kept, restorer.restore_checked(image).kept, float((restorer.restore(image) != image).any())]
    assert kept == [float(worth > 1)] * 3


def test_a_model_that_enlarges_is_never_left_out_and_keeps_no_colours() -> None:
    doubled = Model("doubled", lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3), ReceptiveField(0, 1, 2))
    restorer, image = Restorer(doubled, Tiling(16, 0)), grainy(9, 9)
    assert restorer.restore(image).shape == (18, 18, 3)
    assert restorer.restore_checked(image).kept == 1
    with pytest.raises(UserError, match="keep_colours: doubled enlarges"):
        restorer.restore_checked(image, keep_colours=True)


def test_images_are_judged_one_at_a_time(negative: Restorer) -> None:
    with pytest.raises(ValueError, match="2 images; give one at a time"):
        negative.restore_checked(torch.rand(2, 3, 20, 20))
    single = torch.rand(1, 3, 20, 20)
    assert torch.equal(negative.restore_checked(single).image, negative.restore(single))
