"""The pairing of names of public sets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.public_sets import matched, save

from unseen.core.errors import UserError
from unseen.data.pair_names import match_pairs


@pytest.mark.parametrize(
    ("name", "pairs"),
    [
        ("equal names", {"1.png": "1.png", "2.png": "2.png", "10.png": "10.png"}),
        ("another suffix", {"a.jpg": "a.png", "b.JPG": "b.tif"}),
        ("Rain100L", {"rain-001.png": "norain-001.png", "rain-002.png": "norain-002.png"}),
        ("Rain200H", {"norain-1x2.png": "norain-1.png", "norain-11x2.png": "norain-11.png"}),
        ("Rain12", {"001_in.png": "001_GT.png", "002_in.png": "002_GT.png"}),
        ("CC", {"5dmark3_iso3200_1_real.png": "5dmark3_iso3200_1_mean.png"}),
        ("RealSR", {"Canon_001_LR4.png": "Canon_001_HR.png", "Nikon_001_LR4.png": "Nikon_001_HR.png"}),
        ("DRealSR", {"Canon_10_x1.png": "Canon_10_x4.png", "sony_1_x1.png": "sony_1_x4.png"}),
        ("City100", {"001L.PNG": "001H.PNG", "010L.PNG": "010H.PNG"}),
        ("DIV2K", {"0801x4.png": "0801.png", "0802x4.png": "0802.png"}),
        ("SIDD", {"1_L/0001_NOISY_SRGB_010.PNG": "1_L/0001_GT_SRGB_010.PNG", "1_H/NOISY.PNG": "1_H/GT.PNG"}),
        ("folders named for the part", {"rainy/7.png": "clean/7.png", "rainy/deep/7.png": "clean/deep/7.png"}),
        ("DID-MDN", {"Rain_Heavy/1.png": "Rain_Heavy/1.png", "Rain_Light/1.png": "Rain_Light/1.png"}),
        ("Rain14000", {"1_1.jpg": "1.jpg", "1_14.jpg": "1.jpg", "11_1.jpg": "11.jpg", "901_14.jpg": "901.jpg"}),
        ("Outdoor-Rain", {"im_0001_s80_a04.png": "im_0001.png", "im_0001_s95_a06.png": "im_0001.png"}),
        ("the longest beginning", {"1_2_3.png": "1_2.png", "1_3_3.png": "1.png"}),
        ("words that are names", {"rain.png": "rain.png", "noise-1.png": "noise-1.png", "real-1.png": "real-1.png"}),
    ],
)
def test_names_of_public_sets_find_their_partners(name: str, pairs: dict[str, str], tmp_path: Path) -> None:
    inputs, targets = save(tmp_path / "a", *pairs), save(tmp_path / "b", *pairs.values())
    assert matched(inputs, targets) == pairs


def problems_of(tmp_path: Path, inputs: list[str], targets: list[str]) -> tuple[list[str], list[str]]:
    pairs, problems = match_pairs(save(tmp_path / "a", *inputs), save(tmp_path / "b", *targets))
    return [a.name for a, _ in pairs], problems


def test_files_without_a_partner_are_named(tmp_path: Path) -> None:
    found, problems = problems_of(tmp_path, ["rain-1.png", "rain-2.png", "x/3.png"], ["norain-1.png", "norain-4.png"])
    assert found == ["rain-1.png"]
    assert problems == [
        "rain-2.png: no target has this name",
        "x/3.png: no target has this name",
        "norain-4.png: no input has this name",
    ]


@pytest.mark.parametrize(
    ("inputs", "targets"),
    [
        (["a.png", "a.jpg"], ["a.png"]),
        (["a.png"], ["a.png", "a.jpg"]),
        (["rain-a.png"], ["norain-a.png", "a_clean.png"]),
        (["rain-a.png", "noisy-a.png"], ["a.png"]),
    ],
)
def test_what_could_go_with_several_goes_with_none(inputs: list[str], targets: list[str], tmp_path: Path) -> None:
    found, problems = problems_of(tmp_path, [*inputs, "b.png"], [*targets, "b.png"])
    assert found == ["b.png"]
    names = sorted(inputs) + sorted(targets)
    assert problems == [f"{name}: ambiguous, as other files are called 'a' as well" for name in names]


@pytest.mark.parametrize(
    ("inputs", "targets"),
    [
        (["12.png"], ["1.png"]),  # a beginning, but no word ends there
        (["a_b/1.png"], ["a.png"]),  # a beginning of the folder's name alone
        (["001.png"], ["1.png"]),  # numbers are words
        (["1_1.png"], ["1.png", "1.jpg"]),
    ],
)
def test_other_names_stay_apart(inputs: list[str], targets: list[str], tmp_path: Path) -> None:
    assert not problems_of(tmp_path, inputs, targets)[0]


def test_several_inputs_share_a_target_only_if_it_has_no_namesake(tmp_path: Path) -> None:
    found, problems = problems_of(tmp_path, ["1.png", "1_2.png"], ["1.png"])
    assert found == ["1.png"]
    assert problems == ["1_2.png: no target has this name"]


def test_one_folder_may_lie_in_the_other(tmp_path: Path) -> None:
    root = save(tmp_path, "norain-1.png", "norain-2.png", "rainy/rain-1.png", "rainy/rain-2.png")
    expected = {"rain-1.png": "norain-1.png", "rain-2.png": "norain-2.png"}
    assert matched(root / "rainy", root) == expected
    assert matched(root, root / "rainy") == {target: name for name, target in expected.items()}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("gt", "in-noisy"),
        ("target", "input"),
        ("Clean", "Noisy"),
        ("sharp", "blur"),
        ("ground_truth", "rainy_image"),
        ("test_HR", "test_LR"),
        ("norain", "rain"),
    ],
)
def test_folders_the_wrong_way_round_are_refused(first: str, second: str, tmp_path: Path) -> None:
    targets, inputs = save(tmp_path / first, "1.png"), save(tmp_path / second, "1.png")
    assert matched(inputs, targets) == {"1.png": "1.png"}
    with pytest.raises(UserError, match=re.escape(f"{targets} and {inputs} seem to be swapped: inputs come first")):
        match_pairs(targets, inputs)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("clean", "b"),  # one name alone tells nothing
        ("a", "noisy"),
        ("clean_rain", "rain"),  # cleaned of rain, or clean and with rain: it might be either
        ("gt", "noisy_gt"),
        ("cleanup", "inputs"),  # other words
        ("rain", "blur"),
        ("gt/x", "noisy/x"),  # the last folder's name counts
    ],
)
def test_other_folders_are_taken_as_they_are_given(first: str, second: str, tmp_path: Path) -> None:
    assert matched(save(tmp_path / first, "1.png"), save(tmp_path / second, "1.png")) == {"1.png": "1.png"}


def test_one_folder_for_both_and_files_are_refused(tmp_path: Path) -> None:
    save(tmp_path, "a/1_LR4.png", "a/1_HR.png")
    with pytest.raises(UserError, match="holds inputs and targets; move them into two folders"):
        match_pairs(tmp_path / "a", tmp_path / "a" / ".." / "a")
    with pytest.raises(UserError, match="is a file; give a folder"):
        match_pairs(tmp_path / "a" / "1_LR4.png", tmp_path / "a")
    with pytest.raises(UserError, match="no such folder"):
        match_pairs(tmp_path / "a", tmp_path / "b")
