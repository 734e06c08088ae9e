"""The documents: their Python runs, their commands parse, their links lead somewhere."""

from __future__ import annotations

import ast
import importlib
import json
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from itertools import groupby, pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.contract import check_contract
from support.docs_tables import DocsTables
from support.rooms_picture import floors_of, rooms_svg
from torch import nn

import unseen.distortions
import unseen.methods
import unseen.models.backbones
from unseen.cli.main import COMMANDS, main, parse
from unseen.core.config import save_config
from unseen.core.registry import build
from unseen.core.trust import trusting
from unseen.distortions.sidecar import CopyRecord
from unseen.evaluation.results import ImageResult, read_results
from unseen.methods import METHODS, Batch, Episode, objective_for
from unseen.models.backbones import BACKBONES
from unseen.models.card import Card, Quality
from unseen.protocols.levels import SPLITS
from unseen.protocols.loading import load_protocol
from unseen.study.entry_names import SEPARATOR
from unseen.study.runs import RunRecord
from unseen.study.summary import StudySummary
from unseen.study.tuning import Trial
from unseen.training.state import LOG, TrainingState

ROOT = Path(__file__).parents[1]
README, CONTRIBUTING, CHANGELOG = ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"
LIBRARY = ROOT / "docs" / "library.md"
PAGES = [README, CONTRIBUTING, CHANGELOG, ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in FENCED.findall(page.read_text()) if kind == language]


def commands(page: Path) -> list[list[str]]:
    """The words after `unseen` of every command in the page's shell blocks."""
    calls = []
    for line in "".join(blocks(page, "sh")).replace("\\\n", " ").splitlines():
        tokens = shlex.shlex(line, posix=True, punctuation_chars="|&;")
        tokens.whitespace_split = True
        for joint, run in groupby(tokens, key=lambda token: not token.strip("|&;")):
            words = [] if joint else list(run)
            while words and re.match(r"\w+=", words[0]):  # PYTHONPATH=. unseen ...
                words.pop(0)
            if words[:1] == ["torchrun"]:
                words = words[words.index("--no-python") + 1 :]
            if words and Path(words[0]).name == "unseen":
                calls.append(words[1:])
    return calls


def words_of(command: list[str]) -> str:
    return shlex.join(["unseen", *command])


