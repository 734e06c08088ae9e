"""Where the commands of a campaign run: a folder of their own, a fork server, and a tiny model to use."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from support.commandline import TINY, photographs

from .fork_server import ForkServer, Reply, Request
from .oracle import Allowance, Outcome, faults, unreadable

MODEL = "model.safetensors"
PICTURES = ("a.png", "b.png", "c.png", "d.png")


class Fault(AssertionError):  # noqa: N818 (what was looked for, not an error of the search)
    """A command that did what none may do.

    Attributes:
        words: the command line.
        reason: what it did.
    """

    def __init__(self, words: Sequence[str], reason: str, printed: str = ""):
        self.words, self.reason, self.printed = list(words), reason, printed
        super().__init__(f"{reason}: unseen {' '.join(words)}\n{printed[-3000:]}")


@dataclass
class Sandbox:
    """The folders of one trial. The current folder of commands is `work`; they write `work/out` and nothing else.

    Attributes:
        root: the folder that holds them all.
        workshop: where the trial runs.
    """

    root: Path
    workshop: Workshop

    @property
    def work(self) -> Path:
        """The current folder of commands."""
        return self.root / "work"

    @property
    def out(self) -> Path:
        """The output folder."""
        return self.work / "out"

    def run(
        self,
        *words: object,
        allowance: Allowance | None = None,
        signals: Sequence[tuple[float, int]] = (),
        terminal: bool = False,
        file_size: int = 0,
        meanwhile: Callable[[], None] | None = None,
        writable: Sequence[Path] = (),
        check: bool = True,
    ) -> Outcome:
        """Run a command, and raise Fault where it does what none may do.

        Args:
            words: the command line after `unseen`.
            allowance: what it may take.
            signals: signals to send, with their times in seconds after the start.
            terminal: whether it runs at a terminal.
            file_size: bytes above which no file may grow; 0 for no limit.
            meanwhile: what to do over and over while it runs.
            writable: paths beside `out` that it may change.
            check: whether to judge the outcome.
        """
        line = [str(word) for word in words]
        out, err, foreign = (self.root / name for name in ("stdout", "stderr", "foreign"))
        for path in (out, err, foreign):
            path.unlink(missing_ok=True)
        roots = [self.out, self.root / "tmp", *writable]
        before, hostile = _states(self.work, roots), set(unreadable(self.out))
        request = Request(
            line,
            str(self.work),
            str(out),
            str(err),
            str(foreign),
            [str(path) for path in roots],
            {
                "HOME": str(self.root / "home"),
                "TMPDIR": str(self.root / "tmp"),
                "TORCHINDUCTOR_CACHE_DIR": str(self.root / "tmp" / "torchinductor"),
            },
            list(signals),
            terminal,
            file_size=file_size,
        )
        reply = self.workshop.serve(request, meanwhile)
        after = _states(self.work, roots)
        outcome = Outcome(
            line,
            reply,
            _content(out),
            _content(err),
            _content(foreign),
            terminal,
            [number for _, number in signals[: reply.sent]],
            sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)),
            [name for name in self.temporary_files()],
            [reason for reason in unreadable(self.out) if reason not in hostile],
        )
        if check and (reason := next(faults(outcome, allowance or Allowance()), None)):
            raise Fault(line, reason, outcome.text + outcome.foreign.decode(errors="backslashreplace"))
        return outcome

    def temporary_files(self) -> list[str]:
        """Files that commands left and that are no output: in the folder of temporary files, or with such a name."""
        ours = (path for path in self.work.rglob("*") if path.name.endswith(".tmp"))
        # PyTorch makes an empty folder as soon as it exports.
        others = (path for path in (self.root / "tmp").rglob("*") if not path.name.startswith("torchinductor"))
        return [str(path.relative_to(self.root)) for path in (*ours, *others)]


@dataclass
class Workshop:
    """A fork server, a scratch folder, and counts of what was run.

    Attributes:
        server: the warmed process.
        scratch: the folder of all trials.
        kept: where the inputs of failures go.
        commands: the number of commands so far.
        cpu: seconds of processor time that they took.
        cache: results of jobs that nothing interrupted, and their seconds, by name.
    """

    server: ForkServer
    scratch: Path
    kept: Path
    commands: int = 0
    cpu: float = 0.0
    cache: dict[str, tuple[dict[str, Any], float]] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def opened(cls, kept: Path) -> Iterator[Self]:
        """Yield a workshop whose process is warm and whose tiny model is trained."""
        memory = Path("/dev/shm")  # faster than a disk: every file is flushed to it
        place = memory if os.access(memory, os.W_OK) else None
        scratch = Path(tempfile.mkdtemp(prefix="unseen-torture-", dir=place))
        try:
            with ForkServer() as server:
                workshop = cls(server, scratch, kept)
                workshop._prepare()
                yield workshop
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    @property
    def model(self) -> Path:
        """A checkpoint of a tiny network."""
        return self.scratch / MODEL

    def _prepare(self) -> None:
        with self.sandbox("prepare") as sandbox:
            photographs(sandbox.work / "photos", *PICTURES)
            sandbox.run("train", *TINY, "--method", "erm", "--data", "photos", "--out", "out")
            shutil.copy(sandbox.out / "checkpoint.safetensors", self.model)

    @contextmanager
    def sandbox(self, name: str) -> Iterator[Sandbox]:
        """Yield the folders of one trial; after a Fault they are kept, with the command beside them."""
        root = self.scratch / name
        for folder in ("work", "tmp", "home"):
            (root / folder).mkdir(parents=True)
        sandbox = Sandbox(root, self)
        try:
            yield sandbox
        except Fault as fault:
            self._keep(sandbox, fault)
            raise
        finally:
            shutil.rmtree(root, ignore_errors=True)

    def _keep(self, sandbox: Sandbox, fault: Fault) -> None:
        place = self.kept / sandbox.root.name
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(sandbox.root, place, symlinks=True, ignore_dangling_symlinks=True)
        (place / "fault.json").write_text(json.dumps({"reason": fault.reason, "words": fault.words}))

    def serve(self, request: Request, meanwhile: Callable[[], None] | None = None) -> Reply:
        """Run one command, and count it."""
        self.server.start(request)
        while meanwhile and not self.server.has_answered():
            meanwhile()
        reply = self.server.wait()
        self.commands += 1
        self.cpu += reply.cpu
        return reply


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _states(folder: Path, without: Sequence[Path]) -> dict[str, tuple[int, int, int]]:
    """Kind, size and time of change of all files below a folder, but for those in `without`."""
    states = {}
    pending = [] if folder in without else [folder]
    while pending:
        for entry in os.scandir(pending.pop()):
            path = Path(entry.path)
            if path in without:
                continue
            state = entry.stat(follow_symlinks=False)
            # A folder's time changes with the files in it, which are looked at themselves.
            folderish = entry.is_dir(follow_symlinks=False)
            states[entry.path] = (
                (state.st_mode, 0, 0) if folderish else (state.st_mode, state.st_size, state.st_mtime_ns)
            )
            if folderish:
                pending.append(path)
    return states
