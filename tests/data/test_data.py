"""Finding and loading photographs, on real files; and those that need no download."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.scenes import Pixels, noise, save, scene

from unseen.core.errors import UserError
from unseen.data import embedded as embedded_module
from unseen.data.embedded import embedded_photos
from unseen.data.finding import find_photos
from unseen.data.loading import SMALLEST_WINDOW, load_photos, map_in_threads
from unseen.data.photo import Photo
from unseen.data.reading import UnreadableImage, read_photo

# ----------------------------------------------------------------------------------------------- finding


def test_finds_every_format_at_any_depth_in_a_stable_order(tmp_path: Path) -> None:
    names = [
        "b/deep/er/x.PNG",
        "a.jpg",
        "b.jpeg",
        "b/a.BMP",
        "b/z.tif",
        "c.Tiff",
        "d.webp",
        "a/1.png",
        "a.b/1.png",
    ]
    for name in names:
        save(tmp_path / name, scene())
    for other in ("notes.txt", "a/page.pdf", "b/film.gif", "png"):
        (tmp_path / other).write_text("no photograph")
    found = [path.relative_to(tmp_path).as_posix() for path in find_photos(tmp_path)]
    assert found == sorted(names)


def test_skips_hidden_files_and_folders(tmp_path: Path) -> None:
    save(tmp_path / "seen.png", scene())
    save(tmp_path / "._seen.png", scene())
    save(tmp_path / ".thumbnails" / "seen.png", scene())
    assert find_photos(tmp_path) == [tmp_path / "seen.png"]


def test_a_hidden_folder_named_by_the_user_is_searched(tmp_path: Path) -> None:
    path = save(tmp_path / ".hidden" / "a.png", scene())
    assert find_photos(tmp_path / ".hidden") == [path]


def test_loops_of_links_end_and_each_photograph_counts_once(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    save(folder / "z" / "a.png", scene())
    (folder / "z" / "loop").symlink_to(folder)
    (folder / "alias").symlink_to(folder / "z")
    outside = save(tmp_path / "elsewhere" / "b.png", scene())
    (folder / "linked").symlink_to(outside.parent)
    (folder / "file.png").symlink_to(outside)
    found = [path.relative_to(folder).as_posix() for path in find_photos(folder)]
    assert found == ["file.png", "linked/b.png", "z/a.png"]


@pytest.mark.timeout(20)
def test_a_pipe_does_not_block_and_a_dangling_link_is_reported(tmp_path: Path) -> None:
    save(tmp_path / "good.png", scene())
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    photos, skipped = load_photos(tmp_path)
    assert [photo.name for photo in photos] == ["good.png"]
    assert [(skip.name, skip.reason) for skip in skipped] == [("gone.png", "No such file or directory")]


def test_a_single_photograph_stands_for_a_folder(tmp_path: Path) -> None:
    path = save(tmp_path / "one.png", scene())
    save(tmp_path / "two.png", scene())
    assert find_photos(path) == [path]
    photos, skipped = load_photos(path)
    assert [photo.name for photo in photos] == ["one.png"]
    assert skipped == []


def test_missing_wrong_and_empty_folders_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.txt").write_text("a.png")
    with pytest.raises(UserError, match=r"nowhere: no such folder"):
        find_photos(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"list\.txt: neither a folder nor a photograph"):
        find_photos(tmp_path / "list.txt")
    with pytest.raises(UserError, match=r"empty: holds no photograph; counted is a photograph \(PNG, JPEG"):
        find_photos(tmp_path / "empty")


# ------------------------------------------------------------------------------------------------ memory


def big_folder(folder: Path) -> dict[str, Pixels]:
    shapes = {
        "a.png": (300, 200),
        "b.png": (200, 300),
        "sub/c.png": (250, 250),
        "sub/d.png": (250, 250),
        "tiny.png": (30, 400),
    }
    rng = np.random.default_rng(0)
    pictures = {name: rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for name, shape in shapes.items()}
    for name, pixels in pictures.items():
        save(folder / name, pixels, compress_level=1)
    return pictures


def position(window: Pixels, whole: Pixels) -> tuple[int, int] | None:
    """Where `window` was cut out of `whole`."""
    height, width = window.shape[:2]
    for top, left in zip(*np.nonzero((whole == window[0, 0]).all(axis=-1)), strict=True):
        if np.array_equal(whole[top : top + height, left : left + width], window):
            return int(top), int(left)
    return None


def test_everything_is_kept_whole_when_it_just_fits(tmp_path: Path) -> None:
    pictures = big_folder(tmp_path)
    memory = sum(pixels.nbytes for pixels in pictures.values())
    photos, _ = load_photos(tmp_path, memory=memory)
    assert [photo.name for photo in photos] == sorted(pictures)
    for photo in photos:
        np.testing.assert_array_equal(photo.pixels, pictures[photo.name])
    fewer, _ = load_photos(tmp_path, memory=memory - 1)
    assert 0 < sum(photo.pixels.nbytes for photo in fewer) <= memory - 1


def test_windows_fit_fill_the_memory_and_come_from_each_photograph(tmp_path: Path) -> None:
    pictures = big_folder(tmp_path)
    memory = 200_000
    photos, skipped = load_photos(tmp_path, memory=memory)
    assert skipped == []
    assert [photo.name for photo in photos] == sorted(pictures)
    total = sum(photo.pixels.nbytes for photo in photos)
    side = photos[0].pixels.shape[0]
    assert total <= memory
    assert total + 3 * (4 * (2 * side + 1) + 30) > memory  # one more pixel of side would not fit
    assert [photo.pixels.shape[:2] for photo in photos] == [(side, side)] * 4 + [(30, side)]
    assert all(position(photo.pixels, pictures[photo.name]) is not None for photo in photos)
    assert all(photo.pixels.base is None for photo in photos)  # a view would keep the whole photograph


def test_windows_depend_on_seed_and_name_alone(tmp_path: Path) -> None:
    pictures = big_folder(tmp_path)

    def places(seed: int) -> dict[str, tuple[int, int] | None]:
        photos, _ = load_photos(tmp_path, memory=200_000, seed=seed)
        return {photo.name: position(photo.pixels, pictures[photo.name]) for photo in photos}

    first = places(0)
    assert places(0) == first
    assert all(places(1)[name] != first[name] for name in pictures)
    # Photographs of one size have windows of their own: one place for all would show in the training.
    assert first["sub/c.png"] != first["sub/d.png"]
    # A broken newcomer takes part in nothing.
    (tmp_path / "_new.png").write_text("broken")
    assert places(0) == first


def test_windows_reach_every_part_of_a_photograph(tmp_path: Path) -> None:
    (picture,) = [noise()]
    save(tmp_path / "a.png", picture)
    found = [load_photos(tmp_path, memory=3 * 96**2, seed=seed)[0][0].pixels for seed in range(60)]
    tops = {where[0] for window in found if (where := position(window, picture)) is not None}
    assert tops == set(range(5))  # 100 - 96 + 1 places


def test_too_little_memory_says_how_much_is_needed(tmp_path: Path) -> None:
    big_folder(tmp_path)
    least = 3 * (4 * SMALLEST_WINDOW**2 + 30 * SMALLEST_WINDOW)
    assert len(load_photos(tmp_path, memory=least)[0]) == 5
    with pytest.raises(UserError, match=r"window of 63 pixels for each of 5 .* at least 1 MiB"):
        load_photos(tmp_path, memory=least - 1)


# ---------------------------------------------------------------------------------------------- embedded


def test_the_embedded_split_is_as_published() -> None:
    names = {part: [photo.name for photo in embedded_photos(part)] for part in ("train", "validation", "test")}
    assert names["test"] == ["astronaut", "chelsea", "coffee"]
    assert {"rocket", "motorcycle_left"} <= set(names["train"])
    assert len(names["validation"]) == 1
    everything = [name for part in names.values() for name in part]
    assert len(everything) == len(set(everything))


def thumbnail(photo: Photo) -> NDArray[np.float64]:
    small = Image.fromarray(photo.pixels).convert("L").resize((24, 24), Image.Resampling.BOX)
    values = np.asarray(small, dtype=np.float64)
    return np.asarray((values - values.mean()) / values.std())


def likeness(a: Photo, b: Photo) -> float:
    """The highest correlation of two thumbnails over shifts of up to three of 24 pixels."""
    first, second = thumbnail(a), thumbnail(b)
    shifts = [(i, j) for i in range(-3, 4) for j in range(-3, 4)]
    return max(float((first * np.roll(second, shift, axis=(0, 1))).mean()) for shift in shifts)


def test_no_scene_is_in_two_parts_of_the_embedded_split() -> None:
    parts = [embedded_photos("train"), embedded_photos("validation"), embedded_photos("test")]
    across = [likeness(a, b) for i, some in enumerate(parts) for others in parts[i + 1 :] for a in some for b in others]
    assert max(across) < 0.6
    # The measure would have told: the other half of the stereo pair is the same scene.
    left = next(photo for photo in parts[0] if photo.name == "motorcycle_left")
    right = Photo("right", read_photo(embedded_module._data_folder() / "motorcycle_right.png"))
    assert likeness(left, right) > 0.85


def test_a_photograph_missing_from_scikit_image_names_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(embedded_module.EMBEDDED, "validation", ("nothing.png",))
    with pytest.raises(UserError, match=r"nothing\.png: not in .* scikit-image==0\.26\.0"):
        embedded_photos("validation")


def test_importing_the_package_loads_neither_torch_nor_scikit_image() -> None:
    code = (
        "import sys; from unseen.data.embedded import embedded_photos; embedded_photos('test');"
        "print({'torch', 'skimage'} & {*sys.modules})"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_photos_are_compared_without_error() -> None:
    photo = Photo("a", noise())
    assert photo == photo
    assert photo != Photo("a", noise())
    assert len({photo, photo}) == 1


def test_the_larger_photographs_are_the_fewer_are_decoded_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 15)
    at_once, most, lock = 0, 0, threading.Lock()

    def work(item: int) -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.01)
        with lock:
            at_once -= 1

    for size, limit in (((1000, 1000), 16), ((6000, 4000), 5), ((13000, 13000), 1)):
        most = 0
        map_in_threads(work, range(40), "", [size, (10, 10), UnreadableImage(Path("a"), "broken")])
        assert most <= limit
        assert most == limit or limit == 16


def test_photographs_that_must_stay_whole_and_do_not_fit_are_refused(tmp_path: Path, monkeypatch: Any) -> None:
    save(tmp_path / "a.png", scene())
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 100, "SC_PHYS_PAGES": 71}.__getitem__)
    with pytest.raises(UserError, match=r"its photographs take 0\.0 GiB of memory together, and this machine has"):
        load_photos(tmp_path, memory=None)
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 100, "SC_PHYS_PAGES": 72}.__getitem__)
    assert len(load_photos(tmp_path, memory=None)[0]) == 1
