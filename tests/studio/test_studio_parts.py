"""What the studio is made of: its folder and port, what it shows of a photograph and says of it, its distortions."""

from __future__ import annotations

import os
import re
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from unseen.core.errors import UserError
from unseen.core.installation import install_command
from unseen.core.registry import build
from unseen.data.tensors import to_pixels, to_tensor
from unseen.evaluation.noise import estimate_noise
from unseen.models.backbones import BACKBONES
from unseen.models.card import Card, Quality
from unseen.models.loading import Model, model_of
from unseen.models.receptive_field import ReceptiveField
from unseen.protocols.loading import load_protocol
from unseen.restoration.imagefiles.image_file import open_image
from unseen.studio import serve
from unseen.studio.excerpt import read_excerpt
from unseen.studio.folder import delete_old_files
from unseen.studio.kinds import SLIDER_KINDS, Candidate, SliderKind, kind_named, training_confounders_of
from unseen.studio.repair import restore_to_file
from unseen.studio.server import in_small_tiles, listening

pytestmark = [  # gradio takes seconds to import, and its server to start
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("gradio") is None, reason="needs the extra studio"),
]


def test_files_are_deleted_after_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unseen.studio.folder.DELETION_INTERVAL", 0.01)
    (tmp_path / "upload").mkdir()
    old, new = tmp_path / "upload/old.png", tmp_path / "new.png"
    for file, age in ((old, 3700), (new, 3500)):
        file.touch()
        os.utime(file, (time.time() - age, time.time() - age))
    stop = Event()
    thread = Thread(target=delete_old_files, args=(tmp_path, stop))
    thread.start()
    while old.exists() and thread.is_alive():
        time.sleep(0.01)
    stop.set()
    thread.join()
    assert not old.exists()
    assert new.exists()


def test_a_port_that_is_taken_is_refused() -> None:
    with listening(0) as first, listening(0) as second:
        taken = first.getsockname()[1]
        assert second.getsockname()[1] > taken
        with pytest.raises(UserError, match=f"port: .*{taken}.* give another --port"):
            serve({}, taken, open_browser=False)


@pytest.mark.parametrize("port", [99999, 65536, -1])
def test_what_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(UserError, match=f"^port: {port} is not within 0 to 65535$"):
        serve({}, port, open_browser=False)


def test_without_gradio_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(UserError, match=re.escape(install_command("studio"))):
        serve({}, open_browser=False)


@pytest.mark.parametrize(
    ("names", "right"), [(["erm", "denoiser"], 3), (["erm", "ceiling"], 2), (["denoiser", "erm"], 2), ([], 1)]
)
def test_it_begins_with_the_denoiser_or_else_the_first_network(tmp_path: Path, names: list[str], right: int) -> None:
    from unseen.studio.page import build_page

    models = {name: Model(name, lambda images: images, ReceptiveField(0)) for name in names}
    models["double"] = Model("double", lambda images: images, ReceptiveField(0, 1, 2))  # which is not compared
    page = build_page(models, in_small_tiles, tmp_path, Event())
    values = {getattr(block, "elem_id", None): getattr(block, "value", None) for block in page.blocks.values()}
    assert values["right"] == right
    assert values["model"] == ("denoiser" if "denoiser" in names else next(iter(models)))


