"""What the studio says of a photograph, and the distortions of its slider."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch
from PIL import Image

from unseen.evaluation.noise import estimate_noise
from unseen.models.card import Card, Quality
from unseen.models.loading import Model
from unseen.models.receptive_field import ReceptiveField
from unseen.protocols.loading import load_protocol
from unseen.restoration.imagefiles.image_file import open_image
from unseen.studio.kinds import SLIDER_KINDS, Candidate, SliderKind, kind_named, training_confounders_of
from unseen.studio.repair import restore_to_file
from unseen.studio.server import in_small_tiles

pytestmark = [  # gradio takes seconds to import, and its server to start
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("gradio") is None, reason="needs the extra studio"),
]


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
    for card in (None, card_of(digits="0" * 12), card_of(protocol="/etc/mine.yaml")):
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
