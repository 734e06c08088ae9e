"""The rooms of the package: what lies in them, what each loads; and files of earlier versions are still read."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

import unseen
from unseen.cli.main import parse
from unseen.evaluation.results import read_results, write_results
from unseen.models.checkpoint import load_checkpoint
from unseen.models.files import shipped
from unseen.study.runs import read_runs, write_runs

ROOT = Path(__file__).parents[1]
PACKAGE = Path(unseen.__file__).parent
ROOMS = {
    "cli",
    "core",
    "data",
    "distortions",
    "evaluation",
    "methods",
    "models",
    "protocols",
    "restoration",
    "studio",
    "study",
    "training",
}
LAZY = ("__init__.py", "cli/", "study/report/")  # these load torch, matplotlib and their users only when needed
KEPT = sorted(
    {path.parent for path in (ROOT / "studies").rglob("results.jsonl") if (path.parent / "config.yaml").exists()}
)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def loaded_by(code: str) -> list[list[str]]:
    """Run `code` in a fresh interpreter; each `loaded()` in it reports the names of all modules loaded so far."""
    report = "import json, sys\ndef loaded():\n    print('loaded', json.dumps(sorted(sys.modules)))\n"
    process = subprocess.run([sys.executable, "-c", report + code], capture_output=True, text=True, check=True)
    reports = (line.partition("loaded ") for line in process.stdout.splitlines())
    return [json.loads(names) for _, mark, names in reports if mark]


def rooms_among(modules: list[str]) -> set[str]:
    return {name.split(".")[1] for name in modules if name.startswith("unseen.")}


def test_the_package_is_its_rooms_and_nothing_beside_them() -> None:
    entries = {path.name for path in PACKAGE.iterdir()} - {"__pycache__"}
    assert entries == {"__init__.py", "__main__.py", "py.typed", *ROOMS}
    assert len(ROOMS) <= 12


def test_methods_know_the_core_alone_and_training_knows_nothing_above_it() -> None:
    methods, training = loaded_by("import unseen.methods; loaded(); import unseen.training.loop; loaded()")
    assert rooms_among(methods) == {"core", "methods"}
    assert rooms_among(training) >= {"core", "methods", "training"}
    assert not rooms_among(training) & {"restoration", "study", "studio", "cli"}
    assert not {name.partition(".")[0] for name in training} & {"onnx", "onnxruntime", "onnxscript", "spandrel"}


def test_help_loads_no_torch() -> None:
    code = "from unseen.cli.main import main\ntry:\n    main(['--help'])\nfinally:\n    loaded()"
    process = f"try:\n    exec({code!r})\nexcept SystemExit:\n    pass"
    (modules,) = loaded_by(process)
    assert not {"torch", "numpy", "pydantic"} & set(modules)


def test_no_module_is_imported_by_what_it_imports() -> None:
    """Imports within functions and for types alone are counted too."""
    graph = grimp.build_graph("unseen", cache_dir=None)
    order = TopologicalSorter({module: graph.find_modules_directly_imported_by(module) for module in graph.modules})
    order.prepare()  # raises CycleError, which names a circle


def test_imports_for_types_alone_hide_nothing_of_the_package() -> None:
    hidden = set()
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
                imports = [inner for statement in node.body for inner in ast.walk(statement)]
                if any(isinstance(i, ast.ImportFrom) and (i.level or "unseen" in str(i.module)) for i in imports):
                    hidden.add(name)
    assert {name for name in hidden if not name.startswith(LAZY)} == set()


def test_there_are_kept_studies() -> None:
    assert len(KEPT) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("study", KEPT, ids=name_of)
def test_a_kept_study_is_read_and_written_again_byte_for_byte(study: Path, tmp_path: Path) -> None:
    parse(["compare", "--config", str(study / "config.yaml")])
    write_results(tmp_path / "results.jsonl", read_results(study / "results.jsonl"))
    assert (tmp_path / "results.jsonl").read_bytes() == (study / "results.jsonl").read_bytes()
    if (study / "runs.jsonl").exists():
        write_runs(tmp_path / "runs.jsonl", read_runs(study / "runs.jsonl"))
        assert (tmp_path / "runs.jsonl").read_bytes() == (study / "runs.jsonl").read_bytes()


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_checkpoint_loads(name: str) -> None:
    network, card = load_checkpoint(shipped()[name])
    assert sum(parameter.numel() for parameter in network.parameters()) > 0
    assert card.quality
