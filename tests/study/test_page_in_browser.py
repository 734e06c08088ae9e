"""The page in a real browser: with a mouse, with a keyboard, on a phone, and without scripts.

The browser is Chromium: the program that UNSEEN_BROWSER names, else the one that is installed. Without one, these
tests are skipped; where UNSEEN_BROWSER is set, they fail.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page
from support.fake_study import CAMERAS, MANY, METHODS, NOISE, pictures, study

from unseen.study.report.gallery import GalleryPicture
from unseen.study.report.html_page import write_report
from unseen.study.summary import StudySummary

DESK, PHONE = 1440, 375
EVIL = '</script><script>alert("1")</script><img src=x onerror=alert(2)>'


def write(path: Path, of: StudySummary, shown: Sequence[GalleryPicture] = (), name: str = "A title") -> Path:
    write_report(
        path,
        of,
        shown,
        title=name,
        command=f"unseen demo {name}",
        machine="two cores",
        notes=["A short run cannot show much."],
        trials=[],
        reported=[],
    )
    return path


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The usual page, one of recorded pairs and names for degrees, and one of more lines than a chart can show."""
    folder = tmp_path_factory.mktemp("pages")
    small, cameras = study(), study(levels=CAMERAS, seeds=2, recorded=False)
    kinds = NOISE[::3] + CAMERAS
    many = study(MANY[:5] + MANY[-2:], ("rrdb_small", "unet"), kinds, seeds=2)
    return {
        "small": write(folder / "small.html", small, pictures(small, images=3)),
        "cameras": write(folder / "cameras.html", cameras),
        "many": write(folder / "many.html", many, pictures(many, side=16)),
    }


@dataclass
class Visit:
    """A page that is open, what it said to the console, and what it asked the network for."""

    page: Page
    said: list[str]
    asked: list[str]

    def __getitem__(self, selector: str) -> Locator:
        return self.page.locator(selector)

    def source(self, selector: str) -> str:
        return self[selector].get_attribute("src") or ""

    def shown_left(self) -> float:
        """How much of the left picture is shown, in percent."""
        clip = str(self["#gallery-left-picture"].evaluate("picture => getComputedStyle(picture).clipPath"))
        hidden = re.fullmatch(r"inset\(0px (?:calc\()?([\d.]+)%\)? 0px 0px\)", clip)
        assert hidden is not None, clip
        return 100 - float(hidden[1])

    def place(self, x: float, y: float) -> tuple[float, float]:
        """A point of the frame, from shares of its sides, in the window."""
        self["#gallery-frame"].scroll_into_view_if_needed()
        box = self["#gallery-frame"].bounding_box()
        assert box is not None
        return box["x"] + x * box["width"], box["y"] + y * box["height"]


@dataclass
class Visitor:
    """Opens pages, each in a browser profile of its own."""

    browser: Browser
    open: list[Visit]

    def __call__(self, path: Path, width: int = DESK, scripts: bool = True, dark: bool = False) -> Visit:
        context = self.browser.new_context(
            viewport={"width": width, "height": 800},
            has_touch=width == PHONE,
            java_script_enabled=scripts,
            color_scheme="dark" if dark else "light",
        )
        context.set_default_timeout(60_000)  # ms; machines that test are busy
        visit = Visit(context.new_page(), [], [])
        visit.page.on("console", lambda message: visit.said.append(message.text))
        visit.page.on("pageerror", lambda error: visit.said.append(str(error)))
        visit.page.on("dialog", lambda dialog: visit.said.append(dialog.message))
        visit.page.on("request", lambda request: visit.asked.append(request.url))
        visit.page.goto(path.as_uri())
        self.open.append(visit)
        return visit


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visitor]:
    """Opens a page. After the test none may have complained, or asked for anything but its own file."""
    visitor = Visitor(browser, [])
    yield visitor
    for visited in visitor.open:
        assert visited.said == []
        assert [url for url in visited.asked if not url.startswith("data:")] == [visited.page.url.partition("#")[0]]
        visited.page.context.close()


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("name", ["small", "cameras", "many"])
def test_nothing_overflows(visit: Visitor, pages: dict[str, Path], name: str, width: int) -> None:
    """Only what scrolls by itself may be wider than the window."""
    page = visit(pages[name], width).page
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wider = """[...document.body.querySelectorAll('*')]
        .filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('.scroll, svg'))
        .map((one) => one.outerHTML.slice(0, 80))"""
    assert page.evaluate(wider) == []


def test_it_follows_the_colours_that_the_reader_prefers(visit: Visitor, pages: dict[str, Path]) -> None:
    light, dark = (visit(pages["cameras"], dark=dark).page for dark in (False, True))
    colours = "[document.body, document.querySelector('.charts text')].map((one) => getComputedStyle(one).%s)"
    for what in ("color", "backgroundColor", "fill"):
        first, second = light.evaluate(colours % what), dark.evaluate(colours % what)
        assert first != second


