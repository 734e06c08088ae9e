"""`unseen restore`: files, folders and patterns in; the same restored out; and what is spared."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch
from PIL import Image
from support.commandline import leftovers, photographs
from support.limits import file_size_limit
from support.restoring import SINGLE, Restore, by_hand, files, pixels

from unseen.models.loading import Model
from unseen.models.receptive_field import ReceptiveField
from unseen.restoration.batch import RestoreOptions, restore_files
from unseen.restoration.planning import plan_restoration
from unseen.restoration.restorer import Restorer
from unseen.restoration.tiles import Tiling

RUN = [sys.executable, "-c", "import sys; from unseen.cli.main import main; sys.exit(main())", "restore"]


# ------------------------------------------------------------------------------------------ what is written


def test_a_folder_is_restored_with_its_tree_and_formats(restore: Restore, tree: Path, tmp_path: Path) -> None:
    told = restore(tree, "-o", tmp_path / "out")
    assert told.out == f"{tmp_path / 'out'}: 5 restored\n"
    assert files(tmp_path / "out") == files(tree)
    for name in ("a.png", "b.png", "deep/er/e.png"):
        assert np.array_equal(pixels(tmp_path / "out" / name), by_hand(restore.model, tree / name)), name
    assert Image.open(tmp_path / "out" / "c.jpg").format == "JPEG"
    assert Image.open(tmp_path / "out" / "deep" / "er" / "d.webp").format == "WEBP"
    assert leftovers(tmp_path) == []


def test_tiles_make_the_same_as_the_whole(restore: Restore, tmp_path: Path) -> None:
    folder = photographs(tmp_path / "photos", "a.png", size=(61, 83))
    restore(folder, "-o", tmp_path / "out", "--tile", 16)
    apart = pixels(tmp_path / "out" / "a.png").astype(int) - by_hand(restore.model, folder / "a.png")
    assert np.abs(apart).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1)])
def test_images_of_one_pixel_or_one_row_are_restored(restore: Restore, tmp_path: Path, size: tuple[int, int]) -> None:
    folder = photographs(tmp_path / "photos", "a.png", size=size)
    restore(folder, "-o", tmp_path / "out", "--tile", 16)
    assert pixels(tmp_path / "out" / "a.png").shape == (*size, 3)


def test_patterns_files_and_folders_may_be_given_together(restore: Restore, tree: Path, tmp_path: Path) -> None:
    told = restore(tree / "*.png", tree / "a.png", tree / "deep", "-o", tmp_path / "out")
    assert "4 restored" in told.out
    assert files(tmp_path / "out") == ["a.png", "b.png", "er/d.webp", "er/e.png"]


def test_a_single_file_may_be_given_a_name(restore: Restore, tree: Path, tmp_path: Path) -> None:
    restore(tree / "a.png", "-o", tmp_path / "clean.tif")
    assert Image.open(tmp_path / "clean.tif").format == "TIFF"
    assert np.array_equal(pixels(tmp_path / "clean.tif"), by_hand(restore.model, tree / "a.png"))
    line = restore.refusal(tree / "a.png", "-o", tmp_path / "clean.tif", "--format", "png")
    assert line == "format: png, but --out ends in .tif; leave one of them out"


def test_another_format_is_written_on_request(restore: Restore, tree: Path, tmp_path: Path) -> None:
    shutil.copy(tree / "a.png", tree / "a.webp")  # wrong suffix: the content counts for reading
    restore(tree, "-o", tmp_path / "out", "--format", "tiff")
    assert files(tmp_path / "out") == ["a.png.tif", "a.webp.tif", "b.tif", "c.tif", "deep/er/d.tif", "deep/er/e.tif"]


def test_file_times_are_kept_on_request(restore: Restore, tree: Path, tmp_path: Path) -> None:
    os.utime(tree / "a.png", (10**9, 10**9))
    restore(tree / "a.png", "-o", tmp_path / "now")
    restore(tree / "a.png", "-o", tmp_path / "then", "--keep-times")
    assert (tmp_path / "now" / "a.png").stat().st_mtime > 1.5e9
    assert (tmp_path / "then" / "a.png").stat().st_mtime == 1e9


def test_pages_are_refused_or_restored_one_by_one(restore: Restore, tmp_path: Path) -> None:
    pages = [Image.new("RGB", (20 + i, 10), (90 * i, 40, 200)) for i in range(3)]
    (tmp_path / "in").mkdir()
    pages[0].save(tmp_path / "in" / "scan.tif", save_all=True, append_images=pages[1:])
    assert "3 pages" in restore(tmp_path / "in", "-o", tmp_path / "out", code=2).err
    restore(tmp_path / "in", "-o", tmp_path / "out", "--pages")
    assert files(tmp_path / "out") == ["scan-p0001.tif", "scan-p0002.tif", "scan-p0003.tif"]
    assert [Image.open(path).width for path in sorted((tmp_path / "out").iterdir())] == [20, 21, 22]


# ------------------------------------------------------------------------------------------ what is spared


def test_outputs_that_are_there_are_left_alone(restore: Restore, tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    restore(tree / "a.png", "-o", out)
    (out / "b.png").write_text("mine")
    told = restore(tree, "-o", out)
    assert told.out == f"{out}: 3 restored, 2 there already (--overwrite restores them again)\n"
    assert (out / "b.png").read_text() == "mine"
    restore(tree, "-o", out, "--overwrite")
    assert np.array_equal(pixels(out / "b.png"), by_hand(restore.model, tree / "b.png"))


def test_an_input_is_never_written_over(restore: Restore, tree: Path, tmp_path: Path) -> None:
    before = {name: (tree / name).read_bytes() for name in files(tree)}
    (tmp_path / "linked").symlink_to(tree)
    os.link(tree / "a.png", tmp_path / "hard.png")
    for words in (
        (tree, "-o", tree),
        (tree, "-o", tree / "new"),
        (tree, "-o", tmp_path / "linked" / "new"),
        (tree / "a.png", "-o", tree),
        (tree / "a.png", "-o", tree / "a.png"),
        (tree / "a.png", "-o", tmp_path / "hard.png"),
        (tree / "a.png", "-o", tmp_path / "linked"),
    ):
        assert "give another --out" in restore.refusal(*words, "--overwrite"), words
    assert {name: (tree / name).read_bytes() for name in files(tree)} == before
    assert (tmp_path / "hard.png").read_bytes() == before["a.png"]


def test_one_bad_file_costs_a_line_and_exit_code_1(restore: Restore, tree: Path, tmp_path: Path) -> None:
    (tree / "deep" / "broken\nfailed: everything.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    (tree / "text.jpg").write_text("no picture")
    (tree / "empty.png").touch()
    whole = (tree / "b.png").read_bytes()
    (tree / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tree / "dangling.png").symlink_to(tree / "nowhere")
    (tree / "loop").symlink_to(tree)
    told = restore(tree, tree / "missing.png", "-o", tmp_path / "out", code=1)
    assert told.out == f"{tmp_path / 'out'}: 5 restored, 6 failed\n"
    lines = [line for line in told.err.splitlines() if line.startswith("failed ")]
    assert len(lines) == 6
    assert any(line.startswith(r"failed deep/broken\nfailed: everything.png: ") for line in lines)
    for name in ("text.jpg", "empty.png", "cut.png", "dangling.png", "missing.png"):
        assert any(name in line for line in lines), name
    assert files(tmp_path / "out") == ["a.png", "b.png", "c.jpg", "deep/er/d.webp", "deep/er/e.png"]
    assert leftovers(tmp_path) == []


def test_nothing_that_can_be_done_is_exit_code_2(restore: Restore, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    assert "failed text.png: " in restore(tmp_path / "text.png", "-o", tmp_path / "out", code=2).err
    assert "matches nothing" in restore(tmp_path / "none*.png", "-o", tmp_path / "out", code=2).err
    assert restore.refusal(tmp_path / "text.png") == "out: none given; say where restored files go, -o FOLDER"
    assert not (tmp_path / "out").exists()


def test_a_decompression_bomb_is_a_line(restore: Restore, tmp_path: Path) -> None:
    from zlib import compress, crc32

    def chunk(name: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + name + data + crc32(name + data).to_bytes(4, "big")

    header = (60_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", compress(bytes(9999))) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(data)
    assert "bomb" in restore(tmp_path / "bomb.png", "-o", tmp_path / "out", code=2).err


def test_a_file_that_cannot_be_written_costs_a_line(restore: Restore, tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: the same call of the system fails, with another number."""
    folder = photographs(tmp_path / "photos", "a.png", size=(30, 30))
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)
    Image.fromarray(noise).save(folder / "b.png")
    with file_size_limit(60_000):
        result = restore(folder, "-o", tmp_path / "out", code=1)
    assert "Traceback" not in result.err
    assert [line for line in result.err.splitlines() if "b.png" in line and "cannot be written" in line]
    assert files(tmp_path / "out") == ["a.png"]


