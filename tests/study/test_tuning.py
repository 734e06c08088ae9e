"""Settings by trial: what is drawn, what it is judged by, and that nothing is tried twice."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.commandline import TINY, CommandLine, json_lines

from unseen.core.errors import UserError
from unseen.evaluation.results import read_results
from unseen.methods import DIL
from unseen.methods.search_space import LogUniform, Uniform
from unseen.study.config import CompareConfig, Entry
from unseen.study.tuning import AROUND, Trial, candidates, read_trials, write_trials

pytestmark = pytest.mark.usefixtures("empty_page")

ENTRY = Entry("dil_sf", "dil_sf", "dil_sf", "plain", 1e-3, "dil_sf")


def test_ranges_are_drawn_from_evenly() -> None:
    draws = torch.Generator().manual_seed(0)
    logs = [math.log10(LogUniform(1e-5, 1e-2).draw(draws)) for _ in range(4000)]
    assert min(logs) > -5
    assert max(logs) < -2
    assert sum(logs) / 4000 == pytest.approx(-3.5, abs=5 * math.sqrt(9 / 12 / 4000))
    shares = [Uniform(0.2, 0.6).draw(draws) for _ in range(4000)]
    assert (min(shares), max(shares)) == pytest.approx((0.2, 0.6), abs=0.005)
    assert sum(shares) / 4000 == pytest.approx(0.4, abs=5 * math.sqrt(0.16 / 12 / 4000))


def test_candidates_begin_with_what_was_given_and_are_the_same_again() -> None:
    found = candidates(ENTRY, 5, seed=0)
    assert found[0] == ENTRY
    assert len({(entry.spec, entry.lr) for entry in found}) == 5
    assert candidates(ENTRY, 5, seed=0) == found
    assert candidates(ENTRY, 3, seed=0) == found[:3]  # more settings are more draws, not other ones
    assert candidates(ENTRY, 5, seed=1)[1:] != found[1:]
    for entry in found[1:]:
        assert 1e-3 / AROUND <= entry.lr <= 1e-3 * AROUND
        name, _, value = entry.spec.partition(":inner_lr=")
        assert name == "dil_sf"
        assert 1e-5 <= float(value) <= 1e-2
        assert (entry.name, entry.method, entry.backbone) == (ENTRY.name, ENTRY.method, ENTRY.backbone)


def test_settings_that_were_given_are_kept() -> None:
    given = replace(ENTRY, method="dil_ss:inner_lr=1e-3", spec="dil_ss:inner_lr=1e-3")
    assert {entry.spec for entry in candidates(given, 4, seed=0)} == {"dil_ss:inner_lr=1e-3"}
    erm = Entry("erm", "erm", "erm", "plain", 1e-3, "erm")
    assert {entry.spec for entry in candidates(erm, 4, seed=0)} == {"erm"}  # its learning rate is all there is to tune
    assert len({entry.lr for entry in candidates(erm, 4, seed=0)}) == 4


def test_trials_come_back_as_they_were_written(tmp_path: Path) -> None:
    trials = [Trial("erm", i, "erm", 1e-3, 7, value) for i, value in enumerate((21.5, math.nan))]
    write_trials(tmp_path / "t.jsonl", trials)
    assert "NaN" not in (tmp_path / "t.jsonl").read_text()
    back = read_trials(tmp_path / "t.jsonl")
    assert back[0] == trials[0]
    assert math.isnan(back[1].held_out_psnr)
    (tmp_path / "t.jsonl").write_text('{"entry": "erm"}\n')
    with pytest.raises(UserError, match=r"t\.jsonl, line 1: field 'number' is missing; remove the line, and the"):
        read_trials(tmp_path / "t.jsonl")


@pytest.fixture
def words(photos: Path, tests: Path, tmp_path: Path) -> list[object]:
    return ["compare", *TINY, "--data", photos, "--test", f"q={tests}", "--tune", "3", "--out", tmp_path / "study"]


@pytest.mark.slow
def test_the_best_setting_on_held_out_levels_is_run_with_fresh_seeds(
    words: list[object], unseen: CommandLine, tmp_path: Path
) -> None:
    out = tmp_path / "study"
    unseen(*words, "--methods", "erm", "dil_sf", "--seeds", "2")
    trials = read_trials(out / "tuning.jsonl")
    assert [(t.entry, t.number) for t in trials] == [(e, i) for e in ("erm", "dil_sf") for i in range(3)]
    for trial in trials:
        log = json_lines(out / "tuning" / f"{trial.entry}-{trial.number}" / "log.jsonl")
        assert log[-1]["held_out_psnr"] == trial.held_out_psnr
        assert "unseen_psnr" not in log[-1]
    records = [json.loads(line) for line in (out / "runs.jsonl").read_text().splitlines()]
    for record in records:
        best = max((t for t in trials if t.entry == record["method"]), key=lambda t: t.held_out_psnr)
        assert (record["spec"], record["lr"]) == (best.spec, best.lr)
    assert {record["seed"] for record in records}.isdisjoint({trial.seed for trial in trials})
    rows = read_results(out / "results.jsonl")
    assert {row.tuned for row in rows} == {3}
    assert {row.method for row in rows} == {"erm", "dil_sf"}  # by the name that was asked for

    before = {path: path.stat().st_mtime_ns for path in out.rglob("resume.safetensors")}
    unseen(*words, "--methods", "erm", "dil_sf", "--seeds", "2")
    assert {path: path.stat().st_mtime_ns for path in out.rglob("resume.safetensors")} == before


def test_trials_are_not_made_again_where_their_lines_are_kept(
    words: list[object], unseen: CommandLine, tmp_path: Path
) -> None:
    out = tmp_path / "study"
    unseen(*words, "--methods", "erm")
    lines = (out / "tuning.jsonl").read_bytes()
    for path in (out / "tuning").rglob("*.safetensors"):
        path.unlink()
    unseen(*words, "--methods", "erm")
    assert not list((out / "tuning").rglob("*.safetensors"))
    assert (out / "tuning.jsonl").read_bytes() == lines


def test_a_setting_that_diverges_is_not_chosen(
    words: list[object], unseen: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Inner rates that overflow at once.
    monkeypatch.setattr(DIL, "ranges", {"inner_lr": LogUniform(1e30, 1e31)})
    unseen(*words, "--methods", "dil_sf")
    first, *others = read_trials(tmp_path / "study" / "tuning.jsonl")
    assert not math.isnan(first.held_out_psnr)
    assert all(math.isnan(trial.held_out_psnr) for trial in others)
    (record,) = [json.loads(line) for line in (tmp_path / "study" / "runs.jsonl").read_text().splitlines()]
    assert record["spec"] == "dil_sf"


@pytest.mark.slow
def test_gap_brings_the_two_ends_and_entries_have_short_names() -> None:
    config = CompareConfig(methods=["dil_sf", "erm @ plain:bias=false"], gap=True, backbone="plain")
    assert [entry.name for entry in config.entries()] == ["dil_sf", "erm @ bias=false", "erm", "ceiling"]
    assert [entry.backbone for entry in config.entries()] == ["plain", "plain:bias=false", "plain", "plain"]
    again = replace(config, methods=["erm", "ceiling"])
    assert [entry.name for entry in again.entries()] == ["erm", "ceiling"]
    with pytest.raises(UserError, match="'erm' is listed twice"):
        replace(config, methods=["erm", "erm @ plain"]).check()
