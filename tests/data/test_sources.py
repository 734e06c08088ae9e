"""Where clean photographs come from, and the split that keeps validation apart from training."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unseen.core.errors import UserError
from unseen.data import sources as module
from unseen.data.loading import SMALLEST_WINDOW, load_photos
from unseen.data.photo import Photo, Pixels
from unseen.data.sources import PhotoSplit, load_test_set, recorded_pairs, training_photos, trimmed, without_copies_of


def make_folder(folder: Path, n: int) -> Path:
    folder.mkdir()
    draws = np.random.default_rng(0)
    for i in range(n):
        Image.fromarray(draws.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(folder / f"{i:02}.png")
    return folder


def test_a_tenth_of_a_folder_validates_and_never_trains(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "photos", 25)
    clean = training_photos([str(folder)])
    train, validation = ({photo.name for photo in part} for part in (clean.train, clean.validation))
    assert (len(train), len(validation)) == (23, 2)
    assert not train & validation
    again = training_photos([str(folder)])
    assert {photo.name for photo in again.validation} == validation


def test_what_validates_never_trains_under_another_name_either(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "photos", 12)
    (held,) = training_photos([str(folder)]).validation
    (tmp_path / "more").mkdir()
    for name in ("copy.png", "other.png"):
        (tmp_path / "more" / name).write_bytes((folder / held.name).read_bytes())
    both = training_photos([str(folder), str(tmp_path / "more")])
    assert not any(np.array_equal(photo.pixels, held.pixels) for photo in both.train)


def test_the_digest_changes_with_a_photograph_and_with_its_side(tmp_path: Path) -> None:
    clean = training_photos([str(make_folder(tmp_path / "photos", 4))])
    assert clean.digest() == training_photos([str(tmp_path / "photos")]).digest()
    swapped = PhotoSplit(clean.validation, clean.train, [])
    fewer = PhotoSplit(clean.train[1:], clean.validation, [])
    moved = PhotoSplit(clean.train[:-1], [clean.train[-1], *clean.validation], [])
    assert len({c.digest() for c in (clean, swapped, fewer, moved)}) == 4


def test_one_photograph_is_too_few(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "one", 1)
    with pytest.raises(UserError, match=r"data: .*needs two photographs at least"):
        training_photos([str(folder)])


def test_sources_add_up_and_share_the_embedded_validation_photograph() -> None:
    both = training_photos(["embedded", "dead_leaves:3"])
    leaves = training_photos(["dead_leaves:3"])
    assert len(both.train) == 5
    assert [photo.name for photo in both.validation] == [photo.name for photo in leaves.validation] == ["camera"]


@pytest.mark.parametrize("source", ["", "a=", "=b", "="])
def test_what_names_no_test_set_is_refused(source: str) -> None:
    with pytest.raises(UserError, match=r"test: .*: expected NAME=DIR, NAME=INPUT_DIR:TARGET_DIR, a folder, or embedd"):
        load_test_set(source)


@pytest.mark.parametrize("source", ["dead_leaves:x", "dead_leaves:0", "dead_leaves:-3"])
def test_an_impossible_count_is_refused(source: str) -> None:
    with pytest.raises(UserError, match=f"data: '{source}': expected dead_leaves:COUNT"):
        training_photos([source])


def test_test_sets_by_name_by_folder_and_embedded(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "holiday", 2)
    assert load_test_set(f"mine={folder}")[0] == "mine"
    assert load_test_set(str(folder))[0] == "holiday"
    name, photos, skipped = load_test_set("embedded")
    assert (name, [photo.name for photo in photos], skipped) == ("embedded", ["astronaut", "chelsea", "coffee"], [])


def test_real_sets_are_read_whole(real_images: Path) -> None:
    _, photos, skipped = load_test_set(f"cbsd68={real_images / 'test' / 'cbsd68'}")
    assert len(photos) == 68
    assert not skipped
    assert {photo.pixels.shape[:2] for photo in photos} == {(321, 481), (481, 321)}


# ------------------------------------------------------------------------------------------------- sizes


def gray(height: int, width: int, level: int = 100) -> Pixels:
    return np.full((height, width, 3), level, dtype=np.uint8)


def write(folder: Path, **pictures: Pixels) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def test_photographs_are_cut_to_a_multiple_and_too_small_ones_left_out(tmp_path: Path) -> None:
    folder = write(tmp_path / "small", a=gray(3, 50), b=gray(50, 1), c=gray(4, 7))
    _, photos, skipped = load_test_set(f"q={folder}", 4)
    assert [(photo.name, photo.pixels.shape) for photo in photos] == [("c.png", (4, 4, 3))]
    reason = "less than 4 pixels wide or high, and sides are cut to multiples of 4"
    assert [(s.name, s.reason) for s in skipped] == [("a.png", reason), ("b.png", reason)]
    assert [photo.pixels.shape for photo in trimmed([Photo("d", gray(3, 50)), Photo("e", gray(9, 6))], 4)] == [
        (8, 4, 3)
    ]
    (folder / "c.png").unlink()
    with pytest.raises(UserError, match="test: q: none of its photographs is 4 pixels wide and high"):
        load_test_set(f"q={folder}", 4)


def test_pairs_are_of_the_scale_and_equal_after_enlarging(tmp_path: Path) -> None:
    targets = write(tmp_path / "out", a=gray(18, 20), b=gray(16, 24))
    quarter = write(tmp_path / "x4", b=gray(4, 6))
    whole = write(tmp_path / "x1", a=gray(18, 20), b=gray(16, 24))
    scales = {(4, 1, quarter): [4], (1, 1, whole): [1, 1], (4, 4, quarter): [1], (4, 4, whole): [1, 1]}
    for (step, enlarge, inputs), expected in scales.items():
        _, photos, _ = load_test_set(f"q={inputs}:{targets}", step, enlarge)
        assert [photo.scale for photo in photos] == expected
    assert {photo.pixels.shape for photo in photos} == {(18, 20, 3), (16, 24, 3)}  # pairs are not cut


@pytest.mark.parametrize(
    ("factor", "step", "enlarge", "message"),
    [
        (1, 4, 1, "as large as its clean picture, and the network is to enlarge by 4; --enlarge true takes inputs of "),
        (2, 4, 1, "smaller by 2, and the network is to enlarge by 4$"),
        (2, 4, 4, "smaller by 2, and --enlarge true takes inputs as large, or smaller by 4$"),
        (2, 1, 1, "smaller by 2, and the network keeps sizes$"),
    ],
)
def test_pairs_of_another_scale_are_told_what_is_taken(
    factor: int, step: int, enlarge: int, message: str, tmp_path: Path
) -> None:
    targets = write(tmp_path / "out", a=gray(16, 16), b=gray(16, 16, 9))
    inputs = write(tmp_path / "in", a=gray(16 // factor, 16 // factor), b=gray(16 // factor, 16 // factor))
    with pytest.raises(UserError, match=rf"test: q: a\.png: its input is {message}"):
        load_test_set(f"q={inputs}:{targets}", step, enlarge)
    with pytest.raises(UserError, match=rf"pairs: q: a\.png: its input is {message}"):
        recorded_pairs([f"q={inputs}:{targets}"], ["q"], ["q"], step // enlarge, enlarge)


# ------------------------------------------------------------------------------------------------- names


def test_test_folders_may_begin_with_a_tilde_and_hold_any_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("x", "a=b", "c:d", "a$5", "$NOT_SET"):
        write(tmp_path / name, a=gray(8, 8))
    folders = {"q=~/x": "q", "~/x": "x", "q=a=b": "q", "a=b": "a=b", "~/a=b": "a=b", "q=c:d": "q", "q=a$5": "q"}
    for source, name in (folders | {"a$5": "a$5", "q=$NOT_SET": "q"}).items():
        assert load_test_set(source)[0] == name
    assert load_test_set("q=~/x:~/a$5")[0] == "q"
    assert [photo.name for photo in load_photos(tmp_path / "a$5")[0]] == ["a.png"]
    with pytest.raises(UserError, match=r"test: \$NOR_THIS/x: \$NOR_THIS is not set"):
        load_test_set("q=$NOR_THIS/x")


# ---------------------------------------------------------------------------------------- recorded pairs


def noise(seed: int, size: tuple[int, int] = (10, 12)) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.fixture
def rain(tmp_path: Path) -> str:
    """Twenty-five clean pictures with three inputs each, one of them under two names."""
    clean = {f"{i:02}": noise(i) for i in range(24)}
    write(tmp_path / "clean", **clean, again=clean["03"])
    write(tmp_path / "rain", **{f"{name}_{k}": noise(int(k)) for name in [*clean, "again"] for k in "123"})
    return f"rain={tmp_path / 'rain'}:{tmp_path / 'clean'}"


def contents(photos: list[Photo]) -> set[bytes]:
    return {photo.pixels.tobytes() for photo in photos}


def test_pairs_are_split_by_their_clean_pictures(rain: str) -> None:
    pairs = recorded_pairs([rain], ["rain"], ["rain"], 1, 1)["rain"]
    assert len(pairs.train) + len(pairs.validation) == 75
    assert not contents(pairs.train) & contents(pairs.validation)
    assert len(contents(pairs.validation)) == 2
    assert len(contents(pairs.validation[:2])) == 2  # a few of them show as many pictures as there are


def test_pairs_cut_to_windows_are_split_by_whole_pictures(rain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, targets = (Path(folder) for folder in rain.removeprefix("rain=").split(":"))
    size = (SMALLEST_WINDOW + 20, SMALLEST_WINDOW + 40)
    for i, path in enumerate(sorted(targets.iterdir())):
        Image.fromarray(noise(i, size)).save(path)
    Image.open(targets / "03.png").save(targets / "again.png")
    for path in inputs.iterdir():
        Image.fromarray(gray(*size)).save(path)
    memory = 4 * 25 * 3 * SMALLEST_WINDOW**2
    for held in ("03_1.png", "again_1.png"):
        monkeypatch.setattr(module, "_split_key", lambda name, first=held: "" if name == first else name)
        pairs = recorded_pairs([rain], ["rain"], ["rain"], 1, 1, memory)["rain"]
        assert {photo.pixels.shape for photo in pairs.train} == {(SMALLEST_WINDOW, SMALLEST_WINDOW, 3)}
        digests = [{photo.fingerprint.digest for photo in part} for part in (pairs.train, pairs.validation)]
        assert not digests[0] & digests[1]


def test_one_clean_picture_is_too_few(tmp_path: Path) -> None:
    write(tmp_path / "in", a_1=noise(1), a_2=noise(2))
    write(tmp_path / "out", a=noise(0))
    with pytest.raises(UserError, match="pairs: q: needs two clean pictures at least"):
        recorded_pairs([f"q={tmp_path / 'in'}:{tmp_path / 'out'}"], ["q"], ["q"], 1, 1)


def test_sets_that_are_known_and_not_wanted_are_left_alone(rain: str) -> None:
    assert list(recorded_pairs([rain, "snow=no:where"], ["rain"], ["snow", "rain"], 1, 1)) == ["rain"]
    assert recorded_pairs([rain], [], ["rain"], 1, 1) == {}


@pytest.mark.parametrize(
    ("sources", "wanted", "known", "message"),
    [
        (["rian=a:b"], ["rain"], ["rain", "snow"], "'rian' is no set of this protocol; it names rain, snow (did you "),
        (["rain=a:b"], [], [], "'rain' is no set of this protocol; it names none"),
        (["snow=a:b"], ["rain"], ["rain", "snow"], "rain is trained on; give --pairs rain=INPUT_DIR:TARGET_DIR"),
        (["snow=a:b", "snow=c:d"], [], ["snow"], "snow is given twice"),
    ],
)
def test_sets_that_are_unknown_missing_or_given_twice_are_refused(
    sources: list[str], wanted: list[str], known: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=re.escape(f"pairs: {message}")):
        recorded_pairs(sources, wanted, known, 1, 1)


def test_what_is_held_out_is_told_by_the_whole_picture() -> None:
    wholes = [Photo(f"{i}", noise(i)) for i in range(3)]
    parts = [photo.window(0, 0, 5, 5) for photo in wholes]
    other = Photo("of another window", noise(1)).window(4, 4, 6, 6)
    assert without_copies_of(wholes, [other]) == without_copies_of(wholes, [wholes[1]]) == [wholes[0], wholes[2]]
    assert without_copies_of(parts, [Photo("a picture of its own", parts[0].pixels)]) == parts