@pytest.mark.parametrize("place", [(0.0, 0.0), (0.5, 0.6), (1.0, 1.0)])
def test_what_is_shown_of_a_photo_is_what_the_whole_becomes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: tuple[float, float]
) -> None:
    monkeypatch.setattr("unseen.studio.excerpt.EXCERPT_WIDTH", 40)
    monkeypatch.setattr("unseen.studio.excerpt.EXCERPT_HEIGHT", 30)
    pixels = np.random.default_rng(0).integers(0, 256, (97, 131, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    model = model_of(build("wne:plain:features=6,depth=4", BACKBONES, "backbone", nn.Module), "wne")
    excerpt = read_excerpt(tmp_path / "noise.png", model, in_small_tiles(model).overlap, place)
    top, left = excerpt.rows.first, excerpt.columns.first
    assert (top, left) == {(0.0, 0.0): (0, 0), (0.5, 0.6): (43, 46), (1.0, 1.0): (67, 91)}[place]
    whole = to_pixels(model.run(to_tensor(pixels)).clamp(0, 1))[top : top + 30, left : left + 40]
    assert np.abs(excerpt.restored(1).astype(int) - whole).max() <= 1
    assert np.array_equal(excerpt.before, pixels[top : top + 30, left : left + 40])


def card_of(method: str = "erm", protocol: str = "denoise", digits: str = "") -> Card:
    config = {"backbone": "plain", "method": method, "protocol": protocol, "seed": 0, "budget": 1}
    return Card("0", config, digits or load_protocol("denoise").hash(), 1)


def remarks(path: Path, folder: Path, card: Card | None) -> tuple[str, ...]:
    model = Model("darker", lambda images: 0.99 * images, ReceptiveField(0), card)
    return restore_to_file(path, model, in_small_tiles(model), folder, Event(), lambda share: None).notes


def test_the_noise_is_read_where_restore_reads_it_and_told_once(tmp_path: Path) -> None:
    """In a photograph that is noisy everywhere but in the middle."""
    pixels = np.random.default_rng(0).normal(128, 20, (900, 1200, 3))
    pixels[200:700, 300:900] = 128
    path = tmp_path / "frame.png"
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    reading = estimate_noise(open_image(path).crops())
    levels = [
        Quality("seen", "gaussian_noise", float(noise), "set", 5, 20.0, 22.0, 2.0, 1.0, 3.0, noise)
        for noise in (reading + 1, reading + 2)
    ]
    told = f"is about {reading:.1f} gray levels"
    assert told in remarks(path, tmp_path, None)[0]
    assert told in remarks(path, tmp_path, card_of())[0]
    careful = remarks(path, tmp_path, replace(card_of(), quality=tuple(levels)))
    assert [line.count(f"{reading:.1f} gray") for line in careful] == [1]
    assert careful[0].startswith("Careful: ")


def test_a_network_that_changes_nothing_is_told(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)).save(tmp_path / "noise.png")
    model = Model("same", lambda images: images.clone(), ReceptiveField(0), None)
    restored = restore_to_file(
        tmp_path / "noise.png", model, in_small_tiles(model), tmp_path, Event(), lambda share: None
    )
    assert "Careful: the output equals the input, the model changed nothing." in restored.notes


def test_what_restore_warns_of_is_said_on_the_page_too(tmp_path: Path) -> None:
    Image.new("RGB", (200, 200), (30, 220, 40)).save(tmp_path / "led.png")

    def paler(images: torch.Tensor) -> torch.Tensor:
        return images * torch.tensor([1.0, 0.7, 1.0]).view(1, 3, 1, 1)

    model = Model("paler", paler, ReceptiveField(0), None)
    notes = restore_to_file(
        tmp_path / "led.png", model, in_small_tiles(model), tmp_path, Event(), lambda share: None
    ).notes
    assert "Careful: colours of large areas moved by up to 66 gray levels." in notes


# ---------------------------------------------------------------------------------------- distortions


@pytest.mark.parametrize("kind", SLIDER_KINDS, ids=lambda kind: kind.name)
def test_every_strength_can_be_made_and_more_is_stronger(kind: SliderKind) -> None:
    rows, columns = np.mgrid[:64, :64]
    wave = 0.5 + 0.4 * np.sin(rows / 2) * np.cos(columns / 3)
    clean = torch.from_numpy(wave).float().expand(1, 3, 64, 64)
    errors = []
    for strength in map(kind.nearest, np.linspace(kind.lowest - 1, kind.highest + 1, 7).tolist()):
        distortion = kind.distortion(strength)
        draws = torch.Generator().manual_seed(0)
        errors.append(float((distortion.apply(clean, distortion.sample(draws, 1)) - clean).square().mean()))
        if strength:
            assert kind.strength(kind.degree(strength)) == pytest.approx(strength)
    assert errors == sorted(errors)
    assert kind.lowest <= kind.first <= kind.highest


def test_photon_noise_is_of_the_stated_deviation_at_white() -> None:
    kind = kind_named("poisson_noise")
    white = torch.ones(1, 3, 128, 128)
    distortion = kind.distortion(20)
    darker = distortion.apply(white / 2, distortion.sample(torch.Generator().manual_seed(0), 1)) * 255
    assert float(darker.std()) == pytest.approx(20 * 0.5**0.5, rel=0.02)


def test_what_a_network_saw_is_told_by_its_card() -> None:
    gaussian, jpeg = kind_named("gaussian_noise"), kind_named("jpeg")
    for method, highest in (("erm", 20), ("ceiling", 50)):
        learnt = training_confounders_of(card_of(method))
        assert learnt is not None
        assert gaussian.trained_range(learnt) == (5, highest)
        assert jpeg.trained_range(learnt) is None
    for card in (None, card_of(digits="0" * 12), card_of(protocol="/etc/mine.yaml"), card_of("widened_erm")):
        assert training_confounders_of(card) is None
    blind = training_confounders_of(card_of(protocol="blind-denoise", digits=load_protocol("blind-denoise").hash()))
    assert blind is not None
    assert gaussian.trained_range(blind) == (2, 50)
    assert jpeg.trained_range(blind) is None  # it saw JPEG after noise, and not alone


def test_seen_ends_where_the_training_did() -> None:
    gaussian, jpeg = kind_named("gaussian_noise"), kind_named("jpeg")
    model = Model("none", lambda images: images, ReceptiveField(0))
    known = Candidate("erm", model, training_confounders_of(card_of()))
    standings = [known.familiarity(gaussian, strength) for strength in (4, 5, 20, 21)]
    assert standings == ["unseen", "seen", "seen", "unseen"]
    assert known.familiarity(jpeg, 50) == "unseen kind"
    assert Candidate("other", model, None).familiarity(gaussian, 10) == "not known"
