"""What `unseen restore` tells and records of photographs, and which it leaves as they are."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch
from PIL import Image
from support.commandline import TINY, CommandLine, photographs
from support.restoring import SINGLE, Restore, files, pixels

from unseen.core.errors import UserError
from unseen.core.units import parse_bytes
from unseen.models.card import Quality
from unseen.models.checkpoint import with_quality
from unseen.models.loading import Model
from unseen.models.receptive_field import ReceptiveField
from unseen.restoration.batch import RestoreOptions, restore_files
from unseen.restoration.planning import plan_restoration
from unseen.restoration.report import PhotoWarning, RestoredFile, warning_lines
from unseen.restoration.self_check import SLIGHT
from unseen.restoration.tiles import Tiling


def test_a_photograph_outside_the_envelope_is_told(restore: Restore, tmp_path: Path) -> None:
    carded = shutil.copytree(restore.model, tmp_path / "carded")
    levels = [
        Quality("seen", "gaussian_noise", sigma, "test", 9, 20.0, 25.0, 5.0, 4.0, 6.0, noise=sigma)
        for sigma in (8.0, 16.0)
    ]
    with_quality(carded, levels)
    folder = tmp_path / "photos"
    folder.mkdir()
    draws = np.random.default_rng(0)
    for name, sigma in (("clean", 0), ("inside", 12), ("beyond", 60)):
        noisy = 128 + sigma * draws.standard_normal((96, 96, 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{name}.png")
    words = ("restore", folder, "-o", tmp_path / "out", "--model", carded, "--no-harm-check", *SINGLE)
    told = restore.unseen(*words)
    lines = [line for line in told.err.splitlines() if line.startswith("look at ")]
    assert [line.split(":")[0] for line in lines] == ["look at beyond.png", "look at clean.png"]
    assert "outside the 8.0 to 16.0" in lines[0]


def test_many_warnings_alike_are_one_line_that_says_what_to_look_for() -> None:
    fine = PhotoWarning("its noise level is 3", "noise level below 10; look for fine texture that is gone")
    lost = PhotoWarning("its gain map is gone")
    photos = [
        RestoredFile(f"{i}.png", Path(f"{i}.png"), 0, Path("out"), 3.0, 1.0, i, (fine, lost) if i == 1 else (fine,))
        for i in range(8)
    ]
    clean = [replace(photo, warnings=()) for photo in photos[:2]]
    assert warning_lines(clean) == []
    assert warning_lines([*clean, *photos[:2]]) == [
        "look at 0.png: its noise level is 3",
        "look at 1.png: its noise level is 3; its gain map is gone",
    ]
    assert warning_lines([*photos, *clean]) == [
        "look at 8 of 10 (7.png, 6.png, 5.png, 4.png, 3.png and 3 more): noise level below 10; "
        "look for fine texture that is gone",
        "look at 1 of 10 (1.png): its gain map is gone",
    ]


def test_black_and_white_is_told_where_the_default_model_gets_it(tmp_path: Path) -> None:
    folder = photographs(tmp_path / "photos", "a.png", "b.png")
    Image.new("L", (24, 28), 90).save(folder / "c.png")
    Image.new("RGB", (24, 28), (90, 90, 90)).save(folder / "d.png")
    planned = plan_restoration([str(folder)], tmp_path / "out", "input")
    notes = []
    for name in ("denoiser", "denoiser_gray", "mine.onnx"):
        options = RestoreOptions(Model(name, lambda images: images, ReceptiveField(0)), Tiling(64, 1))
        notes.append(restore_files(planned.jobs, planned.folder, options, Event(), overwrite=True).model_notes)
    told = (
        "2 pictures are in black and white, whose noise denoiser mostly leaves; --model denoiser_gray is for noisy ones"
    )
    assert notes == [[told], [], []]


def test_the_record_of_a_photograph_has_noise_share_and_mean_change(tmp_path: Path) -> None:
    """A model that brightens by two levels; the second picture is too small for an estimate of noise."""
    folder = photographs(tmp_path / "photos", "a.png", size=(40, 40))
    Image.new("RGB", (9, 9), (200, 30, 30)).save(folder / "b.png")
    planned = plan_restoration([str(folder)], tmp_path / "out", "input")
    brighter = Model("brighter", lambda images: images + 2 / 255, ReceptiveField(0))
    options = RestoreOptions(brighter, Tiling(16, 1))
    first, second = restore_files(planned.jobs, planned.folder, options, Event(), overwrite=True).restored
    assert (first.name, first.source, first.target) == ("a.png", folder / "a.png", tmp_path / "out" / "a.png")
    assert first.noise_level > 0
    assert math.isnan(second.noise_level)
    assert first.mean_change == pytest.approx(2, abs=0.01)
    assert (first.kept, second.kept) == (1, 1)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp", "a.bmp"])
@pytest.mark.parametrize("tile", [16, 64])
def test_a_photograph_that_would_hardly_change_is_copied_byte_for_byte(name: str, tile: int, tmp_path: Path) -> None:
    folder = photographs(tmp_path / "photos", name, size=(40, 50))
    planned = plan_restoration([str(folder)], tmp_path / "out", "input")
    options = RestoreOptions(Model("brighter", lambda x: x + 0.9 * SLIGHT, ReceptiveField(0)), Tiling(tile, 0))
    for harm_check in (False, True):
        options = replace(options, harm_check=harm_check)
        (photo,) = restore_files(planned.jobs, planned.folder, options, Event(), overwrite=True).restored
        assert (photo.kept, photo.mean_change > 0) == ((0, False) if harm_check else (1, True))
        assert (photo.target.read_bytes() == photo.source.read_bytes()) == harm_check
        assert files(tmp_path / "out") == [name]


def test_without_a_known_envelope_it_is_said_once(restore: Restore, tree: Path, tmp_path: Path) -> None:
    told = restore(tree, "-o", tmp_path / "out")
    assert len([line for line in told.err.splitlines() if "Where it is safe is not known" in line]) == 1


def test_an_output_that_equals_its_input_is_told(unseen: CommandLine, tree: Path, tmp_path: Path) -> None:
    """A network whose residual is zero changes nothing."""
    from safetensors.torch import load_file, save_file

    from unseen.models.checkpoint import CHECKPOINT, _read

    run = tmp_path / "run"
    photos = photographs(tmp_path / "train", "a.png", "b.png", size=(48, 48))
    unseen("train", *TINY, "--method", "erm", "--data", photos, "--out", run)
    card = _read(run / CHECKPOINT, "unseen")[1]
    zeros = {name: torch.zeros_like(value) for name, value in load_file(run / CHECKPOINT).items()}
    save_file(zeros, run / CHECKPOINT, metadata={"unseen": card})
    told = unseen("restore", tree / "a.png", "-o", tmp_path / "out", "--model", run, "--no-harm-check", *SINGLE)
    assert "look at a.png: the output equals the input, the model changed nothing" in told.err
    assert np.array_equal(pixels(tmp_path / "out" / "a.png"), pixels(tree / "a.png"))


@pytest.mark.parametrize(("difference", "same"), [(0, True), (0.4, True), (0.6, False), (-0.6, False)])
def test_half_a_level_anywhere_is_a_change(tmp_path: Path, difference: float, same: bool) -> None:
    def nudging(images: torch.Tensor) -> torch.Tensor:
        nudged = images.clone()
        nudged[:, 1, 3, 4] += difference / 255
        return nudged

    assert told_equal(Model("mine", nudging, ReceptiveField(1)), tmp_path) == same


def test_an_output_of_another_size_is_another(tmp_path: Path) -> None:
    def doubled(images: torch.Tensor) -> torch.Tensor:
        return images.repeat_interleave(2, 2).repeat_interleave(2, 3)

    assert not told_equal(Model("mine", doubled, ReceptiveField(1, scale=2)), tmp_path)


def told_equal(model: Model, folder: Path) -> bool:
    """Whether it is told of a photograph that its output equals its input."""
    planned = plan_restoration([str(photographs(folder / "photos", "a.png"))], folder / "out", "input")
    options = RestoreOptions(model, Tiling(64, 1), harm_check=False)
    (photo,) = restore_files(planned.jobs, planned.folder, options, Event()).restored
    return any("equals the input" in warning.text for warning in photo.warnings)


def test_the_harm_check_leaves_a_clean_picture_as_it_is_and_says_so(unseen: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    rows = np.arange(96, dtype=np.uint8)[:, None, None]
    flat = np.broadcast_to(80 + rows // 4, (96, 96, 3)).astype(np.uint8)
    Image.fromarray(flat).save(tmp_path / "in" / "flat.png")
    words = ("restore", tmp_path / "in", *SINGLE, "-o")
    told = unseen(*words, tmp_path / "kept")
    assert np.array_equal(pixels(tmp_path / "kept" / "flat.png"), flat)
    assert "left as it is, so little would change: flat.png (--no-harm-check)" in told.err
    assert "look at" not in told.err
    for more in ("--no-harm-check", "--strength=0"):
        assert "left as it is" not in unseen(*words, tmp_path / more, more).err


def test_progress_is_silent_where_there_is_no_terminal(restore: Restore, tree: Path, tmp_path: Path) -> None:
    told = restore(tree, "-o", tmp_path / "out")
    assert told.err.count("\n") == 1  # that nothing is known of its safety


def test_amounts_of_memory() -> None:
    assert parse_bytes("1GiB", "memory") == 2**30
    assert parse_bytes(" 2.5 MB", "memory") == 2_500_000
    assert parse_bytes("4096B", "memory") == 4096
    for wrong in ("", "much", "-1GiB", "0", "1XB", "1e999GB", "nan", "20"):
        with pytest.raises(UserError, match=r"memory: .* give one such as 512MiB"):
            parse_bytes(wrong, "memory")
