"""The HTML page, from rows made by formula, read back with an HTML parser."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.report_page import RECORDS, TRIALS, Page, charts_of, make_picture, make_report, whole
from support.results import make_results, printed

from unseen.protocols.levels import Split
from unseen.protocols.protocol import Reported
from unseen.study.report.gallery import GalleryPicture
from unseen.study.summary import StudySummary

pytestmark = pytest.mark.slow  # whole pages are written


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    return whole(tmp_path_factory.mktemp("report") / "report.html")


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
    assert all(url.startswith("#") for url in re.findall(r"url\(([^)]*)\)", html))


def test_only_the_scripts_of_the_page_may_run(html: str, page: Page) -> None:
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    allowed = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert allowed["default-src"] == "'none'"
    assert "unsafe" not in allowed["script-src"]
    scripts = re.findall(r'<script type="module">(.*?)</script>', html, re.S)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert allowed["script-src"].split() == [f"'sha256-{digest}'" for digest in digests]
    assert len(page.all("script")) == len(scripts) + 1  # and the pictures, which are data


def test_ids_are_unique_and_every_reference_leads_somewhere(html: str, page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = re.findall(r"url\(#([^)]*)\)", html) + re.findall(r'href="#([^"]*)"', html)
    used += [attributes["aria-labelledby"] for attributes in page.all("section")]
    assert used
    assert set(used) <= set(ids)


def test_the_page_is_semantic(html: str, page: Page) -> None:
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    charts = [svg for svg in page.all("svg") if svg.get("role") == "img"]
    assert len(charts) == len(charts_of(html))
    # PSNR, SSIM; gap closed, differences; two splits against two costs; the outcome beside two losses.
    assert len(charts) == 2 + 2 + 4 + 3
    assert all(svg["aria-hidden"] == "true" for svg in page.all("svg") if svg not in charts)
    assert len(page.all("figcaption")) == len(page.all("figure")) == len(charts) + 1  # and the gallery
    assert len(page.all("caption")) == len(page.all("table"))


def test_the_headline_has_the_hand_computed_means(page: Page) -> None:
    headline = page.tables[0]
    assert headline[0] == ["method", "seen", "held-out", "unseen", "worst unseen", "gap closed"]
    assert headline[1][0].split() == ["input", "no", "restoration"]
    assert headline[1][1:5] == ["26.25 0.425", "22.50 0.350", "15.00 0.200", "10.00 0.100"]
    # Seeds 36.25 and 36.35: mean 36.30; half-width 12.71 · 0.0707 / √2.
    assert headline[2][1] == "36.30 ±0.64 0.825 ±0.000"
    assert headline[3][5] == "50 %"
    assert "ceiling" in headline[4][0]
    assert "trained on the held-out and unseen levels too" in headline[4][0]


def test_all_that_was_asked_for_is_on_the_page(page: Page) -> None:
    for text in (
        "A title",
        "A short run cannot show much.",
        "unseen demo --seeds 1",
        "two cores",
        "0, 1",
        "12000 gradient evaluations",
        "c0ffee",
        "ceiling (trained on the held-out and unseen levels too)",
        "1 min 30 s",
        "gaussian_noise:5",
    ):
        assert text in page.text
    assert "jpeg:5" not in page.text  # no level of this study
    assert "dil_sf restores to 27.05 ±0.64 dB" in page.text


def test_every_figure_has_its_numbers_in_a_table(page: Page) -> None:
    tables = dict(zip(page.captions, page.tables, strict=True))
    by_level = tables["PSNR (dB) by degree of gaussian noise"]
    assert by_level[1] == ["method", "5", "10", "15", "20", "40"]
    assert [line[1] for line in by_level[2:]] == ["27.50", "37.55 ±0.64", "39.55 ±0.64", "41.55 ±0.64"]
    assert "SSIM by degree of gaussian noise" in tables
    assert tables["Gap closed by unseen level"][3][1:] == ["50 %", "50 %"]
    assert tables["Against ERM, and what a gain may cost"][3][1].startswith("+2.00 [")
    validations = tables["Validation through training, mean over seeds"]
    assert validations[0][3:] == ["PSNR (dB) on held-out levels", "PSNR (dB) on seen levels"]
    assert validations[1:3] == [["erm", "10", "45.0", "19", "21"], ["erm", "20", "90.0", "20", "22"]]
    assert tables["Cost of a training, mean over seeds"][1][1:] == ["20", "1 min 30 s", "512"]
    assert tables["At the end of training, beside the outcome"][1] == ["erm", "25.05 ±0.64", "0.5", "0.25"]
    assert tables["Diagnostics through training, mean over seeds"][1] == ["erm", "10", "", "0.5", "0.25"]
    assert tables["PSNR of these excerpts, dB"][1:] == [
        ["coffee.png", name, psnr] for name, psnr in (("input", "12.00"), ("erm", "20.00"), ("dil_sf", "22.00"))
    ]
    assert [line[-1] for line in tables["Settings tried, judged on held-out levels"]] == ["taken", "taken", ""]


def test_tables_can_be_sorted(page: Page) -> None:
    assert all("sortable" in table["class"].split() for table in page.all("table"))


def test_a_choice_on_unseen_levels_is_said_first(tmp_path: Path) -> None:
    rows = [replace(row, select="oracle") for row in make_results()]
    page = Page(make_report(tmp_path / "report.html", StudySummary(rows)))
    assert page.text.index("ORACLE SELECTION") < page.text.index("On levels never seen")
    assert sum("(ORACLE SELECTION)" in caption for caption in page.captions) == 5  # every table of results


def test_reported_numbers_stand_apart(page: Page) -> None:
    (apart,) = [table for table in page.tables if ["ERM", "24.90"] in table]
    assert apart == [["method", "σ 30"], ["ERM", "24.90"], ["DIL_sf", "30.29"]]
    assert "Reported by the authors, other training scale" in page.text


def test_equal_arguments_give_an_equal_file(html: str, tmp_path: Path) -> None:
    assert whole(tmp_path / "again.html") == html
    assert list(tmp_path.iterdir()) == [tmp_path / "again.html"]


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    evil = '<script>alert("1")</script>\x00$\\frac{$'
    rows = [
        replace(row, method=f"{row.method}{evil}", image=f"{row.image}{evil}", dataset=evil, distortion=evil)
        for row in make_results(("a", "b"))
    ]
    html = make_report(
        tmp_path / "report.html",
        StudySummary(rows, [replace(record, method=f"a{evil}") for record in RECORDS]),
        [replace(make_picture(evil, image=evil + "\udcff"), distortion=evil, degree=evil)],
        title=evil,
        command=evil,
        machine=evil,
        notes=[evil],
        trials=[replace(TRIALS[0], entry=evil, spec=evil)],
        reported=[Reported(evil, (evil,), ((evil,),))],
        definitions={rows[0].level: evil},
    )
    page = Page(html)
    assert [script.get("type") for script in page.all("script")] == ["application/json", *["module"] * 4]
    assert "<script>alert" in page.text
    printed(rows)


@pytest.mark.filterwarnings("error")
def test_a_page_of_the_least_and_of_odd_rows(tmp_path: Path) -> None:
    """One method, no pictures or curves; names for degrees, a lone level, infinity and nan."""
    first = replace(make_results(("solo",))[0], psnr=math.inf, ssim=1.0, invariance=math.nan)
    rows = [first]
    named: list[tuple[str, Split]] = [("severe", "seen"), ("a long name of a moderate degree", "unseen")]
    rows += [replace(first, distortion="hybrid", degree=degree, split=split, psnr=math.nan) for degree, split in named]
    rows += [replace(first, distortion="blur", degree=degree, split="unseen", psnr=math.inf) for degree in (1.0, 2.0)]
    rows += [replace(first, distortion=f"weather number {i}", split="held-out") for i in range(9)]
    html = make_report(tmp_path / "report.html", StudySummary(rows))
    page = Page(html)
    assert "∞" in page.text
    assert "n/a" in page.text
    assert not page.all("img")
    for absent in ("Training: curves", "What the paper reports", "Before and after", "Against ERM", "Tuning"):
        assert absent not in page.text
    assert len(charts_of(html)) == 6  # blur on its degrees, hybrid on its names, the rest together


def test_importing_reports_loads_no_drawing_library() -> None:
    heavy = "('matplotlib', 'jinja2', 'torch')"
    code = f"import sys, unseen.study.report.html_page; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_bad_arguments_are_refused_when_made() -> None:
    with pytest.raises(ValueError, match="uint8"):
        GalleryPicture("a", "b", 1.0, "seen", "clean", None, np.zeros((4, 4, 3), dtype=np.float32))
    with pytest.raises(ValueError, match="uint8"):
        GalleryPicture("a", "b", 1.0, "seen", "clean", None, np.zeros((4, 4), dtype=np.uint8))