def test_a_full_disk_ends_the_run(restore: Restore, tmp_path: Path) -> None:
    """What fits is kept, what does not fit leaves nothing behind, and the rest is not tried in vain."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(disk)], capture_output=True)
    if mount.returncode:
        pytest.skip("only root may mount a small disk")
    try:
        (tmp_path / "photos").mkdir()
        draws = np.random.default_rng(0)
        for i in range(4):  # some 270 kB each, as much again while it is written, and of sizes of their own
            noise = draws.integers(0, 255, (300, 300 + i, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / "photos" / f"{i}.png")
        told = restore(tmp_path / "photos", "-o", disk / "out", code=1)
        assert told.out == f"{disk / 'out'}: 1 restored, 1 failed, 2 not tried\n"
        assert "1.png: cannot be written: No space left on device" in told.err
        assert files(disk) == ["out/0.png"]
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)  # decoders may hold on to it


def test_a_place_that_cannot_be_written_is_refused_at_once(restore: Restore, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be written" in restore.refusal(tree, "-o", tmp_path / "file" / "out")


@pytest.mark.slow
def test_an_interrupted_run_leaves_whole_files_and_goes_on(restore: Restore, tmp_path: Path) -> None:
    folder = photographs(tmp_path / "photos", *(f"{i}.png" for i in range(6)), size=(400, 400))
    words = [str(folder), "-o", str(tmp_path / "out"), "--tile", "16"]
    command = [*RUN, *words, "--model", str(restore.model), *SINGLE]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "out" / "0.png").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "interrupted: the same command goes on with the rest" in out
    done = files(tmp_path / "out")
    assert 0 < len(done) < 6
    assert leftovers(tmp_path) == []
    assert f"{6 - len(done)} restored, {len(done)} there already" in restore(*words).out
    for name in files(folder):
        apart = pixels(tmp_path / "out" / name).astype(int) - by_hand(restore.model, folder / name)
        assert np.abs(apart).max() <= 1


def test_pages_replace_neither_an_input_nor_each_other(restore: Restore, tmp_path: Path) -> None:
    pages = [Image.new("RGB", (20, 10), (90 * i, 40, 200)) for i in range(2)]
    deep = tmp_path / "tree" / "tree"
    deep.mkdir(parents=True)
    pages[0].save(deep / "a.tif", save_all=True, append_images=pages[1:])
    pages[0].save(deep.parent / "a-p0001.tif")
    before = (deep.parent / "a-p0001.tif").read_bytes()
    told = restore(deep.parent, "-o", tmp_path, "--pages", "--overwrite", code=1)
    assert "is a photograph itself, and would be replaced" in told.err
    assert (deep.parent / "a-p0001.tif").read_bytes() == before
    told = restore(deep, deep.parent / "a-p0001.tif", "-o", tmp_path / "out", "--pages", code=1)
    assert "2 restored, 1 failed" in told.out
    assert "another photograph is written to" in told.err


def test_several_folders_and_patterns_keep_their_trees(restore: Restore, tmp_path: Path) -> None:
    for name in ("one", "two"):
        photographs(tmp_path / name, "a.png")
        photographs(tmp_path / name / "deep", "b.png")
    restore(tmp_path / "one", tmp_path / "two", "-o", tmp_path / "out")
    assert files(tmp_path / "out") == ["one/a.png", "one/deep/b.png", "two/a.png", "two/deep/b.png"]
    restore(tmp_path / "*" / "deep" / "*.png", "-o", tmp_path / "again")
    assert files(tmp_path / "again") == ["one/deep/b.png", "two/deep/b.png"]


def test_one_file_by_two_spellings_is_one(restore: Restore, tree: Path, tmp_path: Path) -> None:
    told = restore(tree / "a.png", tree / ".." / tree.name / "a.png", "-o", tmp_path / "out")
    assert "1 restored" in told.out


def test_names_as_long_as_a_file_system_takes(restore: Restore, tmp_path: Path) -> None:
    folder = photographs(tmp_path / "photos", "x" * 250 + ".png")
    restore(folder, "-o", tmp_path / "out")
    assert files(tmp_path / "out") == files(folder)
    assert "no such file" in restore("y" * 300, "-o", tmp_path / "out", code=2).err
    assert restore.refusal("", "-o", tmp_path / "out").startswith("photo: an empty name")


def test_a_misnamed_file_keeps_its_format_and_its_name(restore: Restore, tree: Path, tmp_path: Path) -> None:
    (tree / "a.png").rename(tree / "m.jpg")
    restore(tree / "m.jpg", "-o", tmp_path / "out")
    assert Image.open(tmp_path / "out" / "m.jpg").format == "PNG"


def test_a_network_that_fails_costs_the_photograph_alone(tmp_path: Path) -> None:
    def only_small(images: torch.Tensor) -> torch.Tensor:
        if images.shape[-1] > 30:
            raise IndexError("too wide")
        return images

    folder = photographs(tmp_path / "photos", "a.png", "b.png", size=(20, 20))
    photographs(folder / "wide", "c.png", size=(20, 40))
    planned = plan_restoration([str(folder)], tmp_path / "out", "input")
    how = RestoreOptions(Model("mine", only_small, ReceptiveField(1)), Tiling(64, 1))
    outcome = restore_files(planned.jobs, planned.folder, how, Event())
    assert len(outcome.restored) == 2
    assert [(failure.name, failure.reason) for failure in outcome.failed] == [
        ("wide/c.png", "mine fails on it: IndexError: too wide")
    ]


def test_bfloat16_is_another_result_in_a_command_and_the_same_in_a_program(restore: Restore, tmp_path: Path) -> None:
    photograph = photographs(tmp_path / "photos", "a.png", size=(40, 48)) / "a.png"
    image = np.asarray(Image.open(photograph).convert("RGB"))
    outputs = {}
    for precision in ("fp32", "auto", "bf16"):
        restore(photograph, "-o", tmp_path / precision, "--precision", precision, "--report")
        outputs[precision] = np.asarray(Image.open(tmp_path / precision / "a.png"))
        page = (tmp_path / precision / "report.html").read_text()
        assert ("in bfloat16" in page) == (precision == "bf16")
        loaded = Restorer.load(str(restore.model), device="cpu", precision=precision)
        assert np.array_equal(loaded.restore(image), outputs[precision])
    assert np.array_equal(outputs["auto"], outputs["fp32"])  # its card tells nothing of bfloat16
    difference = np.abs(outputs["bf16"].astype(int) - outputs["fp32"])
    assert 0 < difference.max() <= 3


def test_a_precision_that_there_is_not_is_refused(restore: Restore, tree: Path, tmp_path: Path) -> None:
    assert "precision" in restore.refusal(tree, "-o", tmp_path / "out", "--precision", "fp16")


# ------------------------------------------------------------------------------------------ how much it takes


@pytest.mark.slow
def test_25_megapixels_within_3_gib(restore: Restore, tmp_path: Path) -> None:
    side = 5000
    draws = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    Image.fromarray(draws.integers(0, 255, (side, side, 3), np.uint8)).save(
        tmp_path / "in" / "large.png", compress_level=1
    )
    measuring = (
        "import resource, sys, unseen; from unseen.cli.main import main; unseen.keep_freed_memory(); code = main(); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(code)"
    )
    words = [sys.executable, "-c", measuring, "restore", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    words += ["--model", str(restore.model), *SINGLE]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=280)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout.split()[-1]) / 2**20 < 3
    with Image.open(tmp_path / "out" / "large.png") as image:
        assert image.size == (side, side)


def test_equal_sizes_are_restored_together_and_come_out_as_alone(restore: Restore, tmp_path: Path) -> None:
    names = [f"{i}.png" for i in range(70)]
    folder = photographs(tmp_path / "photos", *names, size=(12, 14))
    restore(folder, "-o", tmp_path / "out")
    for name in names:
        apart = pixels(tmp_path / "out" / name).astype(int) - by_hand(restore.model, folder / name)
        assert np.abs(apart).max() <= 1, name
    assert math.isfinite(pixels(tmp_path / "out" / "0.png").mean())
