"""The page of a restored folder: `unseen restore --report`."""

from __future__ import annotations

import base64
import html
import io
import math
import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page
from support.commandline import MACHINE
from support.report_page import Page as Document

from unseen.cli.main import main
from unseen.data.data_uri import data_uri
from unseen.restoration import before_after, report_page
from unseen.restoration.batch import RunStopped
from unseen.restoration.before_after import PicturePair, pictures_of, place_of, reduced
from unseen.restoration.imagefiles.image_file import ImageFile, open_image
from unseen.restoration.report import PhotoWarning, RestoredFile
from unseen.restoration.report_page import REPORT, worst_first, write_report_page

ROOM = 1_000_000


def decoded(uri: str) -> NDArray[np.uint8]:
    """The pixels of a picture on the page."""
    return np.array(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def saved(path: Path, pixels: NDArray[Any]) -> ImageFile:
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return open_image(path)


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def waves(height: int, width: int) -> NDArray[np.float64]:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([128 + 90 * np.sin(rows / s) * np.cos(columns / 31) for s in (17, 23, 41)], axis=2)


def record(name: str, change: float = 1.0, noise_level: float = 5.0, *warnings: str) -> RestoredFile:
    texts = tuple(map(PhotoWarning, warnings))
    return RestoredFile(name, Path(name), 0, Path("out") / name, noise_level, 1.0, change, texts)


# ---------------------------------------------------------------------------------------- pictures


def test_a_small_photograph_is_shown_in_full_size(tmp_path: Path) -> None:
    before, after = waves(60, 90), waves(60, 90) + 20
    pictures = pictures_of(saved(tmp_path / "a.png", before), saved(tmp_path / "b.png", after), ROOM)
    assert pictures.crop is None
    for uri, pixels in ((pictures.whole.before, before), (pictures.whole.after, after)):
        assert np.abs(decoded(uri) - pixels.astype(np.uint8).astype(float)).mean() < 2


def test_a_large_one_is_averaged_and_its_crop_is_where_it_changed_most(tmp_path: Path) -> None:
    before = waves(1500, 2000)
    after = before + 1.0
    after[900:1300, 1400:1700] += 30
    pictures = pictures_of(saved(tmp_path / "a.png", before), saved(tmp_path / "b.png", after), ROOM)
    assert (pictures.whole.width, pictures.whole.height) == (667, 500)
    assert np.abs(decoded(pictures.whole.after)[1, 1] - after[3:6, 3:6].mean((0, 1))).max() < 4
    assert pictures.crop is not None
    change = decoded(pictures.crop.after).astype(float) - decoded(pictures.crop.before)
    assert (change > 15).sum() / 3 == pytest.approx(400 * 300, rel=0.02)  # all of it


def test_what_was_clipped_on_request_is_shown(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", (waves(60, 90) / 64).astype(np.float32), photometric="rgb")
    pictures = pictures_of(open_image(tmp_path / "a.tif"), saved(tmp_path / "b.png", waves(60, 90)), ROOM)
    assert np.abs(decoded(pictures.whole.before) - (waves(60, 90) * 4).clip(0, 255)).mean() < 4


def test_an_enlarged_one_is_beside_its_original_enlarged(tmp_path: Path) -> None:
    before = waves(150, 200)
    after = waves(300, 400)
    pictures = pictures_of(saved(tmp_path / "a.png", before), saved(tmp_path / "b.png", after), ROOM)
    assert (pictures.whole.width, pictures.whole.height) == (200, 150)
    assert pictures.crop is not None
    assert decoded(pictures.crop.before).shape == decoded(pictures.crop.after).shape == (300, 400, 3)


@pytest.mark.parametrize(("size", "room"), [((700, 900), 100_000), ((700, 900), 20_000), ((1200, 1000), 300_000)])
def test_pictures_fit_into_their_room_by_their_size_alone(tmp_path: Path, size: tuple[int, int], room: int) -> None:
    first = saved(tmp_path / "a.png", noise(*size))
    pictures = pictures_of(first, saved(tmp_path / "b.png", 255 - noise(*size)), room)
    views = [view for view in (pictures.whole, pictures.crop) if isinstance(view, PicturePair)]
    assert len(views) == 2
    assert sum(len(view.before) + len(view.after) for view in views) <= room
    crop = decoded(views[1].before).astype(float)
    assert 255 - crop.mean() == pytest.approx(decoded(views[1].after).mean(), abs=2)
    assert crop.std() == pytest.approx(noise(64, 64).std(), rel=0.1)  # its noise is not smoothed away


def test_pure_noise_can_be_encoded() -> None:
    for quality in (95, 88, 50):
        assert decoded(data_uri(noise(960, 960), quality)).shape == (960, 960, 3)


def test_blocks_at_the_edges_are_averages_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(before_after, "STRIP_VALUES", 2 * 3 * 70)  # rows of one block come in several strips
    first, second = noise(50, 70).astype(float), noise(51, 70)[1:].astype(float)
    files = saved(tmp_path / "a.png", first), saved(tmp_path / "b.png", second)
    before, after, changes = reduced(*files, 1, 3)
    assert before.shape == after.shape == (17, 24, 3)
    for means, pixels in ((before, first), (after, second)):
        assert np.allclose(255 * means[1, 2], pixels[3:6, 6:9].mean((0, 1)), atol=1e-3)
        assert np.allclose(255 * means[16, 23], pixels[48:, 69:].mean((0, 1)), atol=1e-3)
    assert 255 * changes[16, 23] == pytest.approx(np.abs(first - second)[48:, 69:].mean(), rel=1e-4)


def test_the_place_is_that_of_the_largest_sum() -> None:
    changes = np.zeros((9, 12), np.float32)
    changes[2, 3] = changes[8, 10] = changes[7, 11] = 1
    top, left = place_of(changes, 3)
    assert (top, left) == (6, 9)
    assert place_of(changes, 50) == (0, 0)


def test_files_that_do_not_belong_together_are_no_pair(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="90×61 is no multiple of 90×60"):
        pictures_of(saved(tmp_path / "a.png", waves(60, 90)), saved(tmp_path / "b.png", waves(61, 90)), ROOM)


# ---------------------------------------------------------------------------------------- the page


def test_the_worst_come_first() -> None:
    photos = [
        record("calm", 1.0),
        record("moved", 9.0),
        record("warned", 0.5, 5.0, "its noise"),
        record("warned and moved", 3.0, 5.0, "its noise"),
        record("enlarged", math.inf, 1.0),
        record("enlarged and noisy", math.inf, 30.0),
        record("unread", math.nan, math.nan),
    ]
    names = ["warned and moved", "warned", "moved", "calm", "enlarged and noisy", "enlarged", "unread"]
    assert [photo.name for photo in worst_first(photos)] == names
    assert worst_first(photos[::-1]) == worst_first(photos)


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that was restored with a page: photographs of several sizes, one with a hostile name, one broken."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "in").mkdir()
    draws = np.random.default_rng(0)
    for name, size, sigma in (
        ("large.png", (1000, 1300), 3),
        ("noisy.png", (200, 300), 40),
        ('<img src=x onerror="alert(1)">\u202e\n.png', (90, 80), 10),
    ):
        pixels = waves(*size) + draws.normal(0, sigma, (*size, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / "in" / name)
    (folder / "in" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    assert main(["restore", str(folder / "in"), "-o", str(folder / "out"), "--model", "erm", "--report", *MACHINE]) == 1
    return folder / "out"


def names_on(text: str) -> list[str]:
    """The headings of the sections."""
    return [html.unescape(heading) for heading in re.findall(r"<h2[^>]*>(.*?)</h2>", text)]


def test_the_page_is_one_file_that_fetches_nothing(restored: Path) -> None:
    text = (restored / REPORT).read_text("utf-8")
    page, names = Document(text), names_on(text)
    assert names[-2:] == ["Not restored", "How this page was made"]
    assert sorted(names[:-2]) == ['<img src=x onerror="alert(1)">\\u202e\\n.png', "large.png", "noisy.png"]
    assert all(image["src"].startswith("data:image/jpeg;base64,") for image in page.all("img"))
    assert len(page.all("img")) == 2 * (2 + 1 + 1)
    assert [script.get("type") for script in page.all("script")] == ["module"]
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-" in html.unescape(text)
    assert {link.get("href") for link in page.all("link")} == {"data:,"}
    assert "<img src=x" not in text
    assert "broken.png" in text


def test_what_was_there_before_is_on_the_page_too(restored: Path) -> None:
    before = (restored / REPORT).read_text("utf-8")
    words = ["restore", str(restored.parent / "in"), "-o", str(restored), "--model", "erm", "--report", *MACHINE]
    assert main(words) == 1
    after = (restored / REPORT).read_text("utf-8")
    assert sorted(names_on(after)) == sorted(names_on(before))
    pictures = [{image["src"] for image in Document(text).all("img")} for text in (before, after)]
    assert pictures[0] == pictures[1]
    assert "<dd>not known</dd>" not in before + after


def test_what_was_left_as_it_was_is_named_so_and_not_warned_of_in_a_later_run_either(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A flat slope, whose noise reads below what the network is safe for, beside noise."""
    (tmp_path / "in").mkdir()
    slope = np.broadcast_to(80 + np.arange(96)[:, None, None] // 4, (96, 96, 3))
    noise = np.random.default_rng(0).normal(128, 15, (96, 96, 3))
    for name, values in [("slope.png", slope), ("noise.png", noise)]:
        Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(tmp_path / "in" / name)
    words = ["restore", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--model", "denoiser", "--report", *MACHINE]
    for said in ("1 restored, 1 left as it was\n", "0 restored, 2 there already"):
        assert main(words) == 0
        assert f": {said}" in capsys.readouterr().out
        text = (tmp_path / "out" / REPORT).read_text("utf-8")
        assert names_on(text)[:2] == ["noise.png", "slope.png"]
        assert "None of 2 to look at; 1 left as it was, so little would change." in text
        assert text.count("<dd>none, left as it was</dd>") == 1


def test_where_nothing_is_restored_no_page_is_written(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    words = ["restore", str(tmp_path / "broken.png"), "-o", str(tmp_path / "out") + "/", "--model", "erm", "--report"]
    assert main([*words, *MACHINE]) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["broken.png"]


def write(path: Path, photos: list[RestoredFile], stop: Event | None = None) -> str:
    how: dict[str, Any] = {"safety": "Safe.", "command": "unseen", "provenance": [], "stop": stop or Event()}
    write_report_page(path, photos, [], **how)
    return path.read_text("utf-8")


def test_a_photograph_that_has_gone_is_named_without_pictures(tmp_path: Path) -> None:
    text = write(tmp_path / REPORT, [record("gone.png", 1.0, 5.0, "its noise \33[2J is <b>strong</b>")])
    assert "No pictures: gone.png" in text
    assert "its noise \\x1b[2J is &lt;b&gt;strong&lt;/b&gt;" in text


def test_many_photographs_are_listed_and_more_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_page, "MOST_SHOWN", 2)
    monkeypatch.setattr(report_page, "MOST_LISTED", 3)
    text = write(tmp_path / REPORT, [record(f"{i:02}.png", change=i) for i in range(10)])
    assert names_on(text)[:2] == ["09.png", "08.png"]
    assert all(f"<dt>{i:02}.png</dt>" in text for i in (7, 6, 5))
    assert "04.png" not in text
    assert "And 5 more" in text


def test_an_interrupted_page_is_not_written(tmp_path: Path) -> None:
    (tmp_path / REPORT).write_text("the former one")
    stop = Event()
    stop.set()
    with pytest.raises(RunStopped):
        write(tmp_path / REPORT, [record("a.png")], stop)
    assert [file.name for file in tmp_path.iterdir()] == [REPORT]
    assert (tmp_path / REPORT).read_text() == "the former one"


def test_size_is_bounded_and_memory_does_not_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_page, "ROOM", 2_000_000)
    monkeypatch.setattr(report_page, "PHOTO_ROOM", 100_000)
    source = saved(tmp_path / "a.png", noise(150, 200))
    target = saved(tmp_path / "b.png", noise(150, 200) // 2)
    photos = [RestoredFile(f"{i}.png", source.path, 0, target.path, 9.0, 1.0, 2.0) for i in range(40)]
    peaks = []
    for count in (2, 20, 40):  # the first imports what is imported late
        tracemalloc.start()
        write_report_page(tmp_path / REPORT, photos[:count], [], safety="", command="", provenance=[], stop=Event())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert 1_000_000 < (tmp_path / REPORT).stat().st_size < 2_000_000 + 40 * 3000 + 20_000
    assert peaks[2] < peaks[1] + 300_000


# ---------------------------------------------------------------------------------------- in the browser


@pytest.fixture
def visit(browser: Browser, restored: Path) -> Iterator[Page]:
    """The page, opened from its file; nothing is asked of the network, and nothing goes wrong."""
    context = browser.new_context(viewport={"width": 375, "height": 800}, color_scheme="dark")
    page, said, asked = context.new_page(), list[str](), list[str]()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((restored / REPORT).as_uri())
    yield page
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def test_the_divider_shows_more_of_before_on_a_phone_too(visit: Page) -> None:
    assert visit.evaluate("document.documentElement.scrollWidth") <= 375
    left = visit.locator(".divided .left").first
    divider = visit.locator(".divided input").first
    assert left.evaluate("one => getComputedStyle(one).clipPath").startswith("inset(0px 50% 0px 0px")
    divider.fill("80")
    assert left.evaluate("one => getComputedStyle(one).clipPath").startswith("inset(0px calc(20%)") or "20%" in str(
        left.evaluate("one => getComputedStyle(one).clipPath")
    )
    assert divider.get_attribute("aria-valuetext") == "80 % before, the rest after"
    for shown in ("100 % before, the rest after", "0 % before, the rest after"):
        divider.press(" ")
        assert divider.get_attribute("aria-valuetext") == shown
    assert visit.evaluate("[...document.images].every(one => one.naturalWidth > 0)")
