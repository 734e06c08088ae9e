"""The HTML page, from rows made by formula, read back with an HTML parser."""

from __future__ import annotations

import base64
import io
import math
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_tables import METHODS, make_rows, printed

from unseen.errors import UserError
from unseen.protocols import Reported
from unseen.report import LearningCurve, Picture, write_report
from unseen.rows import Row, Split

VOID = {"meta", "link", "img", "br", "hr", "input"}


def make_picture(label: str = "clean", psnr: float | None = None, image: str = "coffee.png") -> Picture:
    pixels = np.random.default_rng(len(label)).integers(0, 256, (8, 6, 3), dtype=np.uint8)
    return Picture(image, "gaussian_noise", 40.0, "unseen", label, psnr, pixels)


PICTURES = [
    make_picture(),
    make_picture("input", 12.0),
    make_picture("erm", 20.0),
    make_picture("dil_sf", 22.0),
]
CURVES = [LearningCurve(method, 0, [10.0, 20.0], [1.0, 90.0], [20.0, 21.0], [18.0, 19.0]) for method in METHODS]
REPORTED = Reported("Table 1.", ("method", "σ 30"), (("ERM", "24.90"), ("DIL_sf", "30.29")))


def make_report(path: Path, rows: list[Row], pictures: list[Picture] | None = None) -> str:
    write_report(
        path,
        rows,
        PICTURES if pictures is None else pictures,
        title="A title",
        command="unseen demo --seeds 1",
        machine="two cores",
        notes=["A short run cannot show much."],
        curves=CURVES,
        reported=[REPORTED],
    )
    return path.read_text(encoding="utf-8")