def test_the_gallery_starts_with_erm_against_the_best_at_the_hardest_level(
    visit: Visitor, pages: dict[str, Path]
) -> None:
    page = visit(pages["small"])
    assert page["#gallery-image option"].all_inner_texts() == [
        "embedded/0.png (worst of 3)",
        "embedded/1.png (median of 3)",
        "embedded/2.png",
    ]
    assert page["#gallery-left-caption"].inner_text().startswith("erm ")
    assert page["#gallery-right-caption"].inner_text().startswith("dil_sf ")  # the ceiling is better, and no rival
    assert page["#gallery-level"].inner_text() == "gaussian noise 50"
    assert page["#gallery-split"].inner_text() == "unseen"
    for side in ("left", "right"):
        assert page[f"#gallery-{side}-picture"].evaluate("picture => picture.naturalWidth") == 32


def test_the_divider_moves_by_mouse_and_keys(visit: Visitor, pages: dict[str, Path]) -> None:
    page = visit(pages["small"])
    mouse, divider = page.page.mouse, page["#gallery-divider"]
    assert page.shown_left() == 50
    mouse.move(*page.place(0.5, 0.2))
    mouse.down()
    mouse.move(*page.place(0.25, 0.3))
    assert page.shown_left() == pytest.approx(25, abs=1)
    mouse.up()
    mouse.move(*page.place(0.75, 0.3))
    assert page.shown_left() == pytest.approx(25, abs=1)
    found = [page.shown_left()]
    for key in ("ArrowRight", "PageUp", "End"):
        divider.press(key)
        found.append(page.shown_left())
    assert found == sorted(set(found))
    divider.press("Home")
    assert page.shown_left() == 0
    assert divider.get_attribute("aria-valuetext") == "0 % erm, the rest dil_sf"


def test_the_divider_moves_by_touch(visit: Visitor, pages: dict[str, Path]) -> None:
    page = visit(pages["small"], PHONE)
    page.page.touchscreen.tap(*page.place(0.8, 0.5))
    assert page.shown_left() == pytest.approx(80, abs=2)


def test_the_controls_change_the_pictures(visit: Visitor, pages: dict[str, Path]) -> None:
    page = visit(pages["small"])
    both = ("#gallery-left-picture", "#gallery-right-picture")
    before = [page.source(side) for side in both]
    page["#gallery-severity"].press("ArrowLeft")
    milder = [page.source(side) for side in both]
    assert page["#gallery-level"].inner_text() == "gaussian noise 40"
    page["#gallery-image"].select_option("1")
    another = [page.source(side) for side in both]
    assert page["#gallery-level"].inner_text() == "gaussian noise 40"  # it stays
    assert len({*before, *milder, *another}) == 6
    page["#gallery-left"].select_option("clean")
    assert page["#gallery-left-caption"].inner_text().strip() == "clean"
    assert page.source(both[0]) not in another
    assert page.source(both[1]) == another[1]
    page["#gallery-right"].select_option("input")
    assert page.source(both[1]) not in another
    now = [page.source(side) for side in both]
    page["#gallery-swap"].press("Enter")
    assert [page.source(side) for side in both] == now[::-1]


def test_both_have_their_psnr_as_in_the_table(visit: Visitor, pages: dict[str, Path]) -> None:
    page = visit(pages["small"], scripts=True)
    page["section:has(#pictures) summary"].click()
    cells = page["section:has(#pictures) tr:has(th:text-is('embedded/0.png'))"]
    for side, line in (("left", "erm"), ("right", "dil_sf")):
        hardest = cells.locator(f":scope:has(td:text-is('{line}')) td").last.inner_text()
        assert page[f"#gallery-{side}-caption"].inner_text() == f"{line} {hardest} dB"


def test_all_pictures_are_there_to_press(visit: Visitor, pages: dict[str, Path]) -> None:
    page = visit(pages["small"])
    buttons = page["#gallery-all button"]
    assert [text.split("\n")[0].split(" ")[0] for text in buttons.all_inner_texts()] == ["clean", "input", *METHODS]
    buttons.nth(1).focus()
    page.page.keyboard.press("Space")
    assert page["#gallery-right"].input_value() == "input"
    assert page["#gallery-right-caption"].inner_text().startswith("input ")
    assert page["#gallery-all [aria-pressed=true]"].inner_text().startswith("input")
    assert page.page.evaluate("document.activeElement.dataset.label") == "input"  # keys can go on from there


def test_another_distortion_has_its_own_severities(visit: Visitor, pages: dict[str, Path]) -> None:
    page = visit(pages["many"])
    kinds = page["#gallery-distortion option"].all_inner_texts()
    assert sorted(kinds) == ["camera noise", "gaussian noise", "recorded pairs"]
    seen = set()
    for kind in kinds:
        page["#gallery-distortion"].select_option(kind)
        page["#gallery-severity"].press("Home")
        for _ in range(4):
            seen.add(page["#gallery-level"].inner_text())
            page["#gallery-severity"].press("ArrowRight")
    assert len(seen) == 8


