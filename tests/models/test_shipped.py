"""What the package ships: models with cards, and a document that says what the card says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from unseen.core.config import load_config
from unseen.models.card import Quality, envelope
from unseen.models.checkpoint import read_card
from unseen.models.files import DEFAULT, GRAY, shipped
from unseen.models.loading import load_model
from unseen.protocols.levels import UNDISTORTED

ROOT = Path(__file__).parents[2]
FIRST, SECOND = (64787, 360), (12649, 818)
TRAINED = {
    DEFAULT: (818, [FIRST]),
    GRAY: (1048, [SECOND, FIRST]),
    "erm": (10, []),
    "dil_sf": (10, []),
    "unit_noise": (10, []),
}
"""Photographs of a model's training; evaluations and photographs of those before, the last first."""


def test_they_are_small_and_the_default_is_among_them() -> None:
    assert set(shipped()) == {DEFAULT, GRAY, "erm", "dil_sf", "unit_noise"}
    sizes = [path.stat().st_size for path in shipped().values()]
    assert max(sizes) < 8e6
    assert sum(sizes) < 16.3e6


@pytest.mark.parametrize("name", list(TRAINED))
def test_each_says_how_it_was_trained_and_where_it_is_safe(name: str) -> None:
    card = read_card(shipped()[name])
    recipe = load_config(ROOT / "studies" / "shipped" / f"{name}.yaml")
    recipe.pop("precision", None)  # auto in a recipe, what it became in the card
    if name in (DEFAULT, GRAY):  # by studies/kept_brightness.py, after the training
        recipe["backbone"] += ",kept_brightness=true"
    assert {key: card.config[key] for key in recipe} == recipe
    before, earlier = [], card.earlier
    while earlier:
        before.append((earlier.evaluations, earlier.photographs))
        earlier = earlier.earlier
    assert (card.photographs, before) == TRAINED[name]
    tested = {quality.level for quality in card.quality}
    assert tested == {*card.levels, UNDISTORTED}
    assert envelope(card.quality) is not None


@pytest.mark.parametrize(("name", "odd"), [("dil_sf", "method"), ("unit_noise", "backbone")])
def test_the_small_ones_differ_from_erm_in_one_thing(name: str, odd: str) -> None:
    erm, other = (read_card(shipped()[model]) for model in ("erm", name))
    assert {key for key, value in erm.config.items() if other.config[key] != value} == {odd, "out"}
    assert erm.data == other.data
    assert erm.evaluations == other.evaluations


def row_of(quality: Quality) -> str:
    """A line of the table in docs/restoring.md."""
    if quality.level == UNDISTORTED:
        return f"| undistorted | | lossless | {quality.psnr:.2f} | loss |"
    numbers = (
        f"{quality.input_psnr:.2f} | {quality.psnr:.2f} | {quality.gain:+.2f} [{quality.low:+.2f}, {quality.high:+.2f}]"
    )
    return f"| {quality.level.name} | {quality.split} | {numbers.replace('-', '−')} |"


def test_the_table_in_the_documents_is_the_card_s() -> None:
    rows = {row_of(q) for q in read_card(shipped()[DEFAULT]).quality}
    shown = (ROOT / "docs" / "restoring.md").read_text().partition("Its card, on")[2].partition("It helps from")[0]
    lines = [line for line in shown.splitlines() if line.startswith("| ")][2:]
    assert len(lines) >= 8
    assert set(lines) <= rows
    assert lines[0].startswith("| undistorted")


@pytest.mark.parametrize(("name", "channels"), [(DEFAULT, 3), (GRAY, 1)])
def test_the_denoisers_remove_noise_and_the_noisier_the_better(name: str, channels: int) -> None:
    """On waves, which they never saw; one noise in each channel, or one in all, as in black and white."""
    rows, columns = torch.meshgrid(torch.arange(96.0), torch.arange(128.0), indexing="ij")
    clean = (0.5 + 0.3 * torch.sin(rows / 9) * torch.cos(columns / 7)).expand(1, 3, -1, -1)
    draws = torch.Generator().manual_seed(0)
    model = load_model(name)
    gains = []
    for sigma in (10, 25, 50):
        noisy = (clean + sigma / 255 * torch.randn(1, channels, 96, 128, generator=draws)).clamp(0, 1)
        before, after = (float((image - clean).square().mean()) for image in (noisy, model.run(noisy)))
        gains.append(before / after)
    assert 4 < gains[0] < gains[1] < gains[2]
