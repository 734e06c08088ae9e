"""The choice of the photographs that the shipped denoiser learns from, and the page that names their authors."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "studies"))

import free_photos  # noqa: E402

COLUMNS = "file\tsource\toriginal\tauthor\tlicence\twidth\theight\testimated_sigma\tkind"
HOSTILE = "<script>alert(1)</script> | [x](javascript:1) `*_\u202eBjørn\u2028\x07&amp; Ann <ann@example.org>"
LINES = [
    "a.jpg\tgithub me/mine@0123abc\tb/First_light.jpg\tAnn <ann@example.org>\tCC0\t9\t9\t0.5\t",
    "b.jpg\tgithub me/mine@0123abc\tx/Grey/contents/images/2560x1600.jpg\tAnn <ann@example.org>\tCC0\t9\t9\t1.4\t",
    f"c.jpg\tDebian 12 some_package 1.0\tc.png\t{HOSTILE}\tGPL-2+ | *any*\t9\t9\t0\t",
    "d.jpg\tgithub me/mine@0123abc\td.jpg\t \tCC-BY-4.0\t9\t9\t1.0\t",
    "textured.jpg\tgithub me/mine@0123abc\tt.jpg\tBob\tCC0\t9\t9\t1.41\ttextured",
    "noisy.jpg\tgithub me/mine@0123abc\tn.jpg\tBea\tCC0\t9\t9\t3.01\t",
    f"{free_photos.LEFT_OUT[0]}\tgithub me/mine@0123abc\tn.jpg\tBea\tCC0\t9\t9\t0\t",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "free").mkdir()
    (tmp_path / "free" / "manifest.tsv").write_text("\n".join([COLUMNS, *LINES]) + "\n", encoding="utf-8")
    for line in LINES:
        name = line.partition("\t")[0]
        Image.new("RGB", (40, 20), (len(name), 0, 0)).save(tmp_path / "free" / name)
    return tmp_path / "free"


def made(monkeypatch: pytest.MonkeyPatch, folder: Path, *more: str) -> tuple[list[str], str]:
    """The clean files and the page of credits."""
    out, page = folder.parent / "chosen", folder.parent / "credits.md"
    monkeypatch.setattr(sys, "argv", ["free_photos", str(folder), str(out), "--credits", str(page), *more])
    free_photos.main()
    return sorted(path.name for path in (out / "clean").iterdir()), page.read_text(encoding="utf-8")


def test_clean_photographs_are_linked_and_their_authors_named(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    names, page = made(monkeypatch, folder)
    assert names == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    chosen = folder.parent / "chosen"
    assert (chosen / "clean" / "a.jpg").read_bytes() == (folder / "a.jpg").read_bytes()
    assert sorted(path.name for path in (chosen / "kept").iterdir()) == [*names, "textured.jpg"]
    coded = {path.name: path.read_bytes() for path in (chosen / "coded").iterdir()}
    assert sorted(coded) == [f"{Path(name).stem}_coded.jpg" for name in [*names, "textured.jpg"]]
    with Image.open(chosen / "coded" / "a_coded.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (28, 14))
    recoloured = {path.name: path.read_bytes() for path in (chosen / "recoloured").iterdir()}
    assert sorted(recoloured) == ["a_gray.png", "b_vivid.png", "d_gray.png"]
    with Image.open(chosen / "recoloured" / "a_gray.png") as gray, Image.open(folder / "a.jpg") as photograph:
        assert (gray.mode, gray.size) == ("RGB", (28, 14))
        assert gray.getpixel((3, 3)) == (photograph.convert("L").getpixel((3, 3)),) * 3
    with Image.open(chosen / "recoloured" / "b_vivid.png") as vivid:
        red, green, blue = vivid.getpixel((3, 3))  # type: ignore[misc]
        assert red > 3 * len("b.jpg")  # JPEG keeps little of so weak a red
        assert green == blue == 0
    assert "| Ann | First light; Grey | CC0 |" in page
    assert "| *me/mine* | d | CC-BY-4.0 |" in page
    assert "Of 1 no source names the author" in page
    assert "From <https://github.com/me/mine>, commit 0123abc: 4 of the photographs." in page
    assert "Bob" in page
    assert "Bea" not in page
    assert made(monkeypatch, folder) == (names, page)
    assert {path.name: path.read_bytes() for path in (chosen / "coded").iterdir()} == coded
    assert {path.name: path.read_bytes() for path in (chosen / "recoloured").iterdir()} == recoloured


def test_names_of_a_manifest_are_text_and_no_markup(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    _, page = made(monkeypatch, folder)
    (row,) = [line for line in page.split("\n") if "Bjørn" in line]
    assert row.count("|") == 4  # the walls of its three cells
    assert not set(row) & set("<>[]`*_\u202e\u2028\x07")
    assert "&#60;script&#62;alert(1)&#60;/script&#62;" in row
    assert "example" not in row


def test_a_folder_with_other_files_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    out = folder.parent / "chosen" / "clean"
    out.mkdir(parents=True)
    (out / "mine.jpg").write_text("mine")
    with pytest.raises(SystemExit, match=r"holds 'mine.jpg', which is no photograph of"):
        made(monkeypatch, folder)
    assert [path.name for path in out.iterdir()] == ["mine.jpg"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("../e.jpg\ts\to\ta\tl\t9\t9\t0\t", "expected a name without folders"),
        ("e.jpg\ts\to\ta\tl\t9\t9\tlow\t", "estimated_sigma: 'e.jpg': no number"),
        ("e.jpg\ts\to\ta\tl\t9\t9\t0\t", "No such file"),
    ],
)
def test_what_a_manifest_cannot_mean_is_refused(
    monkeypatch: pytest.MonkeyPatch, folder: Path, line: str, message: str
) -> None:
    (folder / "manifest.tsv").write_text(f"{COLUMNS}\n{line}\n")
    with pytest.raises(SystemExit, match=message):
        made(monkeypatch, folder)