def column(table: Locator, place: int) -> list[str]:
    return table.locator(f"tbody tr > :nth-child({place})").all_inner_texts()


@pytest.mark.parametrize("key", ["", "Enter", "Space"])
def test_a_table_is_sorted_by_its_headings(visit: Visitor, pages: dict[str, Path], key: str) -> None:
    page = visit(pages["small"])
    table = page["table.headline"]
    as_it_was = column(table, 1)
    numbers = [float(text.split()[0]) for text in column(table, 4)]
    heading = table.locator("thead th").nth(3)
    for order, expected in (
        ("descending", sorted(numbers, reverse=True)),
        ("ascending", sorted(numbers)),
        (None, numbers),
    ):
        if key:
            heading.locator("button").press(key)
        else:
            heading.locator("button").click()
        assert heading.get_attribute("aria-sort") == order
        assert [float(text.split()[0]) for text in column(table, 4)] == expected
    assert column(table, 1) == as_it_was
    heading.locator("button").click()
    assert column(table, 1)[0].startswith("ceiling")  # it and the input are sorted along
    table.locator("thead th").first.locator("button").click()
    assert column(table, 1) == sorted(as_it_was)
    assert heading.get_attribute("aria-sort") is None


def test_what_is_no_number_stays_last(visit: Visitor, pages: dict[str, Path]) -> None:
    page = visit(pages["many"])
    table = page["table"].nth(1)  # against ERM: nothing for the input and for ERM itself
    button = table.locator("thead th").nth(1).locator("button")
    for sign in (-1, 1):
        button.click()
        texts = [text.split("\n")[0].split(" ")[0].replace("−", "-") for text in column(table, 2)]
        numbers = [float(text) for text in texts if text]
        assert texts[-2:] == ["", ""]
        assert numbers == sorted(numbers, key=lambda number: sign * number)


def test_times_are_sorted_as_times(visit: Visitor, pages: dict[str, Path]) -> None:
    page = visit(pages["many"])
    table = page["table:has(caption:text-is('Cost of a training, mean over seeds'))"]
    table.locator("thead th").nth(2).locator("button").click()
    values = [float(cell.get_attribute("data-value") or "") for cell in table.locator("td:nth-child(3)").all()]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) > 2


@pytest.mark.parametrize("scripts", [True, False])
def test_lines_are_shown_and_hidden(visit: Visitor, pages: dict[str, Path], scripts: bool) -> None:
    page = visit(pages["many"], scripts=scripts)
    legend = page["section:has(#severity) .legend"]
    boxes = legend.locator("input")
    checked = [label for label in legend.locator("label:has(:checked) span").all_inner_texts()]
    assert checked[:2] == ["input (no restoration)", "erm"]
    assert "dil_pf" in checked
    assert not any(label.startswith(("erm @", "dil_sf @")) for label in checked)

    def shown(group: str) -> list[bool]:
        return [line.is_visible() for line in page[f".charts.levels .{group}, .charts.learning .{group}"].all()]

    erm, other = "line-1", "line-8"
    assert all(shown(erm))
    assert shown(other)
    assert not any(shown(other))
    boxes.nth(1).press("Space")
    boxes.nth(8).press("Space")
    if scripts:  # else the other legend has its own box, still ticked
        assert not page[f"section:has(#learning) [data-line={erm}]"].is_checked()
        assert all(shown(other))
        page["[data-show=some]"].first.click()
        assert all(shown(erm))
        page["[data-show=none]"].first.click()
        assert not any(shown(erm))
    assert not any(shown(erm))


def test_without_scripts_the_rest_works(visit: Visitor, pages: dict[str, Path]) -> None:
    page = visit(pages["small"], scripts=False)
    assert page["noscript"].is_visible()
    assert not page["#gallery-whole"].is_visible()
    assert page["table.headline"].is_visible()
    page["summary"].first.click()
    assert page["details[open] table"].first.is_visible()


def test_no_other_script_runs(visit: Visitor, tmp_path: Path) -> None:
    """Not one that a name brings along, and not one that gets in by other ways."""
    of = study()
    rows = [replace(row, image=row.image + EVIL, distortion=EVIL, method=row.method + EVIL) for row in of.results]
    evil = StudySummary(rows)
    page = visit(write(tmp_path / "evil.html", evil, pictures(evil, side=8), name=EVIL))
    assert page["h1"].inner_text() == EVIL
    assert page["#gallery-level"].inner_text().startswith(EVIL)
    refused = """new Promise((done) => {
        document.addEventListener('securitypolicyviolation', (event) => done(event.effectiveDirective));
        document.body.append(Object.assign(document.createElement('script'), { textContent: 'alert(3)' }));
        setTimeout(() => done('nothing was refused'), 5000);
    })"""
    assert page.page.evaluate(refused) == "script-src-elem"
    assert all("Content Security Policy" in message for message in page.said)
    page.said.clear()
