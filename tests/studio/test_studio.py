"""The studio in a real browser, served by a process of its own.

The networks are ones whose result can be had elsewhere: the mean of 3×3 pixels, and the input itself. For the browser
see conftest.py.
"""

from __future__ import annotations

import io
import re
import signal
import stat
import struct
import tempfile
import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, expect
from scipy.ndimage import uniform_filter
from skimage.metrics import peak_signal_noise_ratio
from support.studio_server import PATIENCE, Server, started
from support.studio_visit import DESK, PHONE, Visit

from unseen.studio.folder import private_folder

pytestmark = [  # gradio takes seconds to import, and its server to start
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("gradio") is None, reason="needs the extra studio"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """After all tests it ends when asked, without an error, and leaves nothing."""
    server = started(tmp_path_factory, fresh=True)
    yield server
    server.end(signal.SIGINT)
    assert server.errors == ""
    assert list(server.folder.iterdir()) == []


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Visit]:
    """Afterwards nothing was asked of any other machine, and nothing was refused."""
    visit = Visit.of(browser, server)
    yield visit
    visit.close()
    assert [url for url in visit.asked if not url.startswith((server.url, "data:", "blob:"))] == []
    assert visit.refused == []


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph larger than the page shows."""
    rows, columns = np.mgrid[:600, :800]
    pixels = np.stack([128 + 100 * np.sin(rows / s) * np.cos(columns / 31) for s in (17, 23, 41)], axis=2)
    path = tmp_path_factory.mktemp("photos") / "waves.png"
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def likeness(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    return float(peak_signal_noise_ratio(first, second))  # type: ignore[no-untyped-call]


def number(text: str) -> float:
    found = re.search(r"([\d.]+) dB", text)
    assert found is not None, text
    return float(found[1])


def blurred(pixels: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """What the network `mean` makes of pixels, by scipy."""
    return np.asarray(uniform_filter(pixels.astype(float), (3, 3, *[0] * (pixels.ndim - 2)), mode="mirror"))


# ---------------------------------------------------------------------------------------- in the browser


def test_numbers_and_pictures_are_those_of_other_programs(visit: Visit, photo: Path) -> None:
    visit.drop("limits-photo", photo)
    expect(visit.page.locator("#limits-about")).to_contain_text("waves.png 800×600 pixels, made smaller to 512×384")
    visit.settled()
    visit.compare("original", "input")
    seen = {}
    for strength in (10, 50):
        visit.turn(strength)
        clean, noisy = visit.pictures()
        assert clean.shape == noisy.shape == (384, 512, 3)
        inside = (clean > 100) & (clean < 155)  # where clipping is rare
        assert np.std(noisy[inside].astype(float) - clean[inside]) == pytest.approx(strength, rel=0.04)
        assert number(visit.card("input")) == pytest.approx(likeness(clean, noisy), abs=0.006)
        restored = np.rint(blurred(noisy)).astype(np.uint8)
        assert number(visit.card("mean")) == pytest.approx(likeness(clean, restored), abs=0.02)
        seen[strength] = noisy, visit.card("mean"), visit.page.locator("#caption").inner_text()
    assert not np.array_equal(seen[10][0], seen[50][0])
    assert "seen in training" in seen[10][1]
    assert "unseen: another strength" in seen[50][1]
    assert seen[10][2] != seen[50][2]
    visit.compare("mean", "input")
    shown, noisy = visit.pictures()
    assert np.abs(shown - blurred(noisy)).max() <= 0.51
    assert "0.00 dB better than the input" in visit.card("<b>same</b>")
    assert "what it saw is not known" in visit.card("<b>same</b>")


def test_another_distortion_is_made_by_its_codec(visit: Visit, photo: Path) -> None:
    visit.drop("limits-photo", photo)
    expect(visit.page.locator("#limits-about")).to_contain_text("waves.png")
    strip = visit.page.locator("#seen li")
    expect(strip.first).to_have_text("mean saw 5 to 20")
    bar, seen = (strip.first.locator(part).bounding_box() for part in (".bar", ".bar i"))
    assert bar is not None
    assert seen is not None
    assert (seen["x"] - bar["x"]) / bar["width"] == pytest.approx(5 / 75, abs=0.01)
    assert seen["width"] / bar["width"] == pytest.approx(15 / 75, abs=0.01)
    visit.compare("original", "input")
    visit.choose("kind", "JPEG compression")
    expect(strip.first).to_have_text("mean never saw this")
    visit.turn(90)
    clean, coded = visit.pictures()
    with io.BytesIO() as file:
        Image.fromarray(clean).save(file, "JPEG", quality=10)
        assert np.array_equal(coded, np.array(Image.open(file)))
    assert "unseen: another distortion" in visit.card("mean")


def test_the_curve_is_of_this_photo_and_points_at_the_strength(visit: Visit, photo: Path) -> None:
    markers = visit.page.locator("#chart .line-1 use")  # one a point
    expect(markers).to_have_count(9, timeout=PATIENCE * 1000)
    before = markers.nth(4).get_attribute("y") or ""
    visit.drop("limits-photo", photo)
    expect(markers.nth(4)).not_to_have_attribute("y", before, timeout=PATIENCE * 1000)
    expect(markers).to_have_count(9, timeout=PATIENCE * 1000)

    def pointer() -> float:
        box = visit.page.locator("#pointer i").bounding_box()
        assert box is not None
        return box["x"] + box["width"] / 2

    axis = visit.page.locator('#chart g[id="curve-matplotlib.axis_1"] text')
    ticks = {}
    for strength in (20, 60):
        box = axis.filter(has_text=re.compile(f"^{strength}$")).bounding_box()
        assert box is not None
        ticks[strength] = box["x"] + box["width"] / 2
    for strength in (20, 60):
        visit.turn(strength)
        assert pointer() == pytest.approx(ticks[strength], abs=2)


def test_a_bad_photo_is_restored_to_a_file_of_its_depth(visit: Visit, tmp_path: Path) -> None:
    wide = np.random.default_rng(0).integers(0, 2**16, (300, 333)).astype(np.uint16)
    Image.fromarray(wide).save(tmp_path / "noise.png")
    visit.page.get_by_role("tab", name="Restore a photo").click()
    visit.drop("repair-photo", tmp_path / "noise.png")
    about = visit.page.locator("#repair-about")
    expect(about).to_contain_text("noise.png PNG, 333×300 pixels, 16 bits, gray", timeout=PATIENCE * 1000)
    visit.page.click("#restore")
    expect(about).to_contain_text("gray levels of 255", timeout=PATIENCE * 1000)
    with visit.page.expect_download() as download:
        visit.page.click("#download")
    assert download.value.suggested_filename == "noise-restored.png"
    with Image.open(download.value.path()) as image:
        assert image.mode == "I;16"
        assert np.abs(np.array(image) - np.rint(blurred(wide))).max() <= 1
    close = visit.pictures("repaired")
    assert {picture.shape for picture in close} == {(300, 333, 3)}
    visit.choose("model", "<b>same</b>")
    expect(visit.page.locator("#repair-strength")).to_be_hidden()
    visit.page.click("#restore")
    expect(about).to_contain_text("the model changed nothing", timeout=PATIENCE * 1000)
    for _ in range(10 * PATIENCE):  # the pictures may come after the sentence
        left, right = visit.pictures("repaired")
        if np.array_equal(left, right):
            break
        visit.page.wait_for_timeout(100)
    assert np.array_equal(left, right)


def test_the_strength_changes_what_is_shown_at_once_and_the_whole_when_asked(visit: Visit, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (700, 900, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    visit.page.get_by_role("tab", name="Restore a photo").click()
    visit.drop("repair-photo", tmp_path / "noise.png")
    after = visit.page.locator("#repaired img.right")
    expect(after).to_be_visible(timeout=PATIENCE * 1000)
    middle = np.s_[110:590, 130:770]
    for strength in (1.0, 0.5, 0.0):
        if strength < 1:
            source = after.get_attribute("src") or ""
            visit.page.get_by_role("slider", name="Strength").fill(str(strength))
            expect(after).not_to_have_attribute("src", source, timeout=PATIENCE * 1000)
        left, right = visit.pictures("repaired")
        assert np.array_equal(left, pixels[middle])
        assert np.abs(right - (pixels + strength * (blurred(pixels) - pixels))[middle]).max() <= 0.51
    expect(visit.page.locator("#download")).to_be_disabled()
    assert after.evaluate("one => [one.naturalWidth, one.clientWidth, one.clientHeight]") == [640, 640, 480]
    visit.page.get_by_role("slider", name="Strength").fill("0.5")
    visit.page.click("#restore")
    with visit.page.expect_download() as download:
        visit.page.click("#download")
    assert download.value.suggested_filename == "noise-restored-0.5.png"
    with Image.open(download.value.path()) as image:
        assert np.abs(np.array(image) - (pixels + blurred(pixels)) / 2).max() <= 0.51
    visit.page.get_by_label("Whole photo").check()
    expect(after).to_have_attribute("width", "900")


def test_before_and_after_and_the_place_are_chosen_by_keys(visit: Visit, photo: Path) -> None:
    visit.page.get_by_role("tab", name="Restore a photo").click()
    visit.drop("repair-photo", photo)
    divider = visit.page.get_by_role("slider", name="how much of before is shown")
    expect(divider).to_be_visible(timeout=PATIENCE * 1000)
    divider.press("ArrowRight")
    assert divider.get_attribute("aria-valuetext") == "51 % before, the rest after"
    outline = "one => getComputedStyle(one).outlineStyle"
    assert visit.page.locator("#repaired .divided").evaluate(outline) == "solid"
    before, _ = visit.pictures("repaired")
    where = visit.page.get_by_role("button", name="The part that is shown")
    where.press("ArrowRight")
    frame = visit.page.locator("#overview i")
    expect(frame).to_have_attribute("style", re.compile("left: 20.000%; width: 80.000%"), timeout=PATIENCE * 1000)
    assert where.evaluate(outline) == "solid"
    pixels = np.array(Image.open(photo))
    assert np.array_equal(before, pixels[60:540, 80:720])
    assert np.array_equal(visit.pictures("repaired")[0], pixels[60:540, 160:800])
    assert divider.input_value() == "51"  # new pictures leave it
    assert divider.get_attribute("aria-valuetext") == "51 % before, the rest after"
    for shown in ("100", "0", "100"):
        divider.press(" ")
        assert divider.input_value() == shown


def png_header(width: int, height: int) -> bytes:
    """A PNG file that claims a size, and holds none of its pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


