"""Protocols: what `denoise` and others are, and degrees that are seen and unseen at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from support.protocol_files import GOOD

from unseen.core.errors import UserError
from unseen.core.yaml12 import dump
from unseen.distortions import GrayKept
from unseen.protocols.confounder import Synthetic
from unseen.protocols.files import protocol_names
from unseen.protocols.loading import load_protocol

HASHES = {
    "denoise": "eb971654d6f8",
    "deblur": "0d89bfdb4a60",
    "real-sr-d1": "f6519043660a",
    "restore-noise": "d5a8124c91e8",
}


def test_denoise_is_the_paper_s_first_table() -> None:
    protocol = load_protocol("denoise")
    assert "denoise" in protocol_names()
    assert [tuple(level) for level, _ in protocol.levels()] == [
        *(("seen", "gaussian_noise", float(s)) for s in (5, 10, 15, 20)),
        ("held-out", "gaussian_noise", 25.0),
        *(("unseen", "gaussian_noise", float(s)) for s in (30, 40, 50)),
    ]
    assert all(c.distortion.clip for _, c in protocol.levels())  # type: ignore[attr-defined]
    convention = protocol.convention
    assert (convention.channels, convention.border, convention.round_output, convention.round_input) == (
        "rgb",
        0,
        True,
        False,
    )
    rows = {(row[0], row[1]): row[2:] for row in protocol.reported[0].rows}
    assert len(rows) == 15
    assert rows["CBSD68", "50"][0] == "18.96 / 0.307"


def test_denoise_gray_has_the_levels_of_denoise_on_gray_photographs() -> None:
    colour, gray = load_protocol("denoise"), load_protocol("denoise-gray")
    assert (colour.channels, gray.channels) == (3, 1)
    assert [level for level, _ in gray.levels()] == [level for level, _ in colour.levels()]
    assert replace(gray, gray=False).hash() != gray.hash()


def test_gray_kept_is_of_all_that_is_synthetic_and_changes_the_hash(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(dump(GOOD | {"gray_kept": True}))
    (tmp_path / "plain.yaml").write_text(dump(GOOD))
    kept, plain = (load_protocol(str(tmp_path / f"{name}.yaml")) for name in ("mine", "plain"))
    assert all(isinstance(c.distortion, GrayKept) for _, c in kept.levels() if isinstance(c, Synthetic))
    assert [level for level, _ in kept.levels()] == [level for level, _ in plain.levels()]
    assert kept.hash() != plain.hash()


def test_hashes_of_colour_protocols_are_those_of_earlier_versions() -> None:
    hashes = {name: load_protocol(name).hash() for name in ("denoise", "deblur", "real-sr-d1", "restore-noise")}
    assert hashes == HASHES


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"seen": ["camera_noise:matlab,shot=0.01,read=0.01"]},
            r"line \d+: seen\[0\]: .* on gray photographs: .* 3 colour",
        ),
        ({"convention": {"channels": "y"}}, r"line \d+: convention\.channels: a gray photograph is its luma already"),
        ({"gray": "yes"}, r"gray: expected true or false, not 'yes'"),
    ],
)
def test_what_gray_photographs_cannot_have_is_refused(changed: dict[str, object], message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(dump(GOOD | {"gray": True} | changed))
    with pytest.raises(UserError, match=message):
        load_protocol(str(tmp_path / "mine.yaml"))


CAMERA = "camera_noise:paper"


@pytest.mark.parametrize(
    ("seen", "unseen", "message"),
    [
        ([f"{CAMERA},[0,0.16],[0,0.06]"], f"{CAMERA},0.1,0.03,bayer=rggb", "which is seen"),
        ([f"{CAMERA},[0,0.16],[0,0.06],gamma=[1.6,2.8]"], f"{CAMERA},0.1,0.03,gamma=2.0", "which is seen"),
        ([f"{CAMERA},0.1,0.03,bayer=rggb"], f"{CAMERA},[0,0.16],[0,0.06]", "which is seen"),
        (
            [f"{CAMERA},0.05,0.02,bayer=rggb", f"{CAMERA},0.15,0.06,gamma=2.8"],
            f"{CAMERA},0.1,0.03,bayer=rggb,gamma=2.6",
            "overlaps the seen range 0.05 to 0.15, 0.02 to 0.06, 2.4 to 2.8",
        ),
        (["gaussian_noise:5 | gaussian_noise:20"], "gaussian_noise:10", "overlaps the seen range 5 to 20"),
        (["gaussian_noise:5", "gaussian_noise:20"], "gaussian_noise:10 | speckle_noise:10", "the seen range 5 to 20"),
        (
            ["gaussian_blur:1 > gaussian_noise:5", "gaussian_blur:1 > gaussian_noise:20"],
            "gaussian_blur:1 > gaussian_noise:10",
            "overlaps the seen range 1 to 1, 5 to 20",
        ),
        (
            ["gaussian_blur:1 & gaussian_noise:5", "gaussian_blur:3 > gaussian_noise:20"],
            "gaussian_blur:2 > gaussian_noise:10",
            "overlaps the seen range 1 to 3, 5 to 20",
        ),
        (
            ["hybrid:severe > gaussian_noise:5", "hybrid:severe > gaussian_noise:20"],
            "hybrid:severe > gaussian_noise:10",
            "overlaps the seen range 5 to 20",
        ),
        (["gaussian_noise:5 & jpeg:30"], "gaussian_noise:5 > jpeg:30", "which is seen"),
        (["gaussian_noise:5 > jpeg:30"], "jpeg:30 & gaussian_noise:5", "which is seen"),
        (["pairs:rain100l"], "pairs:Rain100L", "pairs:Rain100L overlaps pairs:rain100l, which is seen"),
    ],
)
def test_leaks_are_refused(seen: list[str], unseen: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(dump(GOOD | {"seen": seen, "held_out": ["haze:1"], "unseen": ["haze:2", unseen]}))
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        load_protocol(str(path))
    assert f"unseen[1]: {unseen} overlaps " in str(caught.value)


@pytest.mark.parametrize(
    ("seen", "unseen"),
    [
        (load_protocol("real-denoise").seen, load_protocol("real-denoise").held_out),
        ([f"{CAMERA},0.05,0.02,bayer=none", f"{CAMERA},0.15,0.06,bayer=none"], [f"{CAMERA},0.1,0.03"]),
        ([f"{CAMERA},0.05,0.02", f"{CAMERA},0.15,0.06"], [f"{CAMERA},0.1,0.03,gamma=2"]),
        (
            ["gaussian_blur:1 > gaussian_noise:5", "gaussian_blur:1 > gaussian_noise:20"],
            ["gaussian_blur:2 > gaussian_noise:10", "gaussian_noise:10 > gaussian_blur:1", "gaussian_noise:10"],
        ),
        (["gaussian_noise:5 | jpeg:30"], ["gaussian_noise:6 | jpeg:40"]),
        (
            ["hybrid:severe > gaussian_noise:5", "hybrid:severe > gaussian_noise:20"],
            ["hybrid:mild > gaussian_noise:10"],
        ),
        (["resample:3,area", "resample:3,bilinear"], ["resample:3", "resample:3,area,area"]),
        (["pairs:rain100l"], ["pairs:rain100h"]),
    ],
)
def test_what_is_unseen_is_accepted(seen: Sequence[object], unseen: Sequence[object], tmp_path: Path) -> None:
    names = [[getattr(c, "name", c) for c in group] for group in (seen, unseen)]
    path = tmp_path / "good.yaml"
    path.write_text(dump(GOOD | {"seen": names[0], "held_out": ["haze:1"], "unseen": names[1]}))
    assert [c.name for c in load_protocol(str(path)).unseen] == names[1]


def test_other_kernels_of_one_factor_can_be_seen_and_unseen(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    groups = {"seen": ["downsample:4,area"], "held_out": ["downsample:4"], "unseen": ["downsample:4,bilinear"]}
    path.write_text(dump(GOOD | groups | {"scale": 4}))
    assert [c.degree for _, c in load_protocol(str(path)).levels()] == ["4, area", 4, "4, bilinear"]


def test_restore_noise_gives_every_kind_an_equal_share_of_usual_batches_made_on_the_device() -> None:
    seen = load_protocol("restore-noise").seen
    assert all(batch % len(seen) == 0 for batch in (16, 32, 64))
    assert all(isinstance(c, Synthetic) and c.distortion.on_device for c in seen)