@pytest.mark.parametrize("command", [command for page in PAGES for command in commands(page)], ids=words_of)
def test_every_command_is_understood(command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for option, value in pairwise(command):
        if option == "--config":  # a file of the reader's, or one that a run has written
            kind = COMMANDS[command[0]].config
            assert kind is not None
            save_config(tmp_path / value, kind())
    if {"--help", "--version"} & set(command):
        with pytest.raises(SystemExit, match="0"):
            parse(command)
        return
    _, config, _ = parse(command)
    for field, registry in (("method", METHODS), ("methods", METHODS), ("backbone", BACKBONES)):
        specs = getattr(config, field, None) or []
        for spec in [specs] if isinstance(specs, str) else specs:
            name, _, backbone = spec.partition(SEPARATOR)
            if not spec.startswith("my_"):
                with trusting("spandrel"):
                    build(name, registry, field, object)
            if backbone:
                build(backbone, BACKBONES, field, object)
    protocol = getattr(config, "protocol", "")
    if protocol and not protocol.endswith(".yaml"):
        load_protocol(protocol)


@pytest.mark.parametrize("page", [README, CONTRIBUTING], ids=lambda page: page.name)
def test_the_main_pages_show_commands(page: Path) -> None:
    assert commands(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """To a file of the repository; to a heading that is there; to a name that the linked module defines."""
    broken = []
    for text, target in LINK.findall(FENCED.sub("", page.read_text())):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        exists = file.exists() and file.is_relative_to(ROOT)
        if not exists or (anchor and anchor not in anchors(file)):
            broken.append(target)
        elif file.suffix == ".py" and (code := re.fullmatch(r"`([\w.]+)`", text)):
            broken += [f"{code[1]} in {target}"] * (not defines(ast.parse(file.read_text()).body, code[1]))
    assert not broken


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def defines(body: list[ast.stmt], name: str) -> bool:
    """Whether a module or class defines a name, dotted for what is inside a class."""
    first, _, rest = name.partition(".")
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == first:
            return not rest or (isinstance(node, ast.ClassDef) and defines(node.body, rest))
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if not rest and first in [target.id for target in targets if isinstance(target, ast.Name)]:
            return True
    return False


def test_names_that_a_module_does_not_define_are_noticed() -> None:
    body = ast.parse("A = 1\nb: int = 2\nclass C:\n    def d(self): pass\n").body
    assert all(defines(body, name) for name in ("A", "b", "C", "C.d"))
    assert not any(defines(body, name) for name in ("d", "C.e", "A.d", "E"))


@pytest.mark.parametrize("page", [README, LIBRARY], ids=lambda page: page.name)
def test_the_python_of_the_documents_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    examples = blocks(page, "python")
    assert examples
    for i, example in enumerate(examples):
        script = tmp_path / f"example{i}.py"
        script.write_text(example)
        runpy.run_path(str(script), run_name="__main__")


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that the reader of CONTRIBUTING.md works in, with the module and the protocol it has in it."""
    (tmp_path / "my_parts.py").write_text("\n\n".join(blocks(CONTRIBUTING, "python")))
    (protocol,) = blocks(CONTRIBUTING, "yaml")
    (tmp_path / "my_protocol.yaml").write_text(protocol)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder])  # `unseen` itself must look here
    yield tmp_path
    sys.modules.pop("my_parts", None)


@pytest.fixture
def my_parts(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module by itself, for a closer look."""
    monkeypatch.syspath_prepend(workplace)
    return importlib.import_module("my_parts")


def test_parts_of_one_s_own_train_and_are_evaluated(workplace: Path) -> None:
    """The commands of CONTRIBUTING.md as they stand, and after them what makes them short."""
    photos = workplace / "photos"
    photos.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(photos / "a.png")
    machine = ["--device", "cpu", "--threads", "1"]
    short = {
        "train": ["--data", "embedded", "--budget", "16", "--batch", "2", "--patch", "12", "--validations", "2"],
        "evaluate": ["--test", "mine=photos"],
    }
    for command in commands(CONTRIBUTING):
        assert main([*command, *short[command[0]], *machine]) == 0, words_of(command)
    log = [json.loads(line) for line in (workplace / "runs/mine" / LOG).read_text().splitlines()]
    assert [(line["step"], line["evaluations"]) for line in log] == [(4, 8), (8, 16)]  # two seen levels, two a step
    rows = read_results(workplace / "runs/mine-test/results.jsonl")
    assert [(row.split, row.degree) for row in rows] == [
        ("seen", 0.02),
        ("seen", 0.05),
        ("held-out", 0.08),
        ("unseen", 0.15),
        ("unseen", 0.3),
    ]
    assert {(row.method, row.distortion) for row in rows} == {("my_parts.Hardest", "my_parts.DeadPixels")}
    assert (workplace / "runs/mine-test/report.html").stat().st_size > 10_000


def test_the_example_of_a_method_is_the_gradient_of_the_largest_loss(my_parts: ModuleType) -> None:
    network = my_parts.Tiny().double()
    images = torch.rand(4, 2, 3, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    episode = Episode([Batch(images[i], images[3]) for i in range(3)], Batch(images[0], images[1]))
    gradient = my_parts.Hardest().gradient(objective_for(network), dict(network.named_parameters()), episode)
    losses = [nn.functional.l1_loss(network(batch.distorted), batch.clean) for batch in episode.confounders]
    expected = torch.autograd.grad(max(losses), list(network.parameters()))
    for (name, _), slope in zip(network.named_parameters(), expected, strict=True):
        torch.testing.assert_close(gradient[name], slope)


def test_the_example_of_a_distortion_keeps_the_rules(my_parts: ModuleType) -> None:
    dead = my_parts.DeadPixels(0.2)
    check_contract(dead, (9, 7), 3, torch.float32)
    clean = torch.full((4, 3, 100, 100), 0.5)
    distorted = dead.apply(clean, dead.sample(torch.Generator().manual_seed(0), 4))
    assert torch.equal(distorted, distorted[:, :1].expand_as(distorted))  # whole pixels, not single channels
    # A fifth of them, within four standard deviations of 40 000 draws.
    assert abs(float((distorted[:, 0] == 0).double().mean()) - 0.2) < 4 * (0.2 * 0.8 / 40_000) ** 0.5
    assert ((distorted == 0) | (distorted == 0.5)).all()


def test_the_miniature_of_the_paper_is_what_its_rows_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "studies")
    paper_mini = importlib.import_module("paper_mini")
    assert paper_mini.page() == paper_mini.PAGE.read_text()


@pytest.mark.parametrize(
    ("source", "rows"),
    [
        ("`embedded`", "data-embedded"),
        ("`dead_leaves`", "data-dead_leaves"),
        ("`embedded dead_leaves`", "data-embedded-dead_leaves"),
        ("200 photographs (BSDS500 test)", "data-bsds200"),
    ],
)
def test_the_comparison_of_data_is_what_the_published_rows_say(source: str, rows: str) -> None:
    study = StudySummary(read_results(ROOT / "docs" / "results" / f"{rows}.jsonl"))
    means = [study.estimates("psnr", split)[method] for method in ("erm", "ceiling") for split in SPLITS]
    cells = [f"{mean.mean:.2f} ±{mean.spread:.2f}" for mean in means]
    line = f"| {source} | {' | '.join(cells)} | {study.seeds['erm']} |"
    assert line in (ROOT / "docs" / "data.md").read_text(encoding="utf-8")


def test_the_rooms_of_the_architecture_are_those_of_the_import_contract(docs_tables: DocsTables) -> None:
    """The table names them in order, with what each may import; the picture is drawn from both."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| \[(\w+)\]\(\S+\) \| (.*?) \| (.*?) \|$", page, re.MULTILINE)
    floors = floors_of(ROOT / "pyproject.toml")
    assert [room for room, _, _ in table] == [room for rooms in floors for room in rooms]
    for i, rooms in enumerate(floors):
        below = ", ".join(f"`{room}`" for room in floors[i + 1]) if i + 1 < len(floors) else "nothing"
        expected = f"{below} and below" if i + 2 < len(floors) else below
        assert {may_import for room, _, may_import in table if room in rooms} == {expected}, rooms
    picture = rooms_svg(floors, {room: question for room, question, _ in table})
    file = ROOT / "docs" / "rooms.svg"
    if docs_tables.write:
        file.write_text(picture, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == picture, "docs/rooms.svg is out of date: run pytest --write-docs"


def test_the_glossary_is_one_term_a_row_in_order() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    terms = [term.lower() for term in re.findall(r"^\| \*\*([^*]+)\*\*", text, re.MULTILINE)]
    assert len(terms) >= 25
    assert terms == sorted(set(terms))


@pytest.mark.parametrize("record", [ImageResult, RunRecord, Trial, CopyRecord, Card, Quality, TrainingState])
def test_every_field_of_a_file_is_in_the_document_on_formats(record: type[Any]) -> None:
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    assert [field.name for field in fields(record) if f"`{field.name}`" not in text] == []


@pytest.mark.parametrize("module", [unseen.methods, unseen.distortions, unseen.models.backbones])
def test_every_public_name_is_in_the_reference(module: ModuleType) -> None:
    """All of `__all__`, but the table of networks by others and an alias that its own module describes."""
    public = {f"{module.__name__}.{name}" for name in module.__all__} - {
        "unseen.models.backbones.ZOO",
        "unseen.methods.Params",
    }
    assert public <= references()


def test_every_built_in_method_is_in_the_reference() -> None:
    assert {f"unseen.methods.{method.__name__}" for method in METHODS.values()} <= references()


def test_the_reference_names_what_is_there() -> None:
    assert [name for name in sorted(references()) if not resolves(name)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_dotted_names_in_the_documents_are_there(page: Path) -> None:
    """In the changelog those in the right column: the left one names what is gone."""
    text = re.sub(r"^\| `unseen.*? \|", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    keys_of_onnx = {"unseen.reach", "unseen.smallest", "unseen.version"}
    names = set(re.findall(r"`(unseen(?:\.\w+)+)`", text)) - keys_of_onnx
    assert [name for name in sorted(names) if not resolves(name)] == []


def references() -> set[str]:
    """The dotted names that the pages under docs/reference describe."""
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "reference").glob("*.md"))
    return set(re.findall(r"^::: (\S+)$", pages, re.MULTILINE))


def resolves(dotted: str) -> bool:
    """Whether a dotted name leads to a module, to something that a module defines, or to an attribute of that."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        try:
            value: Any = importlib.import_module(".".join(parts[:count]))
        except ImportError:
            continue
        for name in parts[count:]:
            value = getattr(value, name, None)
        return value is not None
    return False


def test_the_picture_of_the_readme_is_what_the_shipped_networks_restore(monkeypatch: pytest.MonkeyPatch) -> None:
    """To some gray levels and 0.02 dB: processors round otherwise, and the letters are another library's."""
    monkeypatch.syspath_prepend(ROOT / "studies")
    picture = importlib.import_module("picture")
    panels = picture.panels()
    drawn = np.asarray(picture.draw(panels), dtype=int)[: picture.HEIGHT]
    shown = np.asarray(Image.open(picture.PICTURE).convert("RGB"), dtype=int)[: picture.HEIGHT]
    difference = np.abs(shown - drawn)
    assert difference.max() <= 3
    assert difference.mean() <= 0.15
    assert picture.PICTURE.stat().st_size < 350_000
    psnr = {panel.title: panel.psnr for panel in panels}
    expected = {"noisy, σ 50": 14.54, "erm": 21.21, "dil_sf": 20.77, "unit_noise": 27.69, "denoiser": 29.48}
    assert psnr.pop("photograph") is None
    assert psnr == pytest.approx(expected, abs=0.02)


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    home = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "picture.png" in home
    remote = re.findall(r'<(?:link|script|img)[^>]+(?:href|src)="(https?:[^"]+)"', home)
    assert remote == []  # a page fetches nothing
    method = (tmp_path / "site" / "method.html").read_text(encoding="utf-8")
    assert "<math" in method
    assert "arithmatex" not in method