@pytest.mark.parametrize(
    ("tab", "field", "place"),
    [("Seen", "limits-photo", "limits-wrong"), ("Restore", "repair-photo", "repair-about")],
)
def test_what_cannot_be_used_gets_a_friendly_message(
    visit: Visit, tmp_path: Path, tab: str, field: str, place: str
) -> None:
    Image.new("L", (10_000, 6_000)).save(tmp_path / "huge.png")
    (tmp_path / "words.png").write_text("Not a picture <img src=x onerror=alert(1)>.")
    (tmp_path / "bomb.png").write_bytes(png_header(60_000, 60_000))
    (tmp_path / "empty.jpg").touch()
    visit.page.get_by_role("tab", name=tab).click()
    notice = visit.page.locator(f"#{place} .notice")
    for name, words in (
        ("huge.png", "60 megapixels, and this page takes up to 24; in a terminal, unseen restore"),
        ("words.png", "not a"),
        ("bomb.png", ""),
        ("empty.jpg", "empty"),
    ):
        visit.drop(field, tmp_path / name)
        expect(notice).to_contain_text(f"This cannot be used: {name}", timeout=PATIENCE * 1000)
        expect(notice).to_contain_text(words)
        assert "Traceback" not in visit.page.content()
    if tab == "Seen":
        assert number(visit.card("input")) > 0  # what was there before still is


