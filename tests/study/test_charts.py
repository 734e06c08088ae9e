"""The charts of the page: what they say, that they keep to themselves, and that a reader can choose among lines."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from support.fake_study import CAMERAS, MANY, METHODS, NOISE, study
from support.report_page import charts_of, make_report, whole
from support.results import make_results

from unseen.protocols.levels import Level
from unseen.study.entry_names import INPUT
from unseen.study.report.page_builder import shown_first
from unseen.study.summary import StudySummary

pytestmark = pytest.mark.slow  # charts are drawn


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    return whole(tmp_path_factory.mktemp("charts") / "report.html")


def test_charts_style_nothing_but_themselves(html: str) -> None:
    assert html.count("<style") == 1
    assert "font-family" not in html.split("</style>")[1]  # chart text is set in the page's font
    assert "#010a0" not in html  # every stand-in colour became a variable
    assert "#010b0" not in html
    defined = set(re.findall(r"(--[\w-]+):", html))
    assert set(re.findall(r"var\((--[\w-]+)\)", html)) <= defined


def test_charts_name_their_parts(html: str) -> None:
    charts = charts_of(html)
    psnr = next(chart for label, chart in charts if label.startswith("PSNR (dB) by level"))
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", psnr)
    axis = "standard deviation σ, gray levels of 255"
    assert {"seen", "held-out", "unseen", "PSNR (dB)", axis, "5", "10", "20", "40"} <= set(texts)
    for variable in ("--seen", "--unseen", "--series-1", "--series-2", "--muted", "--ink"):
        assert f"var({variable})" in psnr
    for cost in ("gradient evaluations", "seconds of training"):
        label = f"PSNR (dB) on held-out levels against {cost}, a line a method; numbers in the tables"
        assert label in dict(charts)


def test_all_of_a_line_can_be_hidden(html: str) -> None:
    """Line, markers and band are of one class in every chart, which the style sheet hides by the line's box."""
    groups = re.findall(r'data-line="(line-\d+)"', html)
    assert len(set(groups)) == 1 + len(METHODS)
    for group in groups:
        assert f':root:has([data-line="{group}"]:not(:checked)) .charts .{group}' in html
    for label, chart in charts_of(html):
        drawn = set(re.findall(r'class="(line-\d+)"', chart))
        expected = set() if "a bar a method" in label else set(groups) if "by level" in label else set(groups[1:4])
        assert drawn == expected, label
        without = re.sub(r'(?s)<g class="line-\d+">.*?</g>\s*(?=<g |</g>)', "", chart)
        if expected:
            assert "var(--series" not in without, label


def test_a_page_says_how_its_lines_are_chosen() -> None:
    of = study(MANY, ("rrdb_small", "unet"), images=1, recorded=False)
    best = {name for name in ("mldg @ unet", f"{MANY[-2]} @ unet", MANY[-2])}
    dil = {"dil_sf", "dil_ps", "dil_pf", "dil_ss"}
    assert shown_first(of) == {INPUT, "erm", "ceiling", *dil, *best}
    assert shown_first(study()) == {INPUT, *METHODS}


def test_gap_closed_is_bars_or_a_reason(tmp_path: Path) -> None:
    rows = make_results()
    level = [replace(row, psnr=row.input_psnr + 1) if row.method == "ceiling" else row for row in rows]
    html = make_report(tmp_path / "report.html", StudySummary(level))
    assert "Gap closed is undefined here: the ceiling is not clearly above ERM" in html
    bars = [label for label, _ in charts_of(html) if "a bar a method" in label]
    assert bars == ["dB on unseen levels, 95 % interval, a bar a method; numbers in the table"]
    without = make_report(tmp_path / "report.html", StudySummary(make_results(("a", "b"))))
    assert "Gap closed" not in without
    assert 'href="#gap"' not in without


def test_long_names_stay_inside_their_chart(tmp_path: Path) -> None:
    """matplotlib leaves room for them: no text begins left of the figure, or ends below it."""
    names = (*METHODS, "a method with a very long name of its own")
    levels = [
        *CAMERAS,
        *(Level(split, "hybrid", f"a long name of degree {i}") for i, (split, _, _) in enumerate(CAMERAS)),
    ]
    for label, chart in charts_of(make_report(tmp_path / "report.html", study(names, levels=levels, recorded=False))):
        box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', chart)
        assert box is not None
        turned = 0
        for attributes, text in re.findall(r"<text ([^>]*)>([^<]*)", chart):
            keys = (r' x="([^"]*)', r' y="([^"]*)', r"size: ([\d.]+)", r"rotate\((\S+) ")
            x, y, size, degrees = (float(re.findall(key, attributes)[0]) for key in keys)
            angle = math.radians(degrees)
            before = 0.5 if "middle" in attributes else 1.0 if "anchor: end" in attributes else 0.0
            length = 0.5 * size * len(text)  # in a usual font
            assert x - before * length * math.cos(angle) >= -1, (label, text)
            assert max(y, y - before * length * math.sin(angle)) <= float(box[2]) + 1, (label, text)
            turned += 30 < abs(degrees) < 60
        assert (turned > 0) == ("hybrid" in label), label


def test_many_methods_never_look_alike(tmp_path: Path) -> None:
    of = study([f"method {i}" for i in range(14)], ("rrdb_small", "unet"), NOISE[-1:], images=1, recorded=False)
    html = make_report(tmp_path / "report.html", of)
    legend = html.split('class="legend"')[1].split("</ul>")[0]
    drawn = re.findall("<svg.*?</svg>", legend, re.S)
    keys = [re.sub(r"(k-line-\d+-[\w-]*)|\bm[0-9a-f]{8,}", "", key) for key in drawn]
    assert len(keys) == 29
    assert len(set(keys)) == 29


def test_drawing_leaves_matplotlib_as_it_was(tmp_path: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    make_report(tmp_path / "report.html", StudySummary(make_results(("a", "b"))))
    assert dict(matplotlib.rcParams) == before


def test_wide_intervals_do_not_squeeze_the_lines(tmp_path: Path) -> None:
    """Two seeds far apart have an interval of a hundred dB; the axis still shows what the lines do."""
    rows = [replace(row, psnr=row.psnr + 8 * row.seed * (row.method == "erm")) for row in make_results(seeds=2)]
    of = StudySummary(rows)
    _, chart = charts_of(make_report(tmp_path / "report.html", of))[0]
    ticks = [float(text) for text in re.findall(r"text-anchor: end[^>]*>([-\d.]+)<", chart.replace("−", "-"))]
    means = [estimate.mean for level in of.levels for estimate in of.estimates("psnr", level).values()]
    assert max(ticks) - min(ticks) < 2 * (max(means) - min(means))
