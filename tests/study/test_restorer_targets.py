"""The study of what a restorer reaches: what counts as harm, and that its kept rows fill every line of the table."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "studies"))
import kept_brightness  # noqa: E402
import restorer  # noqa: E402
import restorer_frames  # noqa: E402
import restorer_measures  # noqa: E402
import restorer_page  # noqa: E402

from unseen.models.backbones import DRUNetSmall  # noqa: E402
from unseen.models.card import Bf16Loss, Card  # noqa: E402
from unseen.models.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint  # noqa: E402
from unseen.models.loading import load_network  # noqa: E402
from unseen.training.config import TrainConfig  # noqa: E402


def row(before: float, after: float, level: str = "pairs") -> restorer.Row:
    return restorer.Row("digest", "test", level, "image", before, after)


def test_a_pair_is_harmed_by_a_loss_and_a_clean_photograph_by_what_can_be_seen() -> None:
    lost, kept, gained = row(30, 29.94), row(30, 29.96), row(30, 33)
    assert restorer.harmed([lost, kept, gained]) == 1
    visible, invisible = row(restorer_measures.LARGEST, 54.9), row(restorer_measures.LARGEST, 55)
    assert restorer.harmed([visible, invisible]) == 1


def test_the_harm_check_is_decided_from_the_kept_rows() -> None:
    """A clean photograph that would change by half a gray level, and one that changes by two."""
    slight, strong = (replace(row(60, 52), change=change, noise=0.3) for change in (0.5, 2.0))
    assert [r.checked.after for r in (slight, strong, row(60, 52))] == [60, 52, 52]
    target = restorer.Target("clean", "test", "", restorer.harmed, 0, at_most=True)
    assert "1 (2 without the check)" in list(restorer.line_of(target, [slight, strong], []))


def test_the_loss_is_that_of_the_worst_level() -> None:
    rows = [row(30, 29.9, "15"), row(30, 30, "15"), row(50, 49.7, "0"), row(50, 50.1, "0")]
    assert restorer.largest_loss(rows) == pytest.approx(0.1)


def test_the_kept_rows_have_the_model_before_under_every_target() -> None:
    before = [row for row in restorer.kept_rows(restorer.ROWS).values() if row.weights == restorer.BEFORE]
    table = restorer.results_table(before, before)
    assert table.count("\n") == len(restorer.TARGETS) + 1
    assert "| σ 25, dB | ≥ 30.7 | 28.51 | 28.51 | no |" in table
    assert "| CC15, harmed | ≤ 0 | 5 | 5 | no |" in table


def test_a_network_that_changes_nothing_leaves_colours_where_clipping_put_them() -> None:
    """On black, clipped noise of σ 25 has a mean of 25 / √(2π), less or more by rounding and chance."""
    before, after = restorer_measures.moved_colours(25, nn.Identity())
    assert before == pytest.approx(25 / (2 * np.pi) ** 0.5, abs=1.5)
    assert after == pytest.approx(before)


def test_cells_are_green_on_black_and_the_same_each_time() -> None:
    cells = restorer_frames.microscopy(0)
    assert np.array_equal(cells.pixels, restorer_frames.microscopy(0).pixels)
    assert np.median(cells.pixels[..., 1]) < 10
    assert cells.pixels[..., 1].max() > 100
    assert cells.pixels[..., 0].max() < 20


def test_the_page_is_what_the_kept_rows_of_the_shipped_denoiser_say() -> None:
    network, _ = load_network("denoiser")
    assert restorer_page.page(restorer.digest_of(network)) == restorer_page.PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("spec", "kept"),
    [
        ("drunet_small", "drunet_small:kept_brightness=true"),
        ("drunet_small:bias=false,kept_brightness=false", "drunet_small:bias=false,kept_brightness=true"),
    ],
)
def test_a_finished_training_can_keep_brightness_and_loses_what_was_measured_without(
    spec: str, kept: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    weights = DRUNetSmall().state_dict()
    card = Card("0.1.0", asdict(TrainConfig(backbone=spec)), "hash", 5, bf16=Bf16Loss(0.01, "a", "b", 1, 0))
    save_checkpoint(tmp_path / CHECKPOINT, weights, card)
    digests = [restorer.digest_of(load_network(str(tmp_path))[0])]
    for _ in range(2):
        assert kept_brightness.keep_brightness(tmp_path) == kept
        network, card = load_checkpoint(tmp_path)
        assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
        assert card.bf16 is None
        digests.append(restorer.digest_of(network))
    assert digests[0] != digests[1] == digests[2]


def test_the_sheets_are_all_there_and_small() -> None:
    sheets = {path.stem: path.stat().st_size for path in restorer_page.SHEETS.iterdir()}
    assert set(sheets) == {crop.name for crop in restorer_page.CROPS}
    assert sum(sheets.values()) < 2_000_000