class Page(HTMLParser):
    """Checks that tags are balanced; collects elements, and text by the table it stands in."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.tables: list[list[list[str]]] = []
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
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            return
        self.text += data
        if "th" in self.open or "td" in self.open:
            self.tables[-1][-1][-1] += (" " if "small" in self.open else "") + data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_report(tmp_path_factory.mktemp("report") / "report.html", make_rows(seeds=2))


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_page_fetches_nothing(html: str, page: Page) -> None:
    references = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name.rpartition(":")[2] in ("src", "href", "srcset", "action", "poster", "data")
    ]
    assert references
    assert all(value.startswith(("data:", "#")) for value in references)
    assert "http:" not in html
    assert "https:" not in html
    assert "@import" not in html
    assert not page.all("script")
    assert all(url.startswith("#") for url in re.findall(r"url\(([^)]*)\)", html))
    (policy,) = [meta for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy["content"].startswith("default-src 'none'")


def test_ids_are_unique_and_every_reference_leads_somewhere(html: str, page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = re.findall(r"url\(#([^)]*)\)", html) + re.findall(r'href="#([^"]*)"', html)
    used += [attributes["aria-labelledby"] for attributes in page.all("section")]
    assert used
    assert set(used) <= set(ids)


def test_charts_style_nothing_but_themselves(html: str, page: Page) -> None:
    assert len(page.all("style")) == 1
    assert "font-family" not in html.split("</style>")[1]  # chart text is set in the page's font
    assert "#010a0" not in html  # every stand-in colour became a variable
    assert "#010b0" not in html
    defined = set(re.findall(r"(--[\w-]+):", html))
    assert set(re.findall(r"var\((--[\w-]+)\)", html)) <= defined


def test_the_page_is_semantic(page: Page) -> None:
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    assert all(image["alt"] for image in page.all("img"))
    charts = [svg for svg in page.all("svg") if svg.get("role") == "img"]
    assert len(charts) == 4  # PSNR, SSIM, two learning curves
    assert all(svg["aria-label"] for svg in charts)
    assert all(svg["aria-hidden"] == "true" for svg in page.all("svg") if svg not in charts)
    assert len(page.all("figcaption")) == len(page.all("figure")) == 4 + len(PICTURES)
    assert len(page.all("caption")) == len(page.all("table"))


def test_the_headline_has_the_hand_computed_means(page: Page) -> None:
    headline = page.tables[0]
    assert headline[0] == ["method", "seen", "held-out", "unseen", "gap closed"]
    assert headline[1][0].split() == ["input", "no", "restoration"]
    assert headline[1][1:4] == ["26.250.425", "22.500.350", "15.000.200"]
    # Seeds 36.25 and 36.35: mean 36.30, deviation 0.07.
    assert headline[2][1] == "36.30 ±0.070.825 ±0.000"
    assert headline[3][4] == "50 %"
    assert "ceiling" in headline[4][0]
    assert "trained on the unseen levels too" in headline[4][0]


def test_all_that_was_asked_for_is_on_the_page(page: Page) -> None:
    for text in (
        "A title",
        "A short run cannot show much.",
        "unseen demo --seeds 1",
        "two cores",
        "0, 1",
        "12\N{NARROW NO-BREAK SPACE}000 gradient evaluations",
        "c0ffee",
        "ceiling (trained on the unseen levels too)",
        "coffee.png, gaussian noise 40",
        "22.00 dB",
        "1 min 30 s",
    ):
        assert text in page.text
    assert "dil_sf restores to 27.05 ±0.07 dB" in page.text


def test_charts_name_their_parts(html: str) -> None:
    psnr = next(svg for svg in re.findall(r"<svg.*?</svg>", html, re.S) if "PSNR (dB) by level" in svg)
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", psnr)
    for text in (
        "seen",
        "held-out",
        "unseen",
        "PSNR (dB)",
        "degree of gaussian noise",
        "5",
        "10",
        "20",
        "40",
    ):
        assert text in texts
    for variable in ("--seen", "--unseen", "--series-1", "--series-2", "--muted", "--ink"):
        assert f"var({variable})" in psnr


def test_reported_numbers_stand_apart(page: Page) -> None:
    (apart,) = [table for table in page.tables if ["ERM", "24.90"] in table]
    assert apart == [["method", "σ 30"], ["ERM", "24.90"], ["DIL_sf", "30.29"]]
    assert "Reported by the authors, other training scale" in page.text


def test_pictures_arrive_unchanged(page: Page) -> None:
    for image, picture in zip(page.all("img"), PICTURES, strict=True):
        data = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), picture.pixels)
        assert (image["width"], image["height"]) == ("6", "8")


def test_equal_rows_give_an_equal_file(html: str, tmp_path: Path) -> None:
    assert make_report(tmp_path / "again.html", make_rows(seeds=2)) == html
    assert list(tmp_path.iterdir()) == [tmp_path / "again.html"]


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    evil = '<script>alert("1")</script>\x00$\\frac{$'
    rows = [
        replace(row, method=f"{row.method}{evil}", image=f"{row.image}{evil}", dataset=evil, distortion=evil)
        for row in make_rows(("a", "b"))
    ]
    path = tmp_path / "report.html"
    write_report(
        path,
        rows,
        [replace(make_picture(evil, image=evil + "\udcff"), distortion=evil, degree=evil)],
        title=evil,
        command=evil,
        machine=evil,
        notes=[evil],
        curves=[LearningCurve(evil, 0, [1.0], [1.0], [1.0], [1.0])],
        reported=[Reported(evil, (evil,), ((evil,),))],
    )
    page = Page(path.read_text(encoding="utf-8"))
    assert not page.all("script")
    assert "<script>alert" in page.text
    printed(rows)


def test_rows_that_mix_conventions_write_no_page(tmp_path: Path) -> None:
    rows = make_rows()
    rows[0] = replace(rows[0], convention="other")
    with pytest.raises(UserError, match="conventions"):
        make_report(tmp_path / "report.html", rows)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("error")
def test_a_page_of_the_least_and_of_odd_rows(tmp_path: Path) -> None:
    """One method, no pictures or curves; names for degrees, a lone level, infinity and nan."""
    first = replace(make_rows(("solo",))[0], psnr=math.inf, ssim=1.0)
    rows = [first]
    named: list[tuple[str, Split]] = [("severe", "seen"), ("a long name of a moderate degree", "unseen")]
    rows += [replace(first, distortion="hybrid", degree=degree, split=split, psnr=math.nan) for degree, split in named]
    rows += [replace(first, distortion="blur", degree=degree, split="unseen", psnr=math.inf) for degree in (1.0, 2.0)]
    rows += [replace(first, distortion=f"weather number {i}", split="held-out") for i in range(9)]
    path = tmp_path / "report.html"
    write_report(path, rows, [], title="t", command="c", machine="m", notes=[], curves=[], reported=[])
    page = Page(path.read_text(encoding="utf-8"))
    assert "∞" in page.text
    assert "n/a" in page.text
    assert not page.all("img")
    assert "Learning curves" not in page.text
    assert "What the paper reports" not in page.text
    charts = [svg["aria-label"] for svg in page.all("svg") if "aria-label" in svg]
    assert len(charts) == 6  # blur on its degrees, hybrid on its names, the rest together


def test_many_methods_never_look_alike(tmp_path: Path) -> None:
    methods = tuple(f"method {i}" for i in range(14))
    html = make_report(tmp_path / "report.html", make_rows(methods))
    legend = html.split('<ul class="legend">')[1].split("</ul>")[0]
    keys = [re.sub(r"(k\d+-[\w-]*)|\bm[0-9a-f]{8,}", "", key) for key in re.findall("<svg.*?</svg>", legend, re.S)]
    assert len(keys) == 15
    assert len(set(keys)) == 15


def test_drawing_leaves_matplotlib_as_it_was(tmp_path: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    make_report(tmp_path / "report.html", make_rows(("a", "b")))
    assert dict(matplotlib.rcParams) == before


def test_importing_reports_loads_no_drawing_library() -> None:
    code = "import sys, unseen.report; print([m for m in ('matplotlib', 'jinja2', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_bad_arguments_are_refused_when_made() -> None:
    with pytest.raises(ValueError, match="uint8"):
        Picture("a", "b", 1.0, "seen", "clean", None, np.zeros((4, 4, 3), dtype=np.float32))
    with pytest.raises(ValueError, match="uint8"):
        Picture("a", "b", 1.0, "seen", "clean", None, np.zeros((4, 4), dtype=np.uint8))
    with pytest.raises(ValueError, match="unequal length"):
        LearningCurve("erm", 0, [1.0, 2.0], [1.0, 2.0], [1.0], [])
