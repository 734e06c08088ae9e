"""Strength: how strong the noise is taken for; what it changes, what it leaves as it is, and who takes none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from support.commandline import CommandLine, photographs
from support.networks import save_noise_reader

from unseen.core.errors import UserError
from unseen.models.backbones.padded import next_multiple
from unseen.models.loading import load_model
from unseen.restoration.report import NoiseRange, RestoredFile, noise_lines
from unseen.restoration.restorer import Restorer
from unseen.restoration.tiles import Tiling

SINGLE = ["--device", "cpu", "--threads", "1"]


@pytest.fixture(scope="module", params=["drunet_small:features=4,levels=2", "wne:drunet_small:features=4,levels=2"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a network that reads noise, with weights by which it changes much."""
    spec, path = request.param, tmp_path_factory.mktemp("model") / "a.safetensors"
    save_noise_reader(spec, path)
    return path


def restorer_of(model: Path, tile: int = 512) -> Restorer:
    return Restorer(load_model(str(model)), Tiling(tile, 256))


def photo(height: int = 40, width: int = 56) -> NDArray[np.float32]:
    return np.random.default_rng(0).random((height, width, 3), np.float32)


def test_a_model_is_bound_to_a_strength_that_its_network_gets(model: Path) -> None:
    loaded, image = load_model(str(model)), torch.from_numpy(photo()).permute(2, 0, 1)[None]
    assert loaded.takes_strength
    assert loaded.with_strength(1) is loaded
    results = {strength: loaded.with_strength(strength).run(image) for strength in (0, 0.5, 1, 2)}
    assert torch.equal(results[0], image)
    assert torch.equal(results[1], loaded.run(image))
    assert torch.equal(loaded.with_strength(0.5).with_strength(2).run(image), results[2])
    weaker, stronger = ((results[strength] - results[1]).abs().max() for strength in (0.5, 2))
    assert min(weaker, stronger) > 1e-3
    assert loaded.noise_map is not None
    assert loaded.with_strength(0.5).noise_map is loaded.noise_map  # what is read does not depend on it


@pytest.mark.parametrize("strength", [-0.1, 2.1, float("nan")])
def test_a_strength_out_of_range_is_refused(model: Path, strength: float) -> None:
    with pytest.raises(UserError, match=r"^strength: .* is not from 0 to 2$"):
        restorer_of(model).restore(photo(), strength=strength)


def test_a_model_that_reads_no_noise_takes_none() -> None:
    restorer = Restorer.load("erm", device="cpu", tile=64)
    assert np.array_equal(restorer.restore(photo(), strength=1), restorer.restore(photo()))
    for strength in (0, 0.5):
        for restore in (restorer.restore, restorer.restore_checked):
            with pytest.raises(UserError, match=r"^strength: erm takes none, as it does not read the noise itself"):
                restore(photo(), strength=strength)


def test_a_strength_of_0_returns_images_of_every_kind_to_the_bit_and_runs_nothing(model: Path) -> None:
    def fails(images: torch.Tensor) -> torch.Tensor:
        raise AssertionError("the network is run")

    restorer = restorer_of(model)
    restorer = replace(restorer, model=replace(restorer.model, run=fails))
    values = photo().astype(np.float64)
    for image in (values, values.astype(np.float16), (values * 65535).astype(np.uint16), values[..., 0]):
        restored = restorer.restore(image, strength=0)
        assert restored.dtype == image.dtype
        assert np.array_equal(restored, image)
        assert not np.shares_memory(restored, image)
    tensor = torch.from_numpy(values)
    checked = restorer.restore_checked(tensor.permute(2, 0, 1)[:1], strength=0)
    assert torch.equal(checked.image, tensor.permute(2, 0, 1)[:1])
    assert (checked.kept, checked.warnings) == (0, ())
    picture = Image.fromarray((values * 255).astype(np.uint8))
    assert np.array_equal(np.asarray(restorer.restore(picture, strength=0)), np.asarray(picture))
    with pytest.raises(TypeError):  # as at any strength
        restorer.restore(values.astype(np.int64), strength=0)


