"""Degraded copies, their sidecar, and copies made again from it."""

from __future__ import annotations

import io
import json
import math
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.commandline import CommandLine, contents, json_lines, leftovers, photographs
from torch import Tensor

from unseen.data.photo import Pixels
from unseen.data.reading import read_photo
from unseen.distortions import Distortion, Parameters
from unseen.distortions import copies as degradation
from unseen.distortions.sidecar import CopyRecord, append_record, read_sidecar, to_parameters

SPECS = [
    "gaussian_noise:[5,50]",
    "gaussian_noise:30,clip=false > jpeg:[30,60]",
    "gaussian_blur:[0.5,2] & gaussian_noise:10 & jpeg:50",
    "jpeg:40 | rain_streaks:0.02 | unseen.distortions.noise.SpeckleNoise:40",
    "camera_noise:python,[0.001,0.1],[0.001,0.1]",
    "real_esrgan:2",
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three photographs of two formats, one in a folder of its own."""
    folder = photographs(tmp_path / "photos", "a.png", "b.jpg")
    photographs(folder / "deep" / "er", "c.webp", size=(30, 17))
    return folder


# ------------------------------------------------------------------------------------------ copies


def test_copies_keep_the_tree_and_are_what_pillow_makes_of_them(
    tree: Path, unseen: CommandLine, tmp_path: Path
) -> None:
    told = unseen("degrade", tree, "--distortion", "jpeg:20", "--out", tmp_path / "out")
    assert told.out == f"{tmp_path / 'out'}: 3 of 3 copies\n"
    assert contents(tmp_path / "out").keys() == {"a.png", "b.png", "deep/er/c.png", "degradation.jsonl"}
    for name, copy in (("a.png", "a.png"), ("b.jpg", "b.png"), ("deep/er/c.webp", "deep/er/c.png")):
        file = io.BytesIO()
        Image.open(tree / name).convert("RGB").save(file, format="JPEG", quality=20, subsampling=2)
        found = Image.open(tmp_path / "out" / copy)
        assert (found.format, found.mode) == ("PNG", "RGB")
        assert np.array_equal(np.asarray(found), np.asarray(Image.open(file)))


def test_noise_in_the_files_has_its_moments(unseen: CommandLine, tmp_path: Path) -> None:
    Image.new("L", (200, 150), 128).save(tmp_path / "gray.png")
    unseen("degrade", tmp_path / "gray.png", "--distortion", "gaussian_noise:20", "--out", tmp_path / "out")
    found = np.asarray(Image.open(tmp_path / "out" / "gray.png")).astype(float) - 128
    assert found.shape == (150, 200, 3)
    assert abs(found.mean()) < 4 * 20 / math.sqrt(found.size)
    variance = 20**2 + 1 / 12  # of the noise, and of rounding to whole levels
    assert found.var() == pytest.approx(variance, rel=4 * math.sqrt(2 / found.size))


def test_a_copy_depends_on_the_seed_and_its_name_alone(tree: Path, unseen: CommandLine, tmp_path: Path) -> None:
    words = ["--distortion", "gaussian_noise:[10,50]", "--out"]
    unseen("degrade", tree, *words, tmp_path / "all")
    unseen("degrade", tree / "deep", tree / "b.jpg", *words, tmp_path / "some")
    unseen("degrade", tree, "--seed", "1", *words, tmp_path / "other")
    assert (tmp_path / "all" / "b.png").read_bytes() == (tmp_path / "some" / "b.png").read_bytes()
    sigmas = [
        line["parameters"]["sigma"]
        for out in ("all", "other")
        for line in json_lines(tmp_path / out / "degradation.jsonl")
    ]
    assert len(set(sigmas)) == 6
    assert all(10 <= sigma <= 50 for sigma in sigmas)


def test_photographs_are_cut_to_a_multiple_of_the_scale(unseen: CommandLine, tmp_path: Path) -> None:
    folder = photographs(tmp_path / "photos", "a.png", size=(23, 30))
    Image.new("RGB", (40, 3)).save(folder / "flat.png")
    told = unseen("degrade", folder, "--distortion", "downsample:4,area", "--out", tmp_path / "out", code=1)
    assert told.err == "skipped flat.png: smaller than 4×4 pixels, the size that shrinks to one pixel\n"
    found = np.asarray(Image.open(tmp_path / "out" / "a.png")).astype(float)
    clean = np.asarray(Image.open(folder / "a.png")).astype(float)[:20, :28]
    means = clean.reshape(5, 4, 7, 4, 3).mean(axis=(1, 3))
    assert found.shape == means.shape
    assert np.abs(found - means).max() <= 0.5 + 1e-4  # rounded


def test_names_that_differ_in_their_suffix_alone_are_kept_apart(unseen: CommandLine, tmp_path: Path) -> None:
    folder = photographs(tmp_path / "photos", "a.png", "A.jpg", "a.webp", "b.bmp")
    unseen("degrade", folder, "--distortion", "jpeg:90", "--out", tmp_path / "out")
    assert contents(tmp_path / "out").keys() == {"a.png", "A.jpg.png", "a.webp.png", "b.png", "degradation.jsonl"}
    assert {line["source"]: line["file"] for line in json_lines(tmp_path / "out" / "degradation.jsonl")} == {
        "a.png": "a.png", "A.jpg": "A.jpg.png", "a.webp": "a.webp.png", "b.bmp": "b.png"
    }  # fmt: skip


def test_broken_photographs_are_named_and_the_others_degraded(tree: Path, unseen: CommandLine, tmp_path: Path) -> None:
    (tree / "broken.png").write_text("no picture")
    (tree / "deep" / "gone.png").symlink_to("nowhere")
    told = unseen("degrade", tree, "--distortion", "gaussian_noise:30", "--out", tmp_path / "out", code=1)
    assert [line.partition(":")[0] for line in told.err.splitlines()] == ["skipped broken.png", "skipped deep/gone.png"]
    assert told.out == f"{tmp_path / 'out'}: 3 of 5 copies\n"
    assert len(json_lines(tmp_path / "out" / "degradation.jsonl")) == 3
    assert leftovers(tmp_path) == []


def test_an_interrupted_run_leaves_whole_copies_and_their_lines(
    tree: Path, unseen: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: Path) -> Pixels:
        if path.name == "b.jpg":
            signal.raise_signal(signal.SIGINT)
        return read_photo(path)

    words = ["degrade", tree, "--distortion", "gaussian_noise:30", "--out"]
    with monkeypatch.context() as patch:
        patch.setattr(degradation, "read_photo", interrupted)
        told = unseen(*words, tmp_path / "out", code=130)
    assert told.out.splitlines() == [
        f"{tmp_path / 'out'}: 2 of 3 copies",
        "interrupted: the same command with --overwrite makes them all",
    ]
    left = contents(tmp_path / "out")
    assert left.keys() == {"a.png", "b.png", "degradation.jsonl"}
    unseen(*words, tmp_path / "whole")
    whole = contents(tmp_path / "whole")
    assert all(left[name] == whole[name] for name in ("a.png", "b.png"))
    assert whole["degradation.jsonl"].startswith(left["degradation.jsonl"])


def test_the_last_line_of_a_copy_that_was_replaced_counts(tree: Path, unseen: CommandLine, tmp_path: Path) -> None:
    words, out = ["degrade", tree, "--out", tmp_path / "out"], tmp_path / "out"
    unseen(*words, "--distortion", "gaussian_noise:30")
    sidecar = out / "degradation.jsonl"
    sidecar.write_bytes(sidecar.read_bytes().removesuffix(b"\n"))  # as by an editor
    unseen(*words, "--distortion", "jpeg:20", "--overwrite")
    assert len(json_lines(sidecar)) == 6
    assert {record.distortion for record in read_sidecar(sidecar, ()).values()} == {"jpeg:20"}
    unseen("degrade", tree, "--replay", sidecar, "--out", tmp_path / "again")
    assert (tmp_path / "again" / "a.png").read_bytes() == (out / "a.png").read_bytes()


# ------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--distortion jpeg:30", "give a photo; unseen degrade --help says more"),
        ("{photos} --distortion gausian_noise:30 --out new", "distortion: 'gausian_noise' is none of gaussian_noise, "),
        ("{photos} --distortion gaussian_noise:-1 --out new", "sigma -1.0 is not within 0 to 255"),
        ("{photos} --distortion pairs:sidd --out new", "'pairs:sidd': recorded pairs cannot be made"),
        ("{photos} --distortion jpeg:30", "out: no folder given"),
        ("{photos} --out new", "distortion: none given; one is gaussian_noise:30"),
        ("{photos} --out new --distortion jpeg:30 jpeg:40", "distortion: several given; ' > ' joins them"),
        ("{photos} --out new --protocol denoise", "protocol: is for --grid"),
        ("{photos} --out new --grid --protocol denoise --distortion jpeg:30", "give --protocol or --distortion"),
        ("{photos} --out new --grid --protocol denoize", "protocol: 'denoize' is none of "),
        ("{photos} --out new --grid --replay x.jsonl", "give --replay or --grid, not both"),
        ("{photos} --out new --replay x.jsonl", "x.jsonl: cannot be read: No such file or directory"),
        ("nowhere --out new --distortion jpeg:30", "nowhere: no such folder"),
        ("{photos} --out {photos} --distortion jpeg:30", "is among the photographs in {photos}; give another --out"),
        ("{photos} --out {photos}/new --distortion jpeg:30 --overwrite", "{photos}/new is among the photographs"),
        ("{photos}/a.png --out {photos} --distortion jpeg:30 --overwrite", "a.png is a photograph itself"),
        ("{photos}/a.png {photos} --out new --distortion jpeg:30", "photos/a.png and {photos}/a.png would both be"),
        (
            "{photos} --out {photos}/a.png --distortion jpeg:30",
            "photos/a.png is the name of a file, and a folder for copies is wanted",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    words: str, line: str, tree: Path, unseen: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    assert line.format(photos=tree) in unseen.refusal("degrade", *words.format(photos=tree).split())
    assert contents(tmp_path) == before
    assert not Path("new").exists()


@pytest.mark.parametrize("mode", ["copies", "replay", "grid"])
def test_what_is_there_is_replaced_only_when_asked(mode: str, tree: Path, unseen: CommandLine, tmp_path: Path) -> None:
    out, noise = tmp_path / "out", ["--distortion", "gaussian_noise:30"]
    unseen("degrade", tree, *noise, "--out", tmp_path / "first")
    told: dict[str, list[Any]] = {
        "copies": noise,
        "grid": [*noise, "--grid"],
        "replay": ["--replay", tmp_path / "first" / "degradation.jsonl"],
    }
    words = ["degrade", tree, *told[mode], "--out", out]
    unseen(*words)
    before = contents(out)
    first = out / ("a-grid.png" if mode == "grid" else "a.png")
    assert unseen.refusal(*words) == f"out: {first} is there already (and 2 more); give --overwrite, or another --out"
    first.write_bytes(b"")
    assert "is there already" in unseen.refusal(*words)
    unseen(*words, "--overwrite")
    assert contents(out)[first.name] == before[first.name]


def test_a_photograph_under_another_name_is_not_replaced_either(unseen: CommandLine, tmp_path: Path) -> None:
    folder = photographs(tmp_path / "photos", "a.jpg")
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.png").symlink_to(folder / "a.jpg")
    words = ["degrade", folder, "--distortion", "jpeg:30", "--out", out, "--overwrite"]
    assert "a.png is a photograph itself" in unseen.refusal(*words)


# ------------------------------------------------------------------------------------------ replay


@pytest.mark.parametrize("spec", SPECS)
def test_a_replay_is_the_same_bit_for_bit_whatever_the_order(
    spec: str, tree: Path, unseen: CommandLine, tmp_path: Path
) -> None:
    unseen("degrade", tree, "--distortion", spec, "--seed", "7", "--out", tmp_path / "out")
    sidecar = tmp_path / "out" / "degradation.jsonl"
    lines = sidecar.read_text().splitlines(keepends=True)
    sidecar.write_text("".join(reversed(lines)) + "\n")
    photographs(tree / "another", "0.png")  # it was not there
    words = ["degrade", tree, "--replay", sidecar, "--out", tmp_path / "again"]
    unseen(*words)
    first, again = contents(tmp_path / "out"), contents(tmp_path / "again")
    assert again.pop("degradation.jsonl").decode() == "".join(reversed(lines))
    first.pop("degradation.jsonl")
    assert again == first
    assert len(again) == 3


def edit(sidecar: Path, line: int, **values: Any) -> None:
    lines = json_lines(sidecar)
    lines[line] |= values
    sidecar.write_text("".join(json.dumps(values) + "\n" for values in lines))


def test_a_replay_names_what_it_could_not_make_again(tree: Path, unseen: CommandLine, tmp_path: Path) -> None:
    photographs(tree / "more", "d.png", "e.png")
    unseen("degrade", tree, "--distortion", "gaussian_noise:30", "--out", tmp_path / "out")
    sidecar = tmp_path / "out" / "degradation.jsonl"
    assert [line["source"] for line in json_lines(sidecar)][3:] == ["more/d.png", "more/e.png"]
    pixels = np.array(Image.open(tree / "a.png"))
    pixels[3, 4, 1] ^= 1  # one bit
    Image.fromarray(pixels).save(tree / "a.png")
    (tree / "b.jpg").unlink()
    edit(sidecar, 2, parameters={**json_lines(sidecar)[2]["parameters"], "seed": 1})
    edit(sidecar, 3, distortion="jpeg | jpeg", parameters={})
    edit(sidecar, 3, distortion="jpeg:20 | jpeg:30", parameters={"choice": 5, "0.quality": 20, "1.quality": 30})
    told = unseen("degrade", tree, "--replay", sidecar, "--out", tmp_path / "again", code=1)
    reasons = dict(line.removeprefix("skipped ").split(": ", 1) for line in told.err.splitlines())
    assert reasons.keys() == {"a.png", "b.jpg", "deep/er/c.webp", "more/d.png"}
    assert reasons["a.png"].startswith("has changed since it was degraded")
    assert reasons["b.jpg"] == "is recorded, and not among the photographs"
    assert reasons["deep/er/c.webp"].startswith("comes out otherwise than recorded, by unseen ")
    assert reasons["more/d.png"].startswith("jpeg:20 | jpeg:30 cannot be applied with the recorded parameters")
    assert told.out == f"{tmp_path / 'again'}: 1 of 5 copies\n"
    assert contents(tmp_path / "again").keys() == {"more/e.png", "degradation.jsonl"}


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"distortion": "nois:3"}, "line 2: distortion: 'nois' is none of gaussian_noise"),
        ({"distortion": "os.system:'rm -rf x'"}, "distortion: 'os.system' is code from outside of unseen"),
        ({"distortion": "jpeg:30 > os.system:x"}, "distortion: 'os.system' is code from outside of unseen"),
        ({"distortion": 3}, "line 2: field 'distortion': expected text, got 3"),
        ({"parameters": [1]}, "line 2: field 'parameters': expected an object, got [1]"),
        ({"parameters": {"sigma": 30.0}}, "line 2: parameters: 'seed' is missing"),
        ({"parameters": {"sigma": 30.0, "seed": 1, "seeds": 2}}, "line 2: parameters: 'seeds' is unknown"),
        ({"parameters": {"sigma": 30.0, "seed": 1.0}}, "line 2: parameters: 'seed': expected int values, got 1.0"),
        ({"parameters": {"sigma": "30", "seed": 1}}, "'sigma': expected float values, got \"30\""),
        ({"parameters": {"sigma": 30.0, "seed": 2**63}}, "line 2: parameters: 'seed': expected int values, got 92233"),
        ({"parameters": {"sigma": [[1.0], 2.0], "seed": 1}}, "line 2: parameters: 'sigma': expected float values"),
        ({"file": "../a.png"}, "line 2: file: '../a.png' is no .png below the sidecar's folder"),
        ({"file": "/a.png"}, "line 2: file: '/a.png' is no .png below the sidecar's folder"),
        ({"sha": "12"}, "line 2: unknown field 'sha'"),
    ],
)  # fmt: skip
def test_a_damaged_sidecar_is_refused_by_file_line_and_field(
    values: dict[str, Any], line: str, tree: Path, unseen: CommandLine, tmp_path: Path
) -> None:
    unseen("degrade", tree, "--distortion", "gaussian_noise:30", "--out", tmp_path / "out")
    sidecar = tmp_path / "out" / "degradation.jsonl"
    edit(sidecar, 1, **values)
    refusal = unseen.refusal("degrade", tree, "--replay", sidecar, "--out", tmp_path / "again")
    assert refusal.startswith(f"{sidecar}, line 2: ")
    assert line in refusal
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"file": "a.png"}', ", line 1: field 'source' is missing"),
        ("\nWHOLECUT", ", line 3: not valid JSON"),
        ("[]", ", line 1: expected a JSON object"),
        ("\n", ": holds no record"),
    ],
)
def test_a_file_that_is_no_sidecar(text: str, line: str, tree: Path, unseen: CommandLine, tmp_path: Path) -> None:
    sidecar = tmp_path / "degradation.jsonl"
    record = CopyRecord("a.png", "a.png", "0", "0", "jpeg:20", "0.1.0", {"quality": 20})
    append_record(sidecar, record)
    whole = sidecar.read_text()
    sidecar.write_text(text.replace("WHOLE", whole).replace("CUT", whole[:30]))
    assert line in unseen.refusal("degrade", tree, "--replay", sidecar, "--out", tmp_path / "again")


@pytest.mark.parametrize(
    ("spec", "name", "value", "reason"),
    [
        ("gaussian_noise:30", "sigma", 30.5, "parameters: 'sigma': 30.5 is not within 30 to 30"),
        ("rain_streaks:0.02", "density", 1e12, "parameters: 'density': 1e+12 is not within 0.02 to 0.02"),
        ("jpeg:20 > rain_streaks:0.02", "1.length", 1e9, "parameters: 'length': 1e+09 is not within 10 to 20"),
        ("resample:[2,4]", "factor", 1e-9, "parameters: 'factor': 1e-09 is not within 2 to 4"),
    ],
)
def test_a_record_cannot_ask_for_what_is_never_drawn(
    spec: str, name: str, value: float, reason: str, tree: Path, unseen: CommandLine, tmp_path: Path
) -> None:
    unseen("degrade", tree, "--distortion", spec, "--out", tmp_path / "out")
    sidecar = tmp_path / "out" / "degradation.jsonl"
    edit(sidecar, 1, parameters={**json_lines(sidecar)[1]["parameters"], name: value})
    printed = unseen("degrade", tree, "--replay", sidecar, "--out", tmp_path / "again", code=1)
    assert [line.partition(": ")[2] for line in printed.err.splitlines()] == [reason]


def test_what_is_confirmed_must_be_recorded(tree: Path, unseen: CommandLine, tmp_path: Path) -> None:
    unseen("degrade", tree, "--distortion", "jpeg:20", "--out", tmp_path / "out")
    words = ["degrade", tree, "--replay", tmp_path / "out" / "degradation.jsonl", "--out", tmp_path / "again"]
    assert unseen.refusal(*words, "--distortion", "jpeg:30").startswith("distortion: 'jpeg:30' is not in ")


@dataclass(frozen=True)
class Odd(Distortion):
    """Draws more than built-in distortions do: lists, and the extremes of each type."""

    @property
    def degree(self) -> str:
        return "odd"

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        sizes = 10 ** torch.arange(-150, 150, 6).double()
        numbers = torch.rand(n, 2, 50, generator=generator, dtype=torch.float64) * sizes
        return {
            "numbers": numbers,
            "seeds": torch.tensor([[2**63 - 1, -(2**63)]] * n),
            "none": torch.zeros(n, 0),
            "flags": torch.tensor([[True, False]] * n),
        }

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        return clean


def test_drawn_numbers_survive_the_sidecar_exactly(tmp_path: Path) -> None:
    drawn = Odd().sample(torch.Generator().manual_seed(1), 1)
    values = {name: value[0].tolist() for name, value in drawn.items()}
    append_record(tmp_path / "sidecar", CopyRecord("a.png", "a", "0", "0", "odd", "0", values))
    (line,) = json_lines(tmp_path / "sidecar")
    found = to_parameters(line["parameters"], Odd())
    assert found.keys() == drawn.keys()
    assert all(torch.equal(found[name], drawn[name]) and found[name].dtype == drawn[name].dtype for name in drawn)