def test_two_visitors_do_not_meet(browser: Browser, server: Server, visit: Visit, photo: Path) -> None:
    other = Visit.of(browser, server)
    visit.drop("limits-photo", photo)
    expect(visit.page.locator("#limits-about")).to_contain_text("waves.png")
    for strength in range(5, 60, 9):  # both turn at once
        for one in (visit, other):
            one.page.locator("#strength input[type=range]").fill(str(strength))
    for one in (visit, other):
        one.turn(40)
    expect(other.page.locator("#limits-about")).to_contain_text("chelsea")
    assert {picture.shape for picture in visit.pictures()} == {(384, 512, 3)}
    assert {picture.shape for picture in other.pictures()} == {(300, 451, 3)}
    assert visit.card("input") != other.card("input")
    other.close()


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_nothing_overflows(browser: Browser, server: Server, width: int) -> None:
    visit = Visit.of(browser, server, width)
    for tab in ("Seen", "Restore"):
        visit.page.get_by_role("tab", name=tab).click()
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    visit.close()


# ---------------------------------------------------------------------------------------- around it


def test_its_files_are_in_one_folder_that_others_cannot_look_into(server: Server, visit: Visit, photo: Path) -> None:
    (folder,) = server.folder.iterdir()
    of_earlier_visits = set(folder.rglob("*.png"))
    visit.drop("limits-photo", photo)
    expect(visit.page.locator("#limits-about")).to_contain_text("waves.png")
    visit.turn(30)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not list(folder.rglob("waves.png"))  # it was read, and is not kept
    for strength in range(31, 36):
        visit.turn(strength)
    assert set(folder.rglob("*.png")) <= of_earlier_visits


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_ends_within_two_seconds_while_it_works_and_leaves_nothing(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory, photo: Path, number: signal.Signals
) -> None:
    server = started(tmp_path_factory, slow=True, fresh=True)
    context = browser.new_context()
    page = context.new_page()
    page.goto(server.url)
    page.get_by_role("tab", name="Restore a photo").click()
    page.set_input_files("#repair-photo input[type=file]", photo)
    expect(page.locator("#repaired img.right")).to_be_visible(timeout=PATIENCE * 1000)
    page.click("#restore")
    expect(page.locator("#repaired")).to_contain_text("%", timeout=PATIENCE * 1000)  # it is at work, for minutes
    assert server.end(number) < 2
    assert list(server.folder.iterdir()) == []
    assert server.errors == ""
    context.close()


def test_what_a_killed_one_left_is_removed_by_the_next_and_nothing_of_a_living_one(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    living = started(tmp_path_factory)
    (kept,) = living.folder.iterdir()
    killed = Server.start(living.folder)
    (left,) = set(living.folder.iterdir()) - {kept}
    (left / "picture.png").write_bytes(b"a photograph")
    killed.process.kill()
    killed.process.ended()
    (living.folder / "unseen-studio-notes").write_text("a file of another program")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(living.folder))
        with private_folder() as folder:
            assert set(living.folder.iterdir()) == {kept, folder, living.folder / "unseen-studio-notes"}
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (kept / "results").is_dir()
    living.end(signal.SIGTERM)
    assert [file.name for file in living.folder.iterdir()] == ["unseen-studio-notes"]
