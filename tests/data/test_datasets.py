"""Public sets: their description, the pairing of names, the check of folders, and the page that tells people."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.docs_tables import DocsTables, markdown_table

from unseen.core.errors import UserError
from unseen.data import set_check as module
from unseen.data.known_sets import Dataset, expand_pattern, known_datasets, parse_datasets
from unseen.data.pair_names import match_pairs, scene_name
from unseen.data.set_check import check_data_source, check_set
from unseen.protocols.files import protocol_names
from unseen.protocols.loading import load_protocol

PAGE = Path(__file__).parents[2] / "docs" / "datasets.md"
SETS = list(known_datasets())


def save(folder: Path, *names: str, size: tuple[int, int] = (8, 6)) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(path)
    return folder


# ------------------------------------------------------------------------------------------- description

TOY = """
toy:
  kind: pairs
  use: test
  about: A set of nothing
  origin: Nobody, 2020
  licence: MIT
  images: 6
  layout: two folders
  protocols: []
  names: ["{1..2}"]
  per_target: 3
"""


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("licence: MIT", "license: MIT", "toy: unknown field 'license' (did you mean 'licence'?)"),
        ("licence: MIT", "licence: MIT\n  name: toy", "toy: unknown field 'name'"),
        ("  layout: two folders\n", "", "toy: field 'layout' is missing"),
        ("kind: pairs", "kind: pair", "toy: kind: 'pair' is none of clean, pairs, inputs"),
        ("use: test", "use: testing", "toy: use: 'testing' is none of test, train"),
    ],
)
def test_what_a_description_may_not_hold_is_refused(old: str, new: str, line: str) -> None:
    assert list(parse_datasets(TOY)) == ["toy"]
    assert old in TOY
    with pytest.raises(ValueError, match=re.escape(line)):
        parse_datasets(TOY.replace(old, new))


def test_patterns_stand_for_ranges_with_steps_and_combinations() -> None:
    assert expand_pattern("head") == ["head"]
    assert expand_pattern("kodim{08..11}") == ["kodim08", "kodim09", "kodim10", "kodim11"]
    assert expand_pattern("{3..9..3}") == ["3", "6", "9"]
    assert expand_pattern("{098..101}.x") == ["098.x", "099.x", "100.x", "101.x"]
    assert expand_pattern("{1..2}_{01..02}") == ["1_01", "1_02", "2_01", "2_02"]


@pytest.mark.parametrize("name", SETS)
def test_a_description_agrees_with_itself(name: str) -> None:
    dataset = known_datasets()[name]
    assert dataset.home.startswith("http")
    for text in (dataset.about, dataset.origin, dataset.licence, dataset.layout):
        assert text
        assert "|" not in text  # would break the table
    for names in dataset.known_names():
        assert len(set(names)) == len(names)
        assert len(names) * dataset.per_target in dataset.images
        assert [scene_name(f"{known}.png") for known in names] == names  # else none would ever be found


def test_every_set_that_a_protocol_names_is_described() -> None:
    for protocol in protocol_names():
        loaded = load_protocol(protocol)
        for name in {*loaded.tests, *loaded.recorded()} - {"embedded"}:
            assert protocol in known_datasets()[name].protocols, name


def test_no_protocol_asks_for_tests_that_cannot_be() -> None:
    for protocol in protocol_names():
        for name in {*load_protocol(protocol).tests} - {"embedded"}:
            assert known_datasets()[name].option, f"{name} has no targets"


def test_parts_are_parts_and_train_and_test_are_apart() -> None:
    names = {name: [set(way) for way in dataset.known_names()] for name, dataset in known_datasets().items()}
    assert all(part < whole for part, whole in zip(names["urban20"], names["urban100"], strict=True))
    assert names["rain30"][0] < names["rain100l"][1]
    assert names["city12"][0] < names["city100"][0]
    assert not names["bsds200"][0] & names["cbsd68"][0]
    assert not names["div2k"][0] & names["div2k-train"][0]


# ------------------------------------------------------------------------------------------- the page


def facts(datasets: Iterable[Dataset], heading: str) -> str:
    left = dict.fromkeys(("set", "what", "from", "licence"), ":---")
    rows = [
        (
            f"`{d.name}`",
            d.about,
            f"[{d.origin}]({d.home})",
            d.licence,
            " or ".join(map(str, d.images)),
            d.size,
            ", ".join(d.protocols) or "none",
        )
        for d in datasets
    ]
    return markdown_table({**left, heading: "---:", "size": ":---", "protocols": ":---"}, rows)


def test_the_page_says_what_is_checked(docs_tables: DocsTables) -> None:
    datasets = known_datasets().values()
    clean, others = (
        facts([d for d in datasets if (d.kind == "clean") is wanted], heading)
        for wanted, heading in ((True, "pictures"), (False, "pairs"))
    )
    layout = [(f"`{d.name}`", f"`{d.option}`" if d.option else "not at all", d.layout) for d in datasets]
    columns = dict.fromkeys(("set", "give it as", "folders and names"), ":---")
    docs_tables.check("docs/datasets.md", "clean sets", clean)
    docs_tables.check("docs/datasets.md", "sets of pairs", others)
    docs_tables.check("docs/datasets.md", "layout of sets", markdown_table(columns, layout))


def test_options_are_those_of_the_command_line() -> None:
    options = {name: known_datasets()[name].option for name in ("cbsd68", "flickr2k", "rain100l", "did-mdn", "dnd")}
    assert options == {
        "cbsd68": "--test cbsd68=DIR",
        "flickr2k": "--data DIR",
        "rain100l": "--test rain100l=INPUT_DIR:TARGET_DIR",
        "did-mdn": "--pairs did-mdn=INPUT_DIR:TARGET_DIR",
        "dnd": "",
    }


def test_a_set_lies_in_one_folder_on_all_pages() -> None:
    """And what is trained on holds nothing that is tested on."""
    commands = "".join((PAGE.parent / name).read_text(encoding="utf-8") for name in ("datasets.md", "protocols.md"))
    found = {name: set(re.findall(rf"[\s`]{name}=(data/\S+)", commands)) for name in SETS}
    assert all(len(folders) <= 1 for folders in found.values()), found
    assert sum(map(len, found.values())) > 15
    training = {folder for line in re.findall(r"--data ((?:data/\S+ ?)+)", commands) for folder in line.split()}
    assert training == {"data/DIV2K_train_HR", "data/Flickr2K_HR"}
    assert not training & {folder for sources in found.values() for source in sources for folder in source.split(":")}
    for name in ("div2k-train", "flickr2k"):
        assert any(f"one folder, {Path(folder).name};" in known_datasets()[name].layout for folder in training)


def test_the_folder_that_tests_read_is_as_it_is_told(real_images: Path) -> None:
    section = PAGE.read_text(encoding="utf-8").partition("\n## The folder that tests read\n")[2].partition("\n## ")[0]
    told = {folder for line in section.splitlines() for folder in re.findall(r"`((?:test|train)/\w[\w/]*)`", line)}
    assert len(told) == 15
    assert not [folder for folder in told if not (real_images / folder).is_dir()]
    studies = [path.read_text() for path in (PAGE.parents[1] / "studies").rglob("*.yaml")]
    used = {folder for text in studies for folder in re.findall(r"\$UNSEEN_TEST_DATA/([\w/]+)", text)}
    assert used
    assert used <= told


# ------------------------------------------------------------------------------------------- pairing


def matched(inputs: Path, targets: Path) -> dict[str, str]:
    pairs, problems = match_pairs(inputs, targets)
    assert not problems
    return {a.relative_to(inputs).as_posix(): b.relative_to(targets).as_posix() for a, b in pairs}


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


# ------------------------------------------------------------------------------------------- checking

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
