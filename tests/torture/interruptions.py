"""Kills and requests to stop at random moments, full disks, and what the same command makes of it afterwards."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from safetensors.torch import load_file
from support.commandline import MACHINE, TINY, photographs

from unseen.methods import METHODS

from .oracle import Allowance, unreadable
from .workshop import PICTURES, Fault, Sandbox, Workshop

SLOW = Allowance(cpu=30)
"""For commands that train or export: what takes its time is the work, not the fault that is looked for."""

PHOTOS = ["--data", "photos"]
STUDY = [*PHOTOS, "--test", "q=tests"]
TIMES = ("seconds", "waiting", "memory", "machine")
"""Fields that no two runs share."""


@dataclass(frozen=True)
class Job:
    """A command that is interrupted, and what must be equal when it has been given again until it was done.

    Attributes:
        words: the command line; it writes into the folder `out`.
        again: words that the command needs where a run of it was cut short.
        results: from the output folder to what two runs share, by file.
        prepare: puts into the sandbox what the command needs beside photographs and model.
    """

    words: list[str]
    again: Callable[[Sandbox], list[str]]
    results: Callable[[Path], dict[str, Any]]
    prepare: Callable[[Sandbox], None] = lambda sandbox: None


def all_bytes(out: Path) -> dict[str, Any]:
    """The bytes of every file below a folder."""
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def copies_made(out: Path) -> dict[str, Any]:
    """The copies of `degrade`, and the record of each: the last of its lines counts."""
    files = all_bytes(out)
    rows = [json.loads(row) for row in files.pop("degradation.jsonl").splitlines()]
    return files | {"records": {row["file"]: row for row in rows}}


def run_of(out: Path) -> dict[str, Any]:
    """What two equal trainings share: files, weights, learning curve, configuration."""
    results: dict[str, Any] = {}
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        name = str(path.relative_to(out))
        if path.name.startswith("resume"):
            results[name] = {key: value.numpy().tobytes() for key, value in load_file(path).items()}
        elif path.name in ("log.jsonl", "runs.jsonl", "tuning.jsonl", "diagnostics.jsonl"):
            results[name] = [_without_times(json.loads(row)) for row in path.read_text().splitlines()]
        elif path.suffix in (".html", ".md", ".tex", ".csv", ".log"):
            results[name] = "there"  # these tell how long it took
        else:
            results[name] = path.read_bytes()
    return results


def _without_times(row: Any) -> Any:
    if isinstance(row, dict):
        return {name: _without_times(value) for name, value in row.items() if name not in TIMES}
    return [_without_times(value) for value in row] if isinstance(row, list) else row


def _resume(sandbox: Sandbox) -> list[str]:
    return ["--resume"] if (sandbox.out / "resume.safetensors").exists() else []


def _nothing(sandbox: Sandbox) -> list[str]:
    return []


def _overwrite(sandbox: Sandbox) -> list[str]:
    return ["--overwrite"]


def _run_in_out(sandbox: Sandbox) -> None:
    (sandbox.out / "run").mkdir(parents=True, exist_ok=True)
    if not (sandbox.out / "run" / "checkpoint.safetensors").exists():
        shutil.copy(sandbox.workshop.model, sandbox.out / "run" / "checkpoint.safetensors")


def jobs() -> dict[str, Job]:
    """The commands that are interrupted, by name."""
    with_model = ["--model", "model.safetensors", *MACHINE]
    compare = ["compare", *TINY, *STUDY, "--out", "out"]
    test = ["--test", "q=tests", *MACHINE]
    train = {
        f"train {method}": Job(
            ["train", *TINY, *PHOTOS, "--method", method, "--budget", "64", "--validations", "4", "--out", "out"],
            _resume,
            run_of,
        )
        for method in METHODS
    }
    return train | {
        "compare": Job([*compare, "--methods", "erm", "vrex"], _nothing, run_of),
        "compare --tune": Job([*compare, "--methods", "erm", "--tune", "2"], _nothing, run_of),
        "restore": Job(["restore", "photos", *with_model, "-o", "out"], _nothing, all_bytes),
        "restore a file": Job(["restore", "photos/a.png", *with_model, "-o", "out/a.png"], _overwrite, all_bytes),
        "degrade": Job(
            ["degrade", "photos", "--distortion", "gaussian_blur:2 > jpeg:40", "--out", "out"], _overwrite, copies_made
        ),
        "evaluate": Job(["evaluate", "model.safetensors", *test, "--out", "out"], _overwrite, run_of),
        "evaluate --card": Job(
            ["evaluate", "out/run", *test, "--card", "true", "--out", "out/test"], _overwrite, run_of, _run_in_out
        ),
        "export": Job(["export", "model.safetensors", "out/model.onnx"], _overwrite, all_bytes),
    }


def prepare(sandbox: Sandbox, job: Job) -> None:
    """Put photographs, the tiny model and what the job needs into a sandbox."""
    photographs(sandbox.work / "photos", *PICTURES)
    photographs(sandbox.work / "tests", "e.png", "f.png", size=(20, 22))
    shutil.copy(sandbox.workshop.model, sandbox.work / "model.safetensors")
    job.prepare(sandbox)


def reference(workshop: Workshop, name: str, job: Job) -> tuple[dict[str, Any], float]:
    """The results of the job that nothing interrupts, and its seconds; computed once."""
    if name not in workshop.cache:
        with workshop.sandbox(f"reference-{len(workshop.cache)}") as sandbox:
            prepare(sandbox, job)
            outcome = sandbox.run(*job.words, allowance=SLOW_DONE)
            workshop.cache[name] = job.results(sandbox.out), outcome.reply.wall
    return workshop.cache[name]


SLOW_DONE = Allowance(codes=(0,), cpu=SLOW.cpu, lines=30)


def interrupt(workshop: Workshop, seed: int) -> None:
    """Stop one command up to three times at random moments, give it again, and compare with a run that went through."""
    random = Random(seed)
    catalogue = jobs()
    name = random.choice([random.choice(list(catalogue)), random.choice([n for n in catalogue if "train" not in n])])
    stop_command(workshop, seed, name, random)


def stop_command(workshop: Workshop, seed: int, name: str, random: Random) -> None:
    """Interrupt the job of this name; see `interrupt`."""
    job = jobs()[name]
    whole, seconds = reference(workshop, name, job)
    with workshop.sandbox(f"interruptions-{seed}") as sandbox:
        prepare(sandbox, job)
        begun = False
        for _ in range(random.choice((1, 1, 2, 3))):
            number = random.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
            words = job.words + (job.again(sandbox) if begun else [])
            moment = random.uniform(0, 1.1 * seconds)
            signals = [(moment, number)]
            if number != signal.SIGKILL and random.random() < 0.2:  # an impatient user
                signals.append((moment + random.uniform(0, 0.2), signal.SIGINT))
            if begun and "--resume" in words:
                _require_usable(sandbox)
            sandbox.run(
                *words, allowance=Allowance(cpu=SLOW.cpu, codes=(0,), lines=30), signals=signals,
                meanwhile=partial(watch, sandbox, words),
            )  # fmt: skip
            begun = True
        finish(sandbox, job, whole)


def _require_usable(sandbox: Sandbox) -> None:
    """Raise Fault where an interrupted run has weights that its own commands do not take."""
    if (sandbox.out / "checkpoint.safetensors").exists():
        sandbox.run("card", "out", allowance=Allowance(codes=(0,)))


def watch(sandbox: Sandbox, words: list[str]) -> None:
    """Raise Fault where a reader meets a torn file while a command runs."""
    torn = unreadable(sandbox.out) if sandbox.out.exists() else []
    time.sleep(0.01)
    if torn:
        sandbox.workshop.server.wait()
        raise Fault(words, f"shows a torn file while it runs: {torn[0]}")


def finish(sandbox: Sandbox, job: Job, whole: Mapping[str, Any]) -> None:
    """Give the command again, uninterrupted, and compare its results with those of a run that went through."""
    words = job.words + job.again(sandbox)
    sandbox.run(*words, allowance=SLOW_DONE)
    results = job.results(sandbox.out)
    if results.keys() != whole.keys():
        odd = sorted(results.keys() ^ whole.keys())
        raise Fault(words, f"after an interruption there are other files: {odd}")
    if differing := [name for name in whole if results[name] != whole[name]]:
        raise Fault(words, f"after an interruption these files differ: {differing}")
    if left := sandbox.temporary_files():
        raise Fault(words, f"what an interrupted run left is still there: {left}")


# ------------------------------------------------------------------------------------------------ disks


def fill_disk(workshop: Workshop, seed: int) -> None:
    """Run a command where the disk is full, small or read-only, or no file may grow; then again where there is room."""
    random = Random(seed)
    catalogue = jobs()
    names = [name for name in catalogue if not name.startswith("train") or name in ("train erm", "train dil_sf")]
    name = random.choice(names)
    job = catalogue[name]
    whole, _ = reference(workshop, name, job)
    with workshop.sandbox(f"disks-{seed}") as sandbox:
        prepare(sandbox, job)
        total = sum(len(content) for content in map(_size_probe, whole.values()))
        kind = random.choice(("full", "full", "file size", "read-only"))
        allowance = Allowance(cpu=SLOW.cpu, lines=30)
        if kind == "file size":
            sandbox.run(*job.words, allowance=allowance, file_size=random.randint(1, max(total, 2**16)))
            finish(sandbox, job, whole)
            return
        size = random.randint(4, max(total // 1024, 64)) if kind == "full" else 2**16
        with small_disk(sandbox.out, size) as resize:
            job.prepare(sandbox)
            if kind == "read-only":
                resize("ro")
            sandbox.run(*job.words, allowance=allowance)
            resize(f"rw,size={2**16}k")
            finish(sandbox, job, whole)


def _size_probe(content: Any) -> bytes:
    return content if isinstance(content, bytes) else repr(content).encode()


@contextmanager
def small_disk(folder: Path, kibibytes: int) -> Iterator[Callable[[str], None]]:
    """Mount a disk of some size at a folder; yields a function that mounts it again with other options.

    Raises:
        PermissionError: where this user may not mount.
    """
    existing = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    folder.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(folder))
    try:
        for path, content in existing.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        yield lambda options: _mount("-o", f"remount,{options}", str(folder))
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False, capture_output=True)


def _mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], check=False, capture_output=True, text=True)
    if done.returncode:
        raise PermissionError(f"this user may not mount a disk: {done.stderr.strip()}")


def can_mount(folder: Path) -> bool:
    """Whether this user may mount a disk."""
    try:
        with small_disk(folder, 64):
            return True
    except (PermissionError, FileNotFoundError):
        return False
