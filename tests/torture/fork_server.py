"""A warmed process that forks one child a command: real signals and exit codes, without the seconds of imports.

`ForkServer` is the client. The server is this module as a program: it imports the package and all that its commands
import, checks that it is still of one thread (a lock that another thread holds would stay locked in every child), and
then waits for requests, one JSON object a line.
"""

from __future__ import annotations

import atexit
import gc
import io
import json
import os
import pty
import resource
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Self

from .watch import Watch

SRC = Path(__file__).parents[2] / "src"
WARM = (
    "unseen.cli.main",
    "unseen.training.loop",
    "unseen.study.compare",
    "unseen.study.report.study_page",
    "unseen.study.report.terminal",
    "unseen.study.demo",
    "unseen.study.ranking",
    "unseen.evaluation.evaluate",
    "unseen.evaluation.grid",
    "unseen.restoration.batch",
    "unseen.models.loading",
    "unseen.models.onnx_export",
    "unseen.models.onnx_file",
    "unseen.distortions.copies",
    "unseen.data.set_check",
    "unseen.cli.card_text",
    "unseen.cli.protocol_text",
    "onnx",
    "onnxscript",
    "torch.onnx",
    "pyvips",
    "PIL.Image",
    "scipy.special",
    "scipy.ndimage",
    "skimage.metrics",
    "rich.progress",
    "rich.table",
    "pydantic",
    "ruamel.yaml",
    "spandrel",
)
"""What a child would else import, for seconds each time. Without ONNX Runtime, whose import may start a thread."""


@dataclass(frozen=True)
class Request:
    """One command to run.

    Attributes:
        words: the command line after `unseen`.
        folder: the current folder of the command.
        out: the file that gets standard output; at a terminal, all that is printed.
        err: the file that gets standard error.
        foreign: the file that gets what libraries print past Python.
        writable: folders and files that the command may change; changes elsewhere are reported.
        environment: variables that are added.
        signals: signals to send: seconds after the start, and number.
        terminal: whether standard output and error are a terminal.
        cpu: seconds of processor time after which the command is killed.
        wall: seconds after which the command is killed.
        memory: bytes of address space that the command may take beside the warmed process.
        file_size: bytes above which no file may grow; 0 for no limit.
    """

    words: list[str]
    folder: str
    out: str
    err: str
    foreign: str
    writable: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    signals: list[tuple[float, int]] = field(default_factory=list)
    terminal: bool = False
    cpu: float = 30.0
    wall: float = 120.0
    memory: int = 8 * 2**30
    file_size: int = 0


@dataclass(frozen=True)
class Reply:
    """How one command ended.

    Attributes:
        code: its exit code; minus the number of the signal that ended it.
        cpu: seconds of processor time.
        wall: seconds.
        memory: bytes by which its peak was above what it began with; libraries that it uses count.
        late: whether it was killed for its time.
        sent: how many of the signals were sent before it ended.
        events: what it did that no command may do, in words.
    """

    code: int
    cpu: float
    wall: float
    memory: int
    late: bool
    sent: int
    events: list[str]


class ForkServer:
    """The client of one warmed process; a context manager."""

    def __init__(self) -> None:
        tests = str(Path(__file__).parents[1])
        paths = [str(SRC), tests, *filter(None, [os.environ.get("PYTHONPATH")])]
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "torture.fork_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | threads | {"PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "100"},
            start_new_session=True,  # a Ctrl-C is for the client
        )
        assert self._answer() == "ready"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, request: Request) -> Reply:
        """Run a command and wait for its end."""
        self.start(request)
        return self.wait()

    def start(self, request: Request) -> None:
        """Begin a command; `wait` must follow."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(asdict(request)) + "\n")
        self.process.stdin.flush()

    def has_answered(self) -> bool:
        """Whether the command has ended, and `wait` returns at once."""
        assert self.process.stdout
        return bool(select.select([self.process.stdout.fileno()], [], [], 0)[0])

    def wait(self) -> Reply:
        """Wait for the end of the command that `start` began."""
        return Reply(**json.loads(self._answer()))

    def close(self) -> None:
        """End the warmed process."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(30)

    def _answer(self) -> str:
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, "the fork server has ended; its last words are above"
        return line.strip()


# ------------------------------------------------------------------------------------------------ the server