def test_tiles_and_the_judgement_take_the_strength(model: Path) -> None:
    restorer, image = restorer_of(model), photo(150, 170)
    whole = restorer.restore(image, strength=0.5)
    overlap = next_multiple(restorer.model.receptive_field.radius or 0, 16)
    tiled = Restorer(restorer.model, Tiling(16, overlap)).restore(image[:, :100], strength=0.5)
    np.testing.assert_allclose(tiled, restorer.restore(image[:, :100], strength=0.5), atol=1e-5)
    checked = restorer.restore_checked(image, strength=0.5)
    assert np.array_equal(checked.image, whole)
    assert checked.noise_range is not None
    assert checked.noise_level == checked.noise_range.mean
    assert checked.noise_range == restorer.restore_checked(image).noise_range
    for strength in (0.5, 1.5):
        kept = restorer.restore_checked(image, keep_colours=True, strength=strength)
        assert np.isfinite(kept.image).all()


def test_the_noise_that_is_told_is_what_the_network_reads(model: Path) -> None:
    restorer, image = restorer_of(model), photo(64, 64)
    assert restorer.model.noise_map is not None
    read = 255 * restorer.model.noise_map(torch.from_numpy(image).permute(2, 0, 1)[None])[:, :3].mean(1)
    noise = restorer.restore_checked(image).noise_range
    assert noise is not None
    assert noise.mean == pytest.approx(float(read.mean()), rel=1e-5)
    assert read.min() <= noise.low < noise.mean < noise.high <= read.max()


def test_the_command_restores_with_a_strength_and_says_what_was_read(
    model: Path, tmp_path: Path, unseen: CommandLine
) -> None:
    folder = photographs(tmp_path / "photos", "a.png", "b.png")
    words = ["restore", folder, "--model", model, *SINGLE, "-o"]
    told = unseen(*words, tmp_path / "half", "--strength", "0.5", "--report")
    assert told.err.count("gray levels (") == 2
    assert "photos/a.png: noise of " in told.err or "a.png: noise of " in told.err
    page = (tmp_path / "half" / "report.html").read_text()
    assert "as the network reads it" in page
    assert ">0.5<" in page
    unseen(*words, tmp_path / "one")
    restorer = restorer_of(model)
    for name in ("a.png", "b.png"):
        pixels = np.asarray(Image.open(folder / name))
        half, one = (np.asarray(Image.open(tmp_path / out / name)) for out in ("half", "one"))
        assert np.array_equal(half, restorer.restore(pixels, strength=0.5))
        assert np.array_equal(one, restorer.restore(pixels))
        assert not np.array_equal(half, one)
    line = unseen.refusal(*words, tmp_path / "no", "--strength", "3")
    assert line.startswith("strength: 3 is above 2")


def test_the_command_copies_files_at_a_strength_of_0_and_refuses_it_where_no_noise_is_read(
    model: Path, tmp_path: Path, unseen: CommandLine
) -> None:
    folder = photographs(tmp_path / "photos", "a.png", "b.jpg")
    words = ["restore", folder, *SINGLE, "--strength", "0", "-o"]
    told = unseen(*words, tmp_path / "same", "--model", model)
    assert told.out == f"{tmp_path / 'same'}: 0 restored, 2 left as they were\n"
    for name in ("a.png", "b.jpg"):
        assert (tmp_path / "same" / name).read_bytes() == (folder / name).read_bytes()
    unseen(*words, tmp_path / "png", "--model", model, "--format", "png")
    for name in ("a.png", "b.jpg"):
        pixels = np.asarray(Image.open((tmp_path / "png" / name).with_suffix(".png")))
        assert np.array_equal(pixels, np.asarray(Image.open(folder / name)))
    line = unseen.refusal(*words, tmp_path / "none", "--model", "erm")
    assert line.startswith("strength: erm takes none")
    assert not (tmp_path / "none").exists() or not list((tmp_path / "none").iterdir())


def test_the_noise_of_many_photographs_is_told_in_one_line() -> None:
    def record(number: int, noise: NoiseRange | None) -> RestoredFile:
        return RestoredFile(f"{number}.png", Path(), 0, Path(), 1.0, 1.0, 0.0, noise_range=noise)

    records = [record(i, NoiseRange(i, 0.5, 9)) for i in range(1, 8)]
    assert noise_lines(records[:2]) == [
        "1.png: noise of 1.0 gray levels (0.5 to 9.0), as the network reads it",
        "2.png: noise of 2.0 gray levels (0.5 to 9.0), as the network reads it",
    ]
    assert noise_lines(records) == ["noise of 1.0 to 7.0 gray levels, 4.0 in the middle, as the network reads it"]
    assert noise_lines([record(1, None)]) == []
