"""The check of the folders of public sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.public_sets import TOY, matched, save

from unseen.core.errors import UserError
from unseen.data import set_check as module
from unseen.data.known_sets import known_datasets, parse_datasets
from unseen.data.set_check import check_data_source, check_set

SET5 = {"baby": (512, 512), "bird": (288, 288), "butterfly": (256, 256), "head": (280, 280), "woman": (228, 344)}


@pytest.fixture
def set5(tmp_path: Path) -> Path:
    for name, size in SET5.items():
        save(tmp_path, f"set5/{name}.png", size=size)
    return tmp_path / "set5"


def test_a_good_folder_passes_and_is_told(set5: Path) -> None:
    check = check_data_source(f"set5={set5}")
    assert not check.problems
    told = "1 of 512×512, 1 of 288×288, 1 of 256×256, 2 of other sizes"
    assert check.summary == f"set5: 5 pictures in {set5}, all 5 decoded: {told}"


def test_what_is_missing_is_named(set5: Path) -> None:
    (set5 / "head.png").unlink()
    assert check_set("set5", set5).problems == ("number: 4 pictures, expected 5", "missing: head")


def test_what_does_not_belong_is_named(set5: Path) -> None:
    (set5 / "head.png").rename(set5 / "face.png")
    assert check_set("set5", set5).problems == ("missing: head", "not of this set: face")


def test_too_many_are_too_many(set5: Path) -> None:
    save(set5, "baby.bmp", size=SET5["baby"])
    assert check_set("set5", set5).problems == ("number: 6 pictures, expected 5",)


def test_names_of_another_set_are_not_taken_for_this_one(set5: Path) -> None:
    for i, name in enumerate(SET5):
        (set5 / f"{name}.png").rename(set5 / f"other{i}.png")
    (problem,) = check_set("set5", set5).problems
    assert problem.startswith("names: none is like baby;")


def test_other_known_names_and_suffixes_are_taken(set5: Path) -> None:
    for i, name in enumerate(SET5, 1):
        Image.open(set5 / f"{name}.png").save(set5 / f"img_{i:03}_HR.bmp")
        (set5 / f"{name}.png").unlink()
    assert not check_set("set5", set5).problems


def test_a_wrong_size_is_named(set5: Path) -> None:
    save(set5, "bird.png", size=(287, 288))
    (problem,) = check_set("set5", set5).problems
    assert problem == "size: expected 512×512, 288×288, 256×256, 280×280, 228×344, not bird.png 287×288"


def test_a_wrong_longer_side_is_named(tmp_path: Path) -> None:
    save(tmp_path, *(f"{i:04}.png" for i in range(801, 900)), size=(2, 2040))
    save(tmp_path, "0900.png", size=(1020, 2))
    assert check_set("div2k", tmp_path).problems == ("size: expected longer side 2040, not 0900.png 1020×2",)


def test_what_cannot_be_read_is_named(set5: Path) -> None:
    (set5 / "bird.png").write_text("no picture")
    (problem,) = check_set("set5", set5).problems
    assert problem.startswith(f"cannot be read: {set5 / 'bird.png'}: ")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_what_is_cut_short_is_noticed_though_its_header_is_sound(suffix: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    parts: dict[str, list[Path]] = {"in": [], "gt": []}
    for folder, paths in parts.items():
        (tmp_path / folder).mkdir()
        for i in range(3, 91, 3):
            paths.append(tmp_path / folder / f"{i}.{suffix}")
            Image.fromarray(pixels).save(paths[-1])
    for path in (parts["in"][1], parts["gt"][2], parts["gt"][3]):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert Image.open(path).size == (60, 40)
    check = check_set("rain30", tmp_path / "in", tmp_path / "gt")
    broken = [problem for problem in check.problems if problem.startswith("cannot be read: ")]
    assert [problem.count(str(tmp_path)) for problem in broken] == [1, 2]
    assert ", 57 of 60 decoded: 57 of 60×40" in check.summary


def test_pictures_are_checked_upright(set5: Path) -> None:
    turned = Image.new("RGB", (344, 228))
    turned.getexif()[0x0112] = 6  # shown a quarter turned
    (set5 / "woman.png").unlink()
    turned.save(set5 / "woman.jpg", exif=turned.getexif())
    assert not check_set("set5", set5).problems


def test_many_files_are_counted_after_the_tenth(tmp_path: Path) -> None:
    save(tmp_path, *(f"img_{i:03}.png" for i in range(1, 81)))
    problems = check_set("urban100", tmp_path).problems
    some = ", ".join(f"img_{i:03}" for i in range(81, 91))
    assert problems == ("number: 80 pictures, expected 100", f"missing: {some} and 10 more")


@pytest.fixture
def rain30(tmp_path: Path) -> Callable[[], tuple[str, ...]]:
    for folder, part in (("in", "rain"), ("gt", "norain")):
        save(tmp_path / folder, *(f"{part}-{i:03}.png" for i in range(3, 91, 3)), size=(48, 32))
    return lambda: check_data_source(f"rain30={tmp_path / 'in'}:{tmp_path / 'gt'}").problems


def test_pairs_are_checked_for_partners_and_sizes(rain30: Callable[[], tuple[str, ...]], tmp_path: Path) -> None:
    def save_pair(number: int, size: tuple[int, int]) -> None:
        save(tmp_path, f"in/rain-{number:03}.png", f"gt/norain-{number:03}.png", size=size)

    (size,) = rain30()
    assert size.startswith("size: expected 481×321, 321×481, 480×320, 320×480, not norain-003.png 48×32, ")
    assert size.endswith(" and 20 more")
    for i in range(3, 91, 3):
        save_pair(i, (480, 320) if i % 2 else (321, 481))
    assert rain30() == ()
    save(tmp_path / "in", "rain-003.png", size=(479, 320))
    assert rain30() == ("size: an input must be as large as its target, not rain-003.png 479×320 for 480×320",)
    save_pair(3, (480, 320))
    (tmp_path / "gt" / "norain-009.png").rename(tmp_path / "gt" / "norain-010.png")
    assert rain30() == (
        "number: 29 pairs, expected 30",
        "missing: 009",
        "rain-009.png: no target has this name",
        "norain-010.png: no input has this name",
    )
    for i in range(9, 91, 3):
        (tmp_path / "in" / f"rain-{i:03}.png").unlink()
    assert rain30()[-1] == "and 18 more files without a partner"


def test_inputs_of_a_scale_are_so_much_smaller(tmp_path: Path) -> None:
    for camera in ("Canon", "Nikon"):
        save(tmp_path / "lr", *(f"{camera}_{i:03}_LR4.png" for i in range(1, 51)), size=(3, 2))
        save(tmp_path / "hr", *(f"{camera}_{i:03}_HR.png" for i in range(1, 51)), size=(12, 8))
    assert not check_set("realsr", tmp_path / "lr", tmp_path / "hr").problems
    save(tmp_path / "lr", "Nikon_050_LR4.png", size=(12, 8))
    (problem,) = check_set("realsr", tmp_path / "lr", tmp_path / "hr").problems
    assert problem == "size: an input must be 1/4 of its target, each way, not Nikon_050_LR4.png 12×8 for 12×8"


def test_every_target_has_as_many_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "known_datasets", lambda: parse_datasets(TOY))
    inputs = save(tmp_path / "in", *(f"{i}_{j}.jpg" for i in (1, 2) for j in (1, 2, 3)))
    targets = save(tmp_path / "gt", "1.jpg", "2.jpg")
    assert not check_set("toy", inputs, targets).problems
    (inputs / "2_3.jpg").rename(inputs / "1_4.jpg")
    assert check_set("toy", inputs, targets).problems == (
        "number: 3 inputs belong to a target, not as for 1.jpg (4), 2.jpg (2)",
    )


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("", "expected NAME=DIR, NAME=INPUT_DIR:TARGET_DIR, or a pack"),
        ("cbsd68", "expected NAME=DIR, NAME=INPUT_DIR:TARGET_DIR, or a pack"),
        ("cbsd68=", "expected NAME=DIR, NAME=INPUT_DIR:TARGET_DIR, or a pack"),
        ("cbds68=somewhere", "'cbds68' is none of bsd100, bsds200, cbsd68, .*did you mean 'cbsd68'"),
        (
            "rain100l=somewhere",
            "rain100l is of pairs and needs both folders, inputs before targets: rain100l=INPUT_",
        ),
        ("cbsd68=here:there", "cbsd68 is of clean pictures and needs one folder: cbsd68=DIR"),
        ("dnd=here:there", "dnd is of inputs alone, without targets, and needs one folder: dnd=DIR"),
        ("cbsd68=nowhere", "nowhere: no such folder"),
        ("rain100l=nowhere:neither", "nowhere: no such folder"),
    ],
)
def test_sources_that_cannot_be_checked_are_refused(source: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        check_data_source(source)


def test_folders_to_check_may_begin_with_a_tilde(set5: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(set5.parent))
    assert check_data_source(f"set5=~/{set5.name}") == check_data_source(f"set5={set5}")


def test_a_set_of_pairs_has_two_folders_and_others_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"rain30 is of pairs .*: rain30=INPUT_DIR:TARGET_DIR"):
        check_set("rain30", tmp_path)
    with pytest.raises(UserError, match=r"dnd is of inputs alone, .*: dnd=DIR"):
        check_set("dnd", tmp_path, tmp_path)


def test_a_colon_may_be_of_the_folder_s_own_name(set5: Path) -> None:
    folder = set5.rename(set5.parent / "a:b")
    assert not check_data_source(f"set5={folder}").problems


# ------------------------------------------------------------------------------------------- real sets


@pytest.mark.parametrize(
    ("name", "folders"),
    [
        ("cbsd68", ["test/cbsd68"]),
        ("set5", ["test/set5"]),
        ("set14", ["test/set14"]),
        ("urban20", ["test/urban20"]),
        ("bsds200", ["train/bsds200"]),
        ("rain30", ["test/rain30/input", "test/rain30/target"]),
        ("cc15", ["test/cc15/noisy", "test/cc15/clean"]),
        ("city12", ["test/city12/lr", "test/city12/hr"]),
    ],
)
def test_real_sets_pass(name: str, folders: list[str], real_images: Path) -> None:
    source = f"{name}=" + ":".join(str(real_images / folder) for folder in folders)
    check = check_data_source(source)
    assert not check.problems
    assert f"{name}: {known_datasets()[name].images[0]} " in check.summary


def test_a_real_part_is_not_the_whole(real_images: Path) -> None:
    assert check_set("urban100", real_images / "test" / "urban20").problems[0] == "number: 20 pictures, expected 100"
    problems = check_set("bsds200", real_images / "test" / "cbsd68").problems
    assert [problem.partition(":")[0] for problem in problems] == ["number", "names"]


def test_real_pairs_of_another_scale_are_matched_and_refused(real_images: Path) -> None:
    lr, hr = real_images / "test" / "set5_x4" / "lr", real_images / "test" / "set5_x4" / "hr"
    assert matched(lr, hr) == {f"img_00{i}.png": f"img_00{i}.png" for i in range(1, 6)}
    assert any(
        "as large as its target, not img_001.png 128×128 for 512×512" in p for p in check_set("cc15", lr, hr).problems
    )
