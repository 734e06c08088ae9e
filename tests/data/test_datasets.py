"""Public sets: their description, and the page that tells people."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from support.docs_tables import DocsTables, markdown_table
from support.public_sets import TOY

from unseen.data.known_sets import Dataset, expand_pattern, known_datasets, parse_datasets
from unseen.data.pair_names import scene_name
from unseen.protocols.files import protocol_names
from unseen.protocols.loading import load_protocol

PAGE = Path(__file__).parents[2] / "docs" / "datasets.md"
SETS = list(known_datasets())


# ------------------------------------------------------------------------------------------- description


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
    assert len(told) == 16
    assert not [folder for folder in told if not (real_images / folder).is_dir()]
    studies = [path.read_text() for path in (PAGE.parents[1] / "studies").rglob("*.yaml")]
    used = {folder for text in studies for folder in re.findall(r"\$UNSEEN_TEST_DATA/([\w/]+)", text)}
    assert used
    assert used <= told
