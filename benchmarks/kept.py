"""What was measured: kept in benchmarks/results by machine and script, and shown in docs/performance.md."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pairs import Ratio, Row

from unseen.core.atomic import write_text

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
PACKAGES = ["torch", "numpy", "pillow", "onnxruntime", "opencv-python-headless", "kornia", "albumentations", "torchopt"]


@dataclass(frozen=True)
class Table:
    """The rows of one script on one machine.

    Attributes:
        script: the script's name, without its folder and ending.
        title: the first line of its docstring.
        machine: name → what was found of this machine, as the page shows it.
        rounds: the rounds of each row.
        date: the day of the measurement.
        load: the jobs that waited for a processor on average, when the script started.
        rows: what was measured.
        seconds: what a round of each row took, in the order of `rows`.
    """

    script: str
    title: str
    machine: dict[str, str]
    rounds: int
    date: str
    load: float
    rows: tuple[Row, ...] = ()
    seconds: tuple[float, ...] = ()

    @property
    def file(self) -> Path:
        """Where the table is kept."""
        slug = re.sub(r"\W+", "-", " ".join(self.machine[key] for key in ("processor", "cores", "GPU"))).lower()
        return RESULTS / slug.strip("-") / f"{self.script}.jsonl"

    def save(self) -> None:
        """Write the table: a line on how it was measured, then a line a row."""
        facts = {name: value for name, value in asdict(self).items() if name not in ("rows", "seconds")}
        rows = [asdict(row) | {"seconds": s} for row, s in zip(self.rows, self.seconds, strict=True)]
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_text(self.file, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in (facts, *rows)))


def read_table(file: Path) -> Table:
    """The table that `Table.save` wrote."""
    facts, *lines = (json.loads(line) for line in file.read_text(encoding="utf-8").splitlines())
    seconds = tuple(line.pop("seconds") for line in lines)
    return Table(
        **facts, rows=tuple(Row(**line | {"ratio": Ratio(**line["ratio"])}) for line in lines), seconds=seconds
    )


def read_tables(scripts: Iterable[str], folder: Path | None = None) -> list[Table]:
    """All tables that are kept, script by script."""
    return [read_table(file) for script in scripts for file in sorted((folder or RESULTS).glob(f"*/{script}.jsonl"))]


def this_machine() -> dict[str, str]:
    """What the page says of the machine that measures."""
    import torch

    cpuinfo = Path("/proc/cpuinfo")
    models = re.findall(r"^model name\s*: (.*)$", cpuinfo.read_text() if cpuinfo.exists() else "", re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": models[0] if models else platform.processor() or platform.machine(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "GPU": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "system": f"{platform.system()}, {' '.join(platform.libc_ver())}, Python {platform.python_version()}",
        "versions": ", ".join(f"{name} {found}" for name in PACKAGES if (found := installed(name))),
    }


def installed(package: str) -> str:
    """The version of a package, or nothing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def passage(tables: list[Table]) -> str:
    """The generated passage of docs/performance.md."""
    machines: list[dict[str, Any]] = []
    for table in tables:
        if table.machine not in machines:
            machines.append(table.machine)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    reached = [row.verdict for table in tables for row in table.rows if row.verdict]
    text = f"{reached.count('reached')} of {len(reached)} rows reach their target.\n\n"
    text += markdown(
        ["machine", *(machines[0] if machines else [])], [[letters[i], *m.values()] for i, m in enumerate(machines)]
    )
    for table in tables:
        text += f"\n### {table.title}\n\n`python benchmarks/{table.script}.py --rounds {table.rounds}`, machine "
        text += f"{letters[machines.index(table.machine)]}, {table.date}, load {table.load:.1f}\n\n"
        text += markdown(["what", "floor or rival, same run", "target", "measured", "verdict"], map(cells, table.rows))
    return text


def cells(row: Row) -> list[str]:
    """The cells of a row."""
    return [row.what, row.rival, row.target or "–", f"{row.ratio} {row.unit}", row.verdict or "–"]


def markdown(columns: list[str], rows: Iterable[list[str]]) -> str:
    """A table in Markdown."""
    return "".join(f"| {' | '.join(line)} |\n" for line in (columns, [":---"] * len(columns), *rows))


def write_page(tables: list[Table]) -> None:
    """Write the generated passage anew; what stands around it is written by hand."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition("<!-- generated: measurements -->")
    _, _, after = rest.partition("<!-- end -->")
    whole = f"{before}<!-- generated: measurements -->\n\n{passage(tables).strip()}\n\n<!-- end -->{after}"
    write_text(PAGE, whole)
