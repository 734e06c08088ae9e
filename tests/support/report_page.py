"""Pages of made-up studies, and an HTML parser that reads them back."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from support.results import METHODS, make_results
from unseen.protocols.levels import Level
from unseen.protocols.protocol import Reported
from unseen.study.report.gallery import GalleryPicture
from unseen.study.report.html_page import write_report
from unseen.study.runs import RunRecord
from unseen.study.summary import StudySummary
from unseen.study.tuning import Trial

VOID = {"meta", "link", "img", "br", "hr", "input"}


def make_picture(label: str = "clean", psnr: float | None = None, image: str = "coffee.png") -> GalleryPicture:
    """A picture of random pixels."""
    pixels = np.random.default_rng(len(label)).integers(0, 256, (8, 6, 3), dtype=np.uint8)
    return GalleryPicture(image, "gaussian_noise", 40.0, "unseen", label, psnr, pixels)


PICTURES = [
    make_picture(),
    make_picture("input", 12.0),
    make_picture("erm", 20.0),
    make_picture("dil_sf", 22.0),
]
RECORDS = [
    RunRecord(
        run=f"{method}-0",
        method=method,
        backbone="plain",
        seed=0,
        spec=method,
        lr=1e-4,
        evaluations=20.0,
        steps=20,
        seconds=90.0,
        memory=512.0,
        machine="two cores",
        curve=[
            {"step": k, "evaluations": 10.0 * k, "seconds": 45.0 * k, "held_out_psnr": 18.0 + k, "seen_psnr": 20.0 + k}
            for k in (1, 2)
        ],
        diagnoses=[{"step": 1, "evaluations": 10.0, "losses": {"a": 0.5, "b": 0.25}, "curvature": None}],
    )
    for method in METHODS
]
REPORTED = Reported("Table 1.", ("method", "σ 30"), (("ERM", "24.90"), ("DIL_sf", "30.29")))
TRIALS = [Trial("erm", 0, "erm", 1e-4, 9, 26.5), Trial("erm", 1, "erm", 3e-4, 9, math.nan)]


def make_report(path: Path, of: StudySummary, pictures: Sequence[GalleryPicture] = (), **others: Any) -> str:
    """Write a page with these arguments changed, and return its HTML."""
    about: dict[str, Any] = {
        "title": "A title",
        "command": "unseen demo --seeds 1",
        "machine": "two cores",
        "notes": ["A short run cannot show much."],
        "trials": [],
        "reported": [],
    }
    write_report(path, of, pictures, **(about | others))
    return path.read_text(encoding="utf-8")


def whole(path: Path) -> str:
    """Write a page with all that a page can have, and return its HTML."""
    definitions = {Level("seen", "gaussian_noise", 5.0): "gaussian_noise:5", Level("seen", "jpeg", 5.0): "jpeg:5"}
    of = StudySummary(make_results(seeds=2), RECORDS)
    return make_report(path, of, PICTURES, trials=TRIALS, reported=[REPORTED], definitions=definitions)


class Page(HTMLParser):
    """An HTML parser that checks that tags are balanced, and collects elements, and text by its table."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.tables: list[list[list[str]]] = []
        self.captions: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
            self.captions.append("")
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("style", "script"):
            return
        self.text += data
        if "caption" in self.open:
            self.captions[-1] += data
        if "th" in self.open or "td" in self.open:
            self.tables[-1][-1][-1] += (" " if "small" in self.open else "") + data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def charts_of(html: str) -> list[tuple[str, str]]:
    """List the charts of a page, each after its description for screen readers."""
    return [(found[1], found[0]) for found in re.finditer(r'<svg[^>]*aria-label="([^"]*)".*?</svg>', html, re.S)]
