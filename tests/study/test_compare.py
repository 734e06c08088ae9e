"""`unseen compare` as a user meets it, and parts of the user's own."""

from __future__ import annotations

import csv
import math
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support.commandline import TINY, CommandLine, json_lines, leftovers, photographs, saved_config
from support.own_parts import own_parts

from unseen.core.yaml12 import dump
from unseen.evaluation.results import read_results, write_results
from unseen.study.runs import read_runs

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("empty_page")]  # every test trains networks


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a module `own` that leaves a mark there when it is imported."""
    return own_parts(tmp_path, monkeypatch)


@pytest.fixture
def study(unseen: CommandLine, photos: Path, tests: Path, tmp_path: Path) -> list[object]:
    """The words of a study of two methods."""
    words = ["compare", *TINY, "--data", photos, "--test", f"q={tests}", "--methods", "erm", "ceiling"]
    return [*words, "--out", tmp_path / "study"]


def times(folder: Path) -> dict[str, int]:
    """When each run of a study last wrote its state."""
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("*/resume.safetensors")}


@pytest.mark.usefixtures("whole_page")
def test_a_study_trains_each_method_and_seed_once(unseen: CommandLine, study: list[object], tmp_path: Path) -> None:
    out = tmp_path / "study"
    said = " ".join(unseen(*study, "--seeds", "2").out.split())
    rows = json_lines(out / "results.jsonl")
    assert {(row["run"], row["method"], row["seed"]) for row in rows} == {
        (f"{method}-{seed}", method, seed) for method in ("erm", "ceiling") for seed in (0, 1)
    }
    assert len(rows) == 2 * 2 * 2 * 8  # by method, seed, image and level
    assert {row["budget"] for row in rows} == {"16 gradient evaluations"}
    assert {row["backbone"] for row in rows} == {"plain:features=4,depth=2"}
    assert all(math.isfinite(row["invariance"]) for row in rows)
    for name in ("erm-0", "erm-1", "ceiling-0", "ceiling-1"):
        assert json_lines(out / name / "log.jsonl")[-1]["evaluations"] == 16
    assert "ceiling: trained on the held-out and unseen levels too; it bounds the others and does not compete." in said
    assert "± half-width of the 95 % interval over 2 seeds" in said
    page = (out / "report.html").read_text()
    assert page.count("<svg") > 0
    assert "data:image/" in page
    assert {path.name for path in out.iterdir() if path.is_file()} == {
        "config.yaml", "results.jsonl", "runs.jsonl", "report.html", "summary.csv", "summary.tex", "summary.md",
    }  # fmt: skip

    before, results = times(out), (out / "results.jsonl").read_bytes()
    unseen(*study, "--seeds", "2")
    assert times(out) == before
    assert (out / "results.jsonl").read_bytes() == results
    assert leftovers(tmp_path) == []


def test_kept_weights_are_tested_by_compare_and_by_evaluate(
    unseen: CommandLine, study: list[object], tests: Path, tmp_path: Path
) -> None:
    words = [word for word in study if word != "ceiling"] + ["--keep", "2"]
    unseen(*words)
    (erm,) = read_runs(tmp_path / "study" / "runs.jsonl")
    assert [(point.steps, point.evaluations) for point in erm.kept] == [(8, 8), (16, 16)]
    assert erm.chosen == erm.kept[-1].levels
    rows = json_lines(tmp_path / "study" / "results.jsonl")
    for level in erm.chosen:  # kept weights are in no row of the results, and the last of them agree with those
        of_level = [row["psnr"] for row in rows if (row["run"], row["degree"]) == ("erm-0", level.degree)]
        assert len(of_level) == 2
        assert level.psnr == pytest.approx(sum(of_level) / 2, abs=1e-3)
    unseen("evaluate", tmp_path / "study" / "erm-0", "--threads", 1, "--test", f"q={tests}", "--out", tmp_path / "out")
    (record,) = read_runs(tmp_path / "out" / "runs.jsonl")
    assert record == replace(erm, machine=record.machine)
    before = (tmp_path / "study" / "runs.jsonl").read_bytes()
    unseen(*words)
    assert (tmp_path / "study" / "runs.jsonl").read_bytes() == before
    assert "keep is 2 there and 3 here" in unseen.refusal(*words[:-1], "3")

    folder, again = tmp_path / "study" / "erm-0", tmp_path / "again"
    words = ["evaluate", folder, "--test", f"q={tests}", "--out", again]
    (folder / "provenance.json").write_text("[]")
    assert "not the provenance of a run" in unseen.refusal(*words)
    (folder / "kept" / "002.safetensors").unlink()
    assert "002.safetensors" in unseen.refusal(*words)  # before the test of the network itself


@pytest.mark.slow
def test_runs_side_by_side_give_the_rows_of_one_after_the_other(
    unseen: CommandLine, study: list[object], tmp_path: Path
) -> None:
    rows = []
    for together in (1, 3):
        out = tmp_path / f"together-{together}"
        unseen(*study, "--seeds", 2, "--together", together, "--out", out)
        rows.append((out / "results.jsonl").read_text())
    assert rows[0] == rows[1]


@pytest.mark.slow
def test_side_by_side_needs_a_budget_of_evaluations(unseen: CommandLine, study: list[object], tmp_path: Path) -> None:
    error = unseen(*study, "--together", 2, "--budget", "1min", "--out", tmp_path / "x", code=2).err
    assert "together: runs side by side take each other's time" in error


@pytest.mark.slow
def test_seeds_may_be_added_but_what_runs_share_may_not_change(
    unseen: CommandLine, study: list[object], tmp_path: Path
) -> None:
    out = tmp_path / "study"
    unseen(*study)
    one = json_lines(out / "results.jsonl")
    before = times(out)
    for change in (["--budget", "32"], ["--lr", "0.01"], ["--seed", "1"]):
        refusal = unseen.refusal(*study, *change)
        assert refusal.startswith(f"{out / 'config.yaml'}: {change[0][2:]} is ")
    unseen(*study, "--seeds", "2")
    assert {name: time for name, time in times(out).items() if name in before} == before
    assert set(times(out)) == {"erm-0", "ceiling-0", "erm-1", "ceiling-1"}
    two = json_lines(out / "results.jsonl")
    assert [row for row in two if row["seed"] == 0] == one
    assert len(two) == 2 * len(one)


@pytest.mark.slow
def test_overwrite_makes_the_study_anew(unseen: CommandLine, study: list[object], tmp_path: Path) -> None:
    out = tmp_path / "study"
    unseen(*study)
    unseen(*study, "--budget", "8", "--overwrite")
    unseen(*study, "--budget", "8", "--out", tmp_path / "fresh")
    assert (out / "results.jsonl").read_bytes() == (tmp_path / "fresh" / "results.jsonl").read_bytes()
    assert all(json_lines(out / name / "log.jsonl")[-1]["evaluations"] == 8 for name in ("erm-0", "ceiling-0"))


@pytest.mark.slow
def test_runs_that_an_overwritten_study_left_are_not_taken_for_its_own(
    unseen: CommandLine, study: list[object], tmp_path: Path
) -> None:
    unseen(*study, "--seeds", "2")
    unseen(*study, "--lr", "0.01", "--overwrite")
    unseen(*study, "--lr", "0.01", "--seeds", "2")
    runs = ["erm-0", "erm-1", "ceiling-0", "ceiling-1"]
    assert {saved_config(tmp_path / "study" / name)["lr"] for name in runs} == {0.01}


@pytest.mark.slow
def test_rows_are_taken_up_unless_the_network_is_younger(
    unseen: CommandLine, study: list[object], tmp_path: Path
) -> None:
    unseen(*study)
    file = tmp_path / "study" / "results.jsonl"
    measured = read_results(file)
    marked = [replace(row, psnr=99.0) for row in measured]
    write_results(file, marked)
    unseen(*study)
    assert read_results(file) == marked  # not measured again
    later = file.stat().st_mtime_ns + 10**9
    os.utime(tmp_path / "study" / "erm-0" / "checkpoint.safetensors", ns=(later, later))
    unseen(*study)
    expected = [true if true.run == "erm-0" else mark for true, mark in zip(measured, marked, strict=True)]
    assert read_results(file) == expected


@pytest.mark.slow
def test_rows_alone_stand_for_a_finished_run(unseen: CommandLine, study: list[object], tmp_path: Path) -> None:
    """A study goes on elsewhere from its configuration and rows, without the folders of its runs."""
    out, moved = tmp_path / "study", tmp_path / "moved"
    unseen(*study)
    moved.mkdir()
    marked = [replace(row, psnr=99.0) for row in read_results(out / "results.jsonl") if row.method == "erm"]
    write_results(moved / "results.jsonl", marked)
    (moved / "config.yaml").write_text((out / "config.yaml").read_text())
    assert "lr is 0.001 there" in unseen.refusal(*study[:-1], moved, "--lr", "0.5")
    unseen(*study[:-1], moved)
    assert set(times(moved)) == {"ceiling-0"}  # the only one that was trained
    found, expected = read_results(moved / "results.jsonl"), read_results(out / "results.jsonl")
    assert [row for row in found if row.method == "erm"] == marked
    assert [row for row in found if row.method == "ceiling"] == [row for row in expected if row.method == "ceiling"]

    fewer = marked[1:]  # the rows of a run that was not tested to its end stand for nothing
    write_results(moved / "results.jsonl", [row for row in fewer if row.image != marked[0].image])
    unseen(*study[:-1], moved)
    assert set(times(moved)) == {"erm-0", "ceiling-0"}


@pytest.mark.slow
def test_rows_of_other_test_images_of_the_same_names_do_not_stand(
    unseen: CommandLine, study: list[object], tests: Path, tmp_path: Path
) -> None:
    unseen(*study)
    before = read_results(tmp_path / "study" / "results.jsonl")
    others = photographs(tmp_path / "others", "a.png", "e.png", "f.png", size=(20, 22))  # a.png is drawn as e.png was
    (others / "e.png").unlink()
    (others / "a.png").rename(others / "e.png")
    exchanged = [str(word).replace(str(tests), str(others)) for word in study]
    unseen(*exchanged)
    after = read_results(tmp_path / "study" / "results.jsonl")
    changed = {row.image for row, old in zip(after, before, strict=True) if row.input_psnr != old.input_psnr}
    assert changed == {"f.png"}


def test_a_study_does_not_mix_training_photographs(
    unseen: CommandLine, photos: Path, tests: Path, tmp_path: Path
) -> None:
    mine = photographs(tmp_path / "mine", "1.png", "2.png", "3.png")
    words = ["compare", *TINY, "--data", mine, "--test", f"q={tests}", "--out", tmp_path / "study", "--methods", "erm"]
    unseen(*words)
    for path in mine.iterdir():
        path.write_bytes((photos / "d.png").read_bytes() if path.name == "1.png" else path.read_bytes())
    refusal = unseen.refusal(*words, "dil_sf")
    assert refusal.startswith(f"{tmp_path / 'study' / 'erm-0'}: trained before what is in {mine} changed")


def test_rows_without_their_configuration_are_refused(unseen: CommandLine, study: list[object], tmp_path: Path) -> None:
    unseen(*study)
    moved = tmp_path / "moved"
    moved.mkdir()
    (tmp_path / "study" / "results.jsonl").rename(moved / "results.jsonl")
    assert "is there without its config.yaml" in unseen.refusal(*study[:-1], moved)


@pytest.mark.slow
def test_rows_of_methods_that_are_not_asked_for_stay(unseen: CommandLine, study: list[object], tmp_path: Path) -> None:
    unseen(*study)
    before = read_results(tmp_path / "study" / "results.jsonl")
    said = unseen(*study, "--methods", "ceiling").out
    assert "erm" not in said
    after = read_results(tmp_path / "study" / "results.jsonl")
    assert sorted(after, key=str) == sorted(before, key=str)


def test_a_card_that_tells_no_data_leaves_the_overlap_unchecked(
    unseen: CommandLine, photos: Path, tests: Path, tmp_path: Path
) -> None:
    mine = photographs(tmp_path / "mine", "1.png", "2.png", "3.png")
    run = tmp_path / "run"
    unseen("train", *TINY, "--data", mine, "--out", run)
    words = ["evaluate", run, "--threads", "1", "--out", tmp_path / "out", "--overwrite", "--test"]
    assert "was not checked" not in " ".join(unseen(*words, f"q={tests}").out.split())
    assert "is the training photograph" in unseen.refusal(*words, f"q={mine}")
    (mine / "1.png").write_bytes((photos / "d.png").read_bytes())
    assert "was not checked" in " ".join(unseen(*words, f"q={tests}").out.split())


def test_methods_and_protocols_that_a_card_names_are_not_imported_on_its_word(
    own: Path, unseen: CommandLine, photos: Path, tests: Path, tmp_path: Path
) -> None:
    run, mark = tmp_path / "run", own / "was-imported"
    unseen("train", *TINY, "--method", "own.Method", "--data", photos, "--out", run)
    mark.unlink()
    del sys.modules["own"]
    said = unseen("evaluate", run, "--threads", "1", "--test", f"q={tests}", "--out", tmp_path / "out").out
    assert "was not checked" in " ".join(said.split())
    assert not mark.exists()


def test_a_protocol_that_changed_under_a_study_is_refused(
    unseen: CommandLine, study: list[object], tmp_path: Path
) -> None:
    path = own_protocol(tmp_path, seen=["gaussian_noise:5"])
    unseen(*study, "--protocol", path)
    own_protocol(tmp_path, seen=["gaussian_noise:15"])
    unseen.refusal(*study, "--protocol", path)


def own_protocol(folder: Path, seen: list[str]) -> Path:
    path = folder / "mine.yaml"
    levels = {"seen": seen, "held_out": ["gaussian_noise:25"], "unseen": ["gaussian_noise:30"]}
    path.write_text(dump({"name": "mine", "version": 1, "about": "a test", **levels}))
    return path


def test_method_backbone_and_protocol_of_one_s_own(
    own: Path, unseen: CommandLine, photos: Path, tests: Path, tmp_path: Path
) -> None:
    protocol = own_protocol(tmp_path, seen=["gaussian_noise:[2,8]"])
    words = ["compare", *TINY, "--data", photos, "--test", f"q={tests}", "--out", tmp_path / "study"]
    unseen(*words, "--protocol", protocol, "--backbone", "own.Net", "--methods", "erm", "own.Method", "own.Method:0.0")
    rows = json_lines(tmp_path / "study" / "results.jsonl")
    assert {(row["split"], row["degree"]) for row in rows} == {("seen", "2-8"), ("held-out", 25), ("unseen", 30)}
    assert {row["protocol"] for row in rows} == {"mine"}
    psnr = {name: [row["psnr"] for row in rows if row["method"] == name] for name in {row["method"] for row in rows}}
    assert psnr["own.Method"] == psnr["erm"]
    assert psnr["own.Method:0.0"] != psnr["erm"]  # the setting arrived: nothing was learned


def test_the_study_s_own_backbone_is_the_one_it_was_given(
    unseen: CommandLine, study: list[object], tmp_path: Path
) -> None:
    other = "erm @ plain:features=4,depth=3"
    unseen(*study, "--methods", other, "dil_sf", "--gap", "true")
    with (tmp_path / "study" / "summary.csv").open() as file:
        lines = [line["line"] for line in csv.DictReader(file)]
    assert lines[1:] == ["erm @ plain:features=4,depth=3", "dil_sf", "erm", "ceiling"]
    ranked = unseen("rank", tmp_path / "study").out
    assert "erm @" in ranked


def test_what_an_overwritten_study_measured_is_gone_even_if_the_new_one_fails(
    unseen: CommandLine, study: list[object], tmp_path: Path
) -> None:
    unseen(*study)
    unseen(*study, "--methods", "erm", "--lr", "1e30", "--overwrite", code=1)
    told = unseen(*study, "--methods", "erm", "--lr", "1e30", code=1)
    assert "left out erm-0" in told.err
    assert not (tmp_path / "study" / "results.jsonl").exists()


def test_rows_that_say_another_training_do_not_stand(unseen: CommandLine, study: list[object], tmp_path: Path) -> None:
    out = tmp_path / "study"
    unseen(*study)
    file = out / "results.jsonl"
    measured = read_results(file)
    write_results(file, [replace(row, psnr=99.0, select="oracle") if row.method == "erm" else row for row in measured])
    unseen(*study)
    assert read_results(file) == measured


def test_a_record_keeps_the_machine_that_it_was_made_on(
    unseen: CommandLine, study: list[object], tmp_path: Path
) -> None:
    unseen(*study)
    file = tmp_path / "study" / "runs.jsonl"
    file.write_text(file.read_text().replace('"machine": "', '"machine": "another, '))
    os.utime(tmp_path / "study" / "results.jsonl")
    unseen(*study)
    assert file.read_text().count('"machine": "another, ') == 2


def test_a_backbone_that_is_not_there_is_refused_before_any_training(
    unseen: CommandLine, study: list[object], tmp_path: Path
) -> None:
    assert "'unett'" in unseen.refusal(*study, "--methods", "erm", "erm @ unett")
    assert not (tmp_path / "study").exists()
    assert "lacks a method or a backbone" in unseen.refusal(*study, "--methods", "erm @")