def serve() -> None:
    """Warm up, then answer requests from standard input until it is closed."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an import prints is no answer
    warm_up()
    _say(answers, "ready")
    for line in sys.stdin:
        request = Request(**json.loads(line))
        _say(answers, json.dumps(asdict(run_forked(request))))


def warm_up() -> None:
    """Import what commands import, and make sure that a fork is sound."""
    import importlib

    for name in WARM:
        importlib.import_module(name)
    import torch

    torch.set_num_threads(1)
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads != 1 or threading.active_count() != 1:
        raise SystemExit(f"the warmed process has {threads} threads: a fork would not be sound")
    gc.collect()
    gc.freeze()  # a collection in the child would copy every page


def run_forked(request: Request) -> Reply:
    """Fork a child for one command, send it its signals, and wait for it."""
    report, events = os.pipe()
    terminal, side = pty.openpty() if request.terminal else (-1, -1)
    before, started = _private(), time.monotonic()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _become_command(request, events, side)
    os.close(events)
    if request.terminal:
        os.close(side)
    late, sent = _attend(child, request, started, terminal)
    _, status, usage = os.wait4(child, 0)
    wall = time.monotonic() - started
    with os.fdopen(report, "r", errors="surrogateescape") as stream:
        told = list(dict.fromkeys(stream.read().split("\0")[:-1]))
    return Reply(
        code=os.waitstatus_to_exitcode(status),
        cpu=usage.ru_utime + usage.ru_stime,
        wall=wall,
        memory=max(0, usage.ru_maxrss * 1024 - before),
        late=late,
        sent=sent,
        events=told[:20],
    )


def _attend(child: int, request: Request, started: float, terminal: int) -> tuple[bool, int]:
    """Send the signals at their times, keep what the terminal shows, and return when the child has ended."""
    handle = os.pidfd_open(child)
    pending = sorted(request.signals)
    end, shown, late = started + request.wall, bytearray(), False
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    if terminal >= 0:
        poll.register(terminal, select.POLLIN)
    while True:
        until = min([end] + [started + seconds for seconds, _ in pending[:1]])
        ready = dict(poll.poll(max(0.0, (until - time.monotonic()) * 1000)))
        if terminal in ready and not _read(terminal, shown):
            poll.unregister(terminal)
        if handle in ready and (terminal not in ready):
            break
        now = time.monotonic()
        if pending and now >= started + pending[0][0]:
            signal.pidfd_send_signal(handle, pending.pop(0)[1])
        if now >= end and not late:
            late, end = True, now + 60
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    os.close(handle)
    if terminal >= 0:
        os.close(terminal)
        Path(request.out).write_bytes(shown)
    return late, len(request.signals) - len(pending)


def _read(terminal: int, shown: bytearray) -> bool:
    try:
        chunk = os.read(terminal, 65536)
    except OSError:  # the other side is closed
        return False
    shown += chunk
    return bool(chunk)


def _become_command(request: Request, events: int, side: int) -> NoReturn:
    """Be the child: limits, files and folder of its own, then the command as the interpreter would run it."""
    code: Any = 70
    try:
        _set_up(request, events, side)
        from unseen.cli.main import program

        try:
            program()
        except SystemExit as left:
            code = left.code
        except BaseException:
            traceback.print_exc()
            code = 1
        code = _ended(code)
    finally:
        os._exit(code if isinstance(code, int) else 70)


def _ended(code: Any) -> int:
    """Flush and run what waits for the end, as the interpreter does; 120 is its code where a flush fails."""
    if isinstance(code, str):
        print(code, file=sys.stderr)
    number: int = code if isinstance(code, int) else 0 if code is None else 1
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        os.write(2, traceback.format_exc().encode(errors="backslashreplace"))
        return 120
    return number


def _set_up(request: Request, events: int, side: int) -> None:
    os.setsid()
    os.chdir(request.folder)
    os.environ.update(request.environment)
    tempfile.tempdir = None  # what the warmed process took for it
    # What libraries print past Python goes elsewhere, to be told from what the command says.
    paths = (os.devnull, request.foreign, request.foreign)
    for target, path in enumerate(paths):
        os.dup2(side if request.terminal and target else _opened(path), target)
    out, err = (1, 2) if request.terminal else (_opened(request.out), _opened(request.err))
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = _text_file(out, request.terminal)
    sys.stderr = _text_file(err, True)
    sys.argv = ["unseen", *request.words]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
        ignored = number in (signal.SIGPIPE, signal.SIGXFSZ)  # as Python starts
        signal.signal(number, signal.SIG_IGN if ignored else signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.addaudithook(Watch(events, [*request.writable, os.devnull, "/proc/self"]))
    address_space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _limit(resource.RLIMIT_AS, address_space + request.memory)
    _limit(resource.RLIMIT_CPU, int(request.cpu) + 1)
    _limit(resource.RLIMIT_CORE, 0)
    if request.file_size:
        _limit(resource.RLIMIT_FSIZE, request.file_size)


def _opened(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)


def _text_file(descriptor: int, line_buffering: bool) -> io.TextIOWrapper:
    raw = io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding="utf-8", line_buffering=line_buffering)


def _limit(kind: int, amount: int) -> None:
    resource.setrlimit(kind, (amount, resource.getrlimit(kind)[1]))


def _private() -> int:
    """Bytes of this process in memory that no file stands for: what a child begins with."""
    resident, shared = map(int, Path("/proc/self/statm").read_text().split()[1:3])
    return (resident - shared) * resource.getpagesize()


def _say(answers: io.TextIOBase | Any, text: str) -> None:
    answers.write(text + "\n")
    answers.flush()


if __name__ == "__main__":
    serve()
    os._exit(0)  # what was imported and never used has nothing to tidy up
