"""Gray photographs from end to end: trained, tested, shown and restored with networks of one channel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.commandline import MACHINE, CommandLine

from unseen import Restorer
from unseen.data.embedded import embedded_photos
from unseen.data.gray import grayed
from unseen.models.checkpoint import load_checkpoint

GRAY = "plain:features=4,depth=2,channels=1"
SIZE = ("--budget", "16", "--batch", "4", "--patch", "16", "--validations", "1")
TRAIN = ("train", "--protocol", "denoise-gray", *MACHINE, *SIZE)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gray") / "study"


def test_a_photograph_becomes_its_luma_as_pillow_rounds_it_and_stays_known() -> None:
    photo = embedded_photos("test")[0]
    gray = grayed(photo)
    assert np.array_equal(gray.pixels[..., 0], np.array(Image.fromarray(photo.pixels).convert("L")))
    assert (gray.name, gray.digest) == (photo.name, photo.digest)
    assert gray.centre(8).fingerprint.digest == photo.fingerprint.digest


def test_networks_of_one_channel_are_compared_shown_and_restore_gray_files(
    unseen: CommandLine, study: Path, tmp_path: Path
) -> None:
    methods = ("dil_sf", f"erm @ wne:{GRAY}")
    test = ("--images", "1", "--crop", "64")
    size = ("--protocol", "denoise-gray", "--backbone", GRAY, *MACHINE, *SIZE, *test, "--seeds", "1")
    assert "gaussian noise" in unseen("compare", "--methods", *methods, *size, "--out", study).out
    assert "data:image/png" in (study / "report.html").read_text()
    assert "denoise-gray" not in unseen("evaluate", study / "dil_sf-0", *MACHINE, *test, "--out", tmp_path / "test").err
    gray = embedded_photos("validation")[0].pixels[:40, :50, 0]
    for run in sorted(folder for folder in study.iterdir() if folder.is_dir()):
        network, _ = load_checkpoint(run)
        with torch.inference_mode():
            alone = network(torch.from_numpy(gray.copy())[None, None].float() / 255).clamp(0, 1)[0, 0]
        restored = Restorer.load(str(run), device="cpu").restore(gray)
        assert np.abs(restored - (alone * 255).round().numpy()).max() <= 1
    Image.fromarray(gray).save(tmp_path / "gray.png")
    told = unseen("restore", tmp_path / "gray.png", "--model", study / "dil_sf-0", "--out", tmp_path / "out").err
    assert "is a network for gray images; each colour channel is restored by itself" in told
    assert Image.open(tmp_path / "out" / "gray.png").mode == "L"
    told = unseen.refusal("evaluate", study / "dil_sf-0", "--protocol", "denoise", "--out", tmp_path / "colour")
    of = "restores images of 1 channel, and denoise is of colour photographs; leave channels=1 out"
    assert told == f"backbone: {GRAY!r} {of}"


def test_draws_on_the_device_cut_the_same_gray_patches(unseen: CommandLine, tmp_path: Path) -> None:
    unseen(*TRAIN, "--backbone", GRAY, "--draws", "device", "--out", tmp_path / "run")
    assert load_checkpoint(tmp_path / "run")[0].channels == 1


@pytest.mark.parametrize("command", [TRAIN, ("compare", *TRAIN[1:], "--seeds", "1")])
def test_a_network_of_three_channels_is_refused_with_what_to_write(
    command: tuple[str, ...], unseen: CommandLine, tmp_path: Path
) -> None:
    told = unseen.refusal(*command, "--backbone", "wne:plain:features=4", "--out", tmp_path / "run")
    of = "restores images of 3 channels, and denoise-gray is of gray photographs; give a network of one channel"
    assert told == f"backbone: 'wne:plain:features=4' {of}, such as plain:channels=1 or rrdb:channels=1"


def test_a_pack_is_refused_as_it_holds_colours(unseen: CommandLine, photos: Path, tmp_path: Path) -> None:
    unseen("pack", photos, "--out", tmp_path / "pack")
    told = unseen.refusal(*TRAIN, "--backbone", GRAY, "--data", tmp_path / "pack", "--out", tmp_path / "run")
    assert told == "data: a pack holds photographs in colour, and denoise-gray is of gray ones; give folders"
