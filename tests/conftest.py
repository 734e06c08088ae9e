"""What all tests share."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser, sync_playwright
from support.commandline import CommandLine, photographs
from support.docs_tables import DocsTables

from unseen.data.reading import read_photo

pytest_plugins = ["support.restoring"]
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # as the package sets it, for tests that import ONNX Runtime first
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = [  # nothing is asked of the network but what a page asks for
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# Tests raise signals. A shell lets what it starts in the background ignore Ctrl-C, and nohup the end of the terminal.
for _number, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    signal.signal(_number, _handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of this test suite."""
    parser.addoption("--pin", action="store_true", help="write tests/training/pinned_losses.json anew")
    parser.addoption("--write-docs", action="store_true", help="write the generated passages of the documents anew")


def pytest_sessionfinish() -> None:
    """Let the interpreter's end find all objects, or libraries complain of leaks."""
    gc.unfreeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that open a browser; run modules with slow tests first, so that no process ends on a long one."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
    slow = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("browser")}
    items.sort(key=lambda item: item.path not in slow)


@dataclass
class Freezer:
    """Keeps imported modules out of garbage collection: each training collects, in 0.3 s with all of them.

    Attributes:
        modules: number of modules when objects were frozen last.
    """

    modules: int = 0

    def freeze(self) -> None:
        gc.collect()
        gc.freeze()
        self.modules = len(sys.modules)


@pytest.fixture(scope="session")
def freezer() -> Freezer:
    return Freezer()


@pytest.fixture(scope="module", autouse=True)
def frozen_objects(freezer: Freezer) -> None:
    """Freeze what earlier modules of tests left."""
    freezer.freeze()


@pytest.fixture(autouse=True)
def frozen_late_imports(freezer: Freezer) -> None:
    """Freeze what the test before imported: the first training imports 800 modules of PyTorch."""
    if len(sys.modules) > freezer.modules + 100:
        freezer.freeze()


@pytest.fixture(scope="session", autouse=True)
def embedded_photographs_decoded_once() -> Iterator[None]:
    """Decode each photograph of the embedded split once: most tests that train read three of them."""
    read = cache(read_photo)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("unseen.data.embedded.read_photo", lambda path: read(path).copy())
        yield


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """Let nothing wait until the disk has it: that outlives a power cut, which no test brings about."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture
def docs_tables(request: pytest.FixtureRequest) -> DocsTables:
    """The generated passages of the documents: compared with the code, or written with --write-docs."""
    return DocsTables(write=request.config.getoption("--write-docs"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors gain nothing from threads, and two pools on two cores lose a lot."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def real_images() -> Path:
    """The folder of real image sets that UNSEEN_TEST_DATA names."""
    folder = os.environ.get("UNSEEN_TEST_DATA")
    if not folder:
        pytest.skip("UNSEEN_TEST_DATA names no folder of real images")
    return Path(folder)


@pytest.fixture
def unseen(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line."""
    monkeypatch.setattr(sys, "path", [*sys.path])  # each call adds the current folder
    return CommandLine(capsys)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four photographs to train on."""
    return photographs(tmp_path_factory.mktemp("data") / "photos", "a.png", "b.png", "c.png", "d.png")


@pytest.fixture(scope="session")
def tests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two photographs to test on."""
    return photographs(tmp_path_factory.mktemp("data") / "tests", "e.png", "f.png", size=(20, 22))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium: the one that UNSEEN_BROWSER names, or the first that is installed."""
    wanted = os.environ.get("UNSEEN_BROWSER")
    program = next(filter(None, map(shutil.which, [wanted] if wanted else CHROMIUM)), None)
    if program is None:
        assert not wanted, f"UNSEEN_BROWSER: there is no program {wanted}"
        pytest.skip("no Chromium found: install it, or let UNSEEN_BROWSER name it")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def whole_page() -> None:
    """For a test in a module of `empty_page` that looks at the page: the page is written as a user gets it."""


@pytest.fixture
def empty_page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands write an empty page where a test does not ask for `whole_page`: a whole one takes a second."""
    from unseen.study.report import study_page

    def write_nothing(path: Path, *args: object, **options: object) -> None:
        path.write_text("")

    if "whole_page" not in request.fixturenames:
        monkeypatch.setattr(study_page, "pictures", lambda *args: [])
        monkeypatch.setattr(study_page, "write_report", write_nothing)
