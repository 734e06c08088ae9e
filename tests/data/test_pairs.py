"""Recorded pairs: read together, cut together, trained on and tested as what they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.commandline import TINY, CommandLine, json_lines, photographs

from unseen.core.errors import UserError
from unseen.core.randomness import generator
from unseen.core.yaml12 import dump
from unseen.data.pairs import load_pairs
from unseen.data.patches import Patches
from unseen.data.photo import Photo, Pixels
from unseen.data.sources import expand_path, load_test_set, parse_pairs_source
from unseen.protocols.confounder import Recorded, parse_confounder
from unseen.training.episodes import mixture

pytestmark = pytest.mark.usefixtures("empty_page")


def places(height: int, width: int, scale: int = 1) -> Photo:
    """A picture in which every pixel tells where it is, and a recorded one that tells the same, smaller by `scale`."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    clean = np.stack([rows, columns, np.full_like(rows, 7)], axis=2)
    recorded = clean[::scale, ::scale].copy()
    recorded[..., 2] = 9
    return Photo("a", clean, recorded)


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("sides", [(40, 52), (8, 12)])
def test_both_patches_of_a_pair_are_of_one_place_and_one_turn(scale: int, sides: tuple[int, int]) -> None:
    patches = Patches([places(*sides, scale), places(*sides, scale)], 16)
    recorded, clean = (images * 255 for images in patches.pairs_at(patches.picks(40, generator(0))))
    assert recorded.shape == (40, 3, 16 // scale, 16 // scale)
    assert clean.shape == (40, 3, 16, 16)
    assert set(clean[:, 2].flatten().tolist()) == {7}
    assert set(recorded[:, 2].flatten().tolist()) == {9}
    # A recorded pixel stands for scale² clean ones, and tells the place of the first of them before any turn.
    blocks = clean.unfold(2, scale, scale).unfold(3, scale, scale)[:, :2]
    assert torch.equal(blocks.amin(dim=(-1, -2)), recorded[:, :2])


def test_a_window_of_a_pair_is_one_place_and_whole_steps_of_the_scale() -> None:
    photo = places(40, 52, 4).window(5, 9, 22, 17)
    assert photo.recorded is not None
    assert photo.pixels.shape == (20, 16, 3)
    assert photo.recorded.shape == (5, 4, 3)
    assert photo.pixels[0, 0, :2].tolist() == photo.recorded[0, 0, :2].tolist() == [4, 8]


def write(folder: Path, **pictures: Pixels) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def gray(height: int, width: int, level: int = 100) -> Pixels:
    return np.full((height, width, 3), level, dtype=np.uint8)


def test_pairs_are_read_by_name_and_what_is_wrong_with_the_others_is_told(tmp_path: Path) -> None:
    inputs = write(tmp_path / "in", a=gray(8, 8, 1), b=gray(8, 8, 2), c=gray(9, 8), d=gray(8, 8))
    targets = write(tmp_path / "out", a=gray(8, 8, 11), b=gray(16, 16, 12), c=gray(16, 16), e=gray(8, 8))
    (inputs / "f.png").write_text("no picture")
    write(targets, f=gray(8, 8))
    photos, skipped = load_pairs(inputs, targets)
    assert [(p.name, p.scale, int(p.pixels[0, 0, 0])) for p in photos] == [("a.png", 1, 11), ("b.png", 2, 12)]
    assert {s.name: s.reason.split(":")[0] for s in skipped} == {
        "c.png": "8×9 for a clean picture of 16×16",
        "d.png": "no target has this name",
        "e.png": "no input has this name",
        "f.png": "not a PNG, JPEG, TIFF, WebP or BMP image, or broken",
    }


def test_smaller_inputs_are_enlarged_where_that_is_asked_for(tmp_path: Path) -> None:
    ramp = np.repeat(np.linspace(0, 252, 64).astype(np.uint8)[None, :, None], 64, 0).repeat(3, 2)
    inputs, targets = write(tmp_path / "in", a=ramp[::4, ::4]), write(tmp_path / "out", a=ramp)
    (photo,), _ = load_pairs(inputs, targets, enlarge=4)
    assert photo.recorded is not None
    expected = np.asarray(Image.fromarray(ramp[::4, ::4]).resize((64, 64), Image.Resampling.BICUBIC)).astype(int)
    inner = np.s_[8:-8, 8:-8]  # Pillow and torch differ at borders alone; on a ramp any cubic kernel is exact
    assert abs(photo.recorded.astype(int) - expected)[inner].max() <= 1


def test_pairs_too_many_for_the_memory_are_cut_at_one_place(tmp_path: Path) -> None:
    photo = places(200, 240)
    assert photo.recorded is not None
    inputs, targets = write(tmp_path / "in", a=photo.recorded), write(tmp_path / "out", a=photo.pixels)
    (cut,), _ = load_pairs(inputs, targets, memory=2 * 3 * 100 * 100)
    assert cut.recorded is not None
    assert cut.pixels.shape == cut.recorded.shape == (100, 100, 3)
    assert np.array_equal(cut.pixels[..., :2], cut.recorded[..., :2])


def test_inputs_are_enlarged_only_where_both_sides_agree(tmp_path: Path) -> None:
    inputs, targets = write(tmp_path / "in", a=gray(4, 5), b=gray(4, 4)), write(tmp_path / "out", a=gray(16, 16))
    write(targets, b=gray(16, 16))
    (photo,), (skipped,) = load_pairs(inputs, targets, enlarge=4)
    assert (photo.name, photo.scale) == ("b.png", 1)
    assert skipped.reason == "5×4 for a clean picture of 16×16: neither equal nor smaller by a whole factor"


def test_inputs_that_share_a_target_share_what_was_read_of_it(tmp_path: Path) -> None:
    photo = places(100, 140)
    inputs = write(tmp_path / "in", **{f"{name}_{i}": gray(100, 140, i) for i in range(3) for name in ("a", "b")})
    (inputs / "a_1.png").write_text("no picture")
    targets = write(tmp_path / "out", a=photo.pixels, b=photo.pixels[::-1], c=gray(8, 8))
    write(inputs, c=gray(8, 8))
    (targets / "c.png").write_text("no picture")
    for memory, sides in ((2**30, (100, 140)), (2 * 4 * 3 * 80 * 80, (80, 80))):
        photos, skipped = load_pairs(inputs, targets, memory=memory)
        assert [found.name for found in photos] == ["a_0.png", "a_2.png", "b_0.png", "b_1.png", "b_2.png"]
        assert {found.pixels.shape[:2] for found in photos} == {sides}
        assert len({id(found.pixels) for found in photos}) == 2
        assert [int(found.recorded[0, 0, 0]) for found in photos if found.recorded is not None] == [0, 2, 0, 1, 2]
        reason = "not a PNG, JPEG, TIFF, WebP or BMP image, or broken"
        assert [(s.name, s.reason) for s in skipped] == [("a_1.png", reason), ("c.png", f"its target: {reason}")]


def test_windows_of_inputs_of_different_scales_are_one_place_of_their_target(tmp_path: Path) -> None:
    photos = {scale: places(120, 144, scale) for scale in (1, 2, 3)}
    recorded = {f"a_{scale}": photo.recorded for scale, photo in photos.items() if photo.recorded is not None}
    inputs, targets = write(tmp_path / "in", **recorded), write(tmp_path / "out", a=photos[1].pixels)
    found, _ = load_pairs(inputs, targets, memory=3 * 4 * 80 * 80)
    assert [(photo.name, photo.scale) for photo in found] == [("a_1.png", 1), ("a_2.png", 2), ("a_3.png", 3)]
    assert len({id(photo.pixels) for photo in found}) == 1
    for photo in found:
        assert photo.recorded is not None
        assert photo.pixels.shape == (78, 78, 3)
        assert np.array_equal(photo.pixels[:: photo.scale, :: photo.scale, :2], photo.recorded[..., :2])


@pytest.mark.parametrize("source", ["a", "a=b", "=b:c", "a=b:", "a=:c"])
def test_what_names_no_pair_of_folders_is_refused(source: str) -> None:
    with pytest.raises(UserError, match=r"pairs: .*: expected NAME=INPUT_DIR:TARGET_DIR"):
        parse_pairs_source(source, "pairs")


def test_inputs_and_targets_that_are_swapped_are_refused(unseen: CommandLine, rainy: Path) -> None:
    swapped = f"mine={rainy / 'clean'}:{rainy / 'rain'}"
    words = ["train", *TINY, "--protocol", rainy / "rainy.yaml", "--out", rainy / "run"]
    assert unseen.refusal(*words, "--pairs", swapped) == (
        f"{rainy / 'clean'} and {rainy / 'rain'} seem to be swapped: inputs come first, INPUT_DIR:TARGET_DIR; if they "
        "are not, rename one"
    )
    with pytest.raises(UserError, match="seem to be swapped"):
        load_test_set(swapped)


def test_folders_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PICTURES", "/somewhere")
    assert parse_pairs_source("a=$PICTURES/in:${PICTURES}/out", "x") == (
        "a",
        Path("/somewhere/in"),
        Path("/somewhere/out"),
    )
    monkeypatch.delenv("PICTURES")
    with pytest.raises(UserError, match=r"x: \$PICTURES/in: \$PICTURES is not set"):
        parse_pairs_source("a=$PICTURES/in:$PICTURES/out", "x")


def test_a_tilde_begins_either_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert parse_pairs_source("a=~/in:~/out", "x") == ("a", Path("/home/me/in"), Path("/home/me/out"))
    with pytest.raises(UserError, match="x: ~nobody-of-this-name/in: the home of this user is not known"):
        parse_pairs_source("a=~nobody-of-this-name/in:~/out", "x")


def test_not_every_dollar_is_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PICTURES", "/somewhere")
    assert expand_path("a$5/${6}/$", "x") == "a$5/${6}/$"
    assert expand_path("a$PICTURES-1/${PICTURES}_1", "x") == "a/somewhere-1//somewhere_1".replace("//", "/")
    for name in ("a$PICTURES", "$NOT_SET", "~x"):
        (tmp_path / name).mkdir()
        assert expand_path(name, "x") == name
    with pytest.raises(UserError, match=r"x: \$NOT_SET/in: \$NOT_SET is not set"):
        expand_path("$NOT_SET/in", "x")


def test_recorded_images_take_their_places_in_the_mixture() -> None:
    noise = parse_confounder("gaussian_noise:1,clip=false", "x")
    recorded = Recorded("pairs:mine", Patches([places(20, 20)], 16))
    clean = torch.full((200, 3, 16, 16), 0.5)
    batch = mixture([noise, recorded], clean, generator(0))
    own = (batch.clean[:, 2] * 255).round().flatten(1).eq(7).all(dim=1)
    assert 60 < int(own.sum()) < 140
    assert torch.equal(own, (batch.distorted[:, 2] * 255).round().flatten(1).eq(9).all(dim=1))
    assert torch.equal(batch.clean[~own], clean[~own])


@pytest.fixture
def rainy(tmp_path: Path) -> Path:
    """Protocol, training pairs and test pairs of two other sets."""
    levels = {"seen": ["gaussian_noise:10", "pairs:mine"], "held_out": ["gaussian_noise:15"], "unseen": ["pairs:other"]}
    text = dump({"name": "rainy", "version": 1, "about": "a test", **levels})
    (tmp_path / "rainy.yaml").write_text(text)
    photographs(tmp_path / "clean", "a.png", "b.png", "c.png")
    photographs(tmp_path / "rain", "a.png", "b.png", "c.png")
    photographs(tmp_path / "test" / "in", "x.png", size=(30, 26))
    target = photographs(tmp_path / "test" / "out", "x.png", size=(30, 26)) / "x.png"
    Image.open(target).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(target)  # no photograph that is trained on
    return tmp_path


def words(rainy: Path) -> list[object]:
    return [*TINY, "--protocol", rainy / "rainy.yaml", "--pairs", f"mine={rainy / 'rain'}:{rainy / 'clean'}"]


@pytest.mark.slow
@pytest.mark.usefixtures("whole_page")
def test_a_study_of_pairs_trains_on_some_and_tests_on_others(unseen: CommandLine, rainy: Path) -> None:
    other = f"other={rainy / 'test' / 'in'}:{rainy / 'test' / 'out'}"
    unseen(
        "compare",
        *words(rainy),
        "--test",
        other,
        "embedded",
        "--crop",
        "24",
        "--methods",
        "erm",
        "dil_sf",
        "--out",
        rainy / "s",
    )
    rows = json_lines(rainy / "s" / "results.jsonl")
    assert {(row["split"], row["distortion"], row["degree"], row["dataset"]) for row in rows} == {
        ("seen", "gaussian_noise", 10.0, "embedded"),
        ("held-out", "gaussian_noise", 15.0, "embedded"),
        ("unseen", "pairs", "other", "other"),
    }
    assert "data:image/" in (rainy / "s" / "report.html").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--pairs", "mien={RAIN}:{CLEAN}"], "(did you mean 'mine'?)"),
        (["--test", "embedded"], "test: nothing unseen of rainy is among the tests; give --test other=INPUT_DIR"),
        (
            ["--test", "third={IN}:{OUT}"],
            "test: third is of recorded pairs, and rainy has pairs for mine, other alone (did you mean 'other'?)",
        ),
        (["--methods", "ceiling", "--test", "other={IN}:{OUT}"], "pairs: other is trained on; give --pairs other="),
        (["--test", "other={RAIN}:{CLEAN}"], "is the training photograph"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(changes: list[str], message: str, unseen: CommandLine, rainy: Path) -> None:
    folders = {"IN": "test/in", "OUT": "test/out", "RAIN": "rain", "CLEAN": "clean"}
    changes = [word.format(**{name: rainy / folder for name, folder in folders.items()}) for word in changes]
    assert message in unseen.refusal("compare", *words(rainy), "--methods", "erm", *changes, "--out", rainy / "s")


def test_the_ceiling_trains_on_pairs_that_the_others_do_not_see(unseen: CommandLine, rainy: Path) -> None:
    photographs(rainy / "more" / "in", "u.png", "v.png", size=(26, 30))
    photographs(rainy / "more" / "out", "u.png", "v.png", size=(26, 30))
    for path in (rainy / "more" / "out").iterdir():
        Image.open(path).transpose(Image.Transpose.ROTATE_180).save(path)
    pairs = [f"mine={rainy / 'rain'}:{rainy / 'clean'}", f"other={rainy / 'more' / 'in'}:{rainy / 'more' / 'out'}"]
    words = [*TINY, "--protocol", rainy / "rainy.yaml", "--methods", "erm", "ceiling", "--out", rainy / "s"]
    unseen("compare", *words, "--pairs", *pairs, "--test", f"other={rainy / 'test' / 'in'}:{rainy / 'test' / 'out'}")
    rows = json_lines(rainy / "s" / "results.jsonl")
    assert len({row["data"] for row in rows if row["method"] == "erm"}) == 1
    assert {row["data"] for row in rows if row["method"] == "erm"}.isdisjoint(
        row["data"] for row in rows if row["method"] == "ceiling"
    )


def test_pairs_that_are_not_given_are_asked_for(unseen: CommandLine, rainy: Path) -> None:
    refusal = unseen.refusal("train", *TINY, "--protocol", rainy / "rainy.yaml", "--out", rainy / "run")
    assert refusal == "pairs: mine is trained on; give --pairs mine=INPUT_DIR:TARGET_DIR"


@pytest.mark.slow
def test_a_network_that_enlarges_and_one_that_keeps_sizes(unseen: CommandLine, tests: Path, tmp_path: Path) -> None:
    levels = {
        "seen": ["downsample:2,area"],
        "held_out": ["downsample:2,bilinear"],
        "unseen": ["downsample:2,matlab > jpeg:50"],
    }
    protocol = tmp_path / "sr.yaml"
    protocol.write_text(dump({"name": "sr", "version": 1, "about": "a test", "scale": 2, **levels}))
    study = ["compare", *TINY, "--protocol", protocol, "--test", f"q={tests}", "--methods", "dil_ps"]
    refusal = unseen.refusal(*study, "--out", tmp_path / "a")
    assert "the network makes (2, 3, 8, 8) of images (2, 3, 16, 16)" in refusal
    found = {}
    for name, extra in (
        ("x2", ["--backbone", "rrdb:features=4,growth=2,blocks=1,scale=2"]),
        ("x1", ["--enlarge", "true"]),
    ):
        unseen(*study, *extra, "--out", tmp_path / name)
        found[name] = json_lines(tmp_path / name / "results.jsonl")
    inputs = [[row["input_psnr"] for row in rows] for rows in found.values()]
    assert inputs[0] == pytest.approx(inputs[1], abs=0.2)  # the same distorted images, but for rounding
    assert {row["protocol_hash"] for row in found["x1"]}.isdisjoint(row["protocol_hash"] for row in found["x2"])
    told = unseen(
        "evaluate",
        tmp_path / "x1" / "dil_ps-0",
        "--protocol",
        protocol,
        "--test",
        f"q={tests}",
        "--out",
        tmp_path / "e",
    )
    assert [row["psnr"] for row in json_lines(tmp_path / "e" / "results.jsonl")] == [
        row["psnr"] for row in found["x1"]
    ], told


@pytest.mark.parametrize("size", [(41, 47), (30, 22)])
def test_images_of_any_size_are_enlarged(size: tuple[int, int], unseen: CommandLine, tmp_path: Path) -> None:
    """Training, validation and test images whose sides are no multiples of the scale."""
    levels = {
        "seen": ["downsample:4,area"],
        "held_out": ["downsample:4,bilinear"],
        "unseen": ["downsample:4 > jpeg:50"],
    }
    protocol = tmp_path / "sr.yaml"
    protocol.write_text(dump({"name": "sr", "version": 1, "about": "a test", "scale": 4, **levels}))
    train = photographs(tmp_path / "train", "a.png", "b.png", "c.png", size=size)
    photographs(tmp_path / "test", "d.png", "e.png", "f.png", "g.png", size=size)
    for path in [tmp_path / "test" / name for name in ("d.png", "e.png", "f.png")]:
        path.unlink()  # what is drawn first is what was trained on
    words = ["compare", *TINY, "--protocol", protocol, "--data", train, "--test", f"q={tmp_path / 'test'}"]
    unseen(*words, "--methods", "erm", "--enlarge", "true", "--out", tmp_path / "out")
    assert len(json_lines(tmp_path / "out" / "results.jsonl")) == 3
    for option in ("crop", "patch"):
        refusal = unseen.refusal(*words, "--enlarge", "true", f"--{option}", "18", "--out", tmp_path / "other")
        assert refusal == f"{option}: 18 is no multiple of 4, the scale of sr"


def test_a_network_of_another_scale_than_the_protocol_is_told(unseen: CommandLine, tests: Path, tmp_path: Path) -> None:
    unseen("train", *TINY, "--out", tmp_path / "run")
    levels = {
        "seen": ["downsample:2,area"],
        "held_out": ["downsample:2,bilinear"],
        "unseen": ["downsample:2 > jpeg:50"],
    }
    protocol = tmp_path / "sr.yaml"
    protocol.write_text(dump({"name": "sr", "version": 1, "about": "a test", "scale": 2, **levels}))
    words = ["evaluate", tmp_path / "run", "--protocol", protocol, "--test", f"q={tests}", "--out", tmp_path / "a"]
    assert "the network makes 11×10 pixels of 11×10, and the protocol wants 22×20" in unseen.refusal(*words)


def test_a_clean_picture_that_is_not_cut_to_the_scale_is_cut_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = places(101, 142).pixels
    small = gray(50, 71)
    inputs = write(tmp_path / "in", a=small, b=gray(33, 47), c=gray(49, 71))
    targets = write(tmp_path / "out", a=clean, b=clean, c=clean)
    photos, skipped = load_pairs(inputs, targets)
    assert [(photo.name, photo.pixels.shape[:2], photo.scale) for photo in photos] == [
        ("a.png", (100, 142), 2), ("b.png", (99, 141), 3),
    ]  # fmt: skip
    assert np.array_equal(photos[0].pixels, clean[:100])
    assert [file.name for file in skipped] == ["c.png"]
    assert "2 clean pictures are cut to a multiple of the input, as papers do (first: that of a.png)" in (
        capsys.readouterr().err
    )


def test_inputs_that_cut_one_target_differently_share_a_window(tmp_path: Path) -> None:
    clean = places(101, 143).pixels
    inputs = write(tmp_path / "in", a_2=gray(50, 71), a_3=gray(33, 47))
    targets = write(tmp_path / "out", a=clean)
    photos, _ = load_pairs(inputs, targets, memory=3 * 3 * 70 * 70)
    assert [photo.pixels.shape for photo in photos] == [photos[0].pixels.shape] * 2
    for photo in photos:
        assert photo.recorded is not None
        assert [side * photo.scale for side in photo.recorded.shape[:2]] == list(photo.pixels.shape[:2])


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        ("a:b", ("a", "b")), ("C:\\x:D:\\y", ("C:\\x", "D:\\y")), ("C:/x:D:/y", ("C:/x", "D:/y")),
        ('"a:1":b', ("a:1", "b")), ('a:"b:2"', ("a", "b:2")), ('"a:1":"b:2"', ("a:1", "b:2")), ("a:/b", ("a", "/b")),
    ],
)  # fmt: skip
def test_colons_within_folders_are_told_apart(folders: str, expected: tuple[str, str]) -> None:
    assert parse_pairs_source(f"rain={folders}", "test") == ("rain", Path(expected[0]), Path(expected[1]))


def test_folders_that_are_there_say_where_the_colon_is(tmp_path: Path) -> None:
    (tmp_path / "a:1").mkdir()
    (tmp_path / "b").mkdir()
    assert parse_pairs_source(f"rain={tmp_path}/a:1:{tmp_path}/b", "test")[1:] == (tmp_path / "a:1", tmp_path / "b")
