"""The photographs that the shipped denoiser learns from, by their own noise, and their credits.

    python studies/free_photos.py "$UNSEEN_TEST_DATA/train/free" runs/shipped/photos

makes four folders to train on, by the noise that the folder's manifest.tsv states: clean (links to the photographs of
at most 1.4 gray levels), kept (links to those of at most 3), coded (the same, smaller and as JPEG files, as people keep
their photographs) and recoloured (half of the same, smaller: most without colour, some with as much as there can be);
and docs/credits.md, which names author, licence and source of each. All are the same after a second call.
docs/datasets.md says what the photographs are.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pages import table
from PIL import Image, ImageEnhance

from unseen.core.atomic import write_text
from unseen.core.errors import UserError
from unseen.core.grouping import grouped
from unseen.data.manifest import MANIFEST, manifest_rows

PAGE = Path(__file__).parents[1] / "docs" / "credits.md"

CLEAN, KEPT = 1.4, 3.0
"""Gray levels of 255: what a photograph may have of noise of its own, by the column `estimated_sigma`.

Estimated by wavelets, in which much of the fine texture of a photograph of above some two levels counts as noise."""

LEFT_OUT = (
    "deb_python3-skimage_1216_coffee.jpg",
    "deb_python3-skimage_1217_astronaut.jpg",
    "cid22_0944_333963.jpg",
    "pop_0637_parky_tree.jpg",
    "deb_lxqt-themes_1140_this_is_not_windows.jpg",
    "budgie_0384_colorful_wall.jpg",
    "ubuntu_0245_Aeg_by_Tauno_Erik.jpg",
)
"""Photographs that are never trained on: two that the package tests on, and those of docs/results/restorer.md."""

SMALLER = 2**0.5
"""Factor by which photographs are shrunk before they are coded, so that traces of their own JPEG are none of these."""

VIVID = 6.0
"""How much colour vivid photographs have, as a multiple: channels reach 0 and 255, of which photographs have little."""

QUALITIES = (80, 95)
"""The qualities of JPEG, colour at half resolution, of which one is drawn for each photograph by its name."""

NEEDED = ("file", "source", "original", "author", "licence", "estimated_sigma")
"""Columns of the manifest."""

CORRECTED = {
    "ubuntu_0255_matt_mcnulty_nyc_2nd_ave.jpg": "Matt McNulty",
    "ubuntu_0280_ryan_stone_skykomish_river.jpg": "Ryan Stone",
    "ubuntu_0303_brad_huchteman_stone_mountain.jpg": "Brad Huchteman",
    "ubuntu_0333_CurlsbyCandy.jpg": "Candy",
    "ubuntu_0284_larung_gar_by_night_by_Geza_Radics.jpg": "Geza Radics",
    "fedora_0529_hhlp_zen3.jpg": "hhlp",
    "fedora_0537_zen.jpg": "hhlp",
    "elementary_0409_Sunset_by_the_Pier.jpg": "",
    "elementary_0451_photo_1452953008873_ae5837174535.jpg": "",
    "elementary_0459_Photo_by_SpaceX.jpg": "SpaceX",
}
"""Authors of files where the manifest leaves out a name that stands in the file's name, or takes a title for a name."""

_REPOSITORY = re.compile(r"github ([\w.-]+/[\w.-]+)@([0-9a-f]+)")

_HEADER = """# Credits of the photographs

<!-- Made by studies/free_photos.py from the manifest of the photographs: change that in place of this. -->

The denoiser that the package ships learns from {count} photographs under open licences. This page names their
authors, their licences and where they are from, as their sources state it. The photographs themselves are no part of
this repository. What was changed: they were reduced to half a megapixel at most, and are shrunk and coded for training;
[datasets.md](datasets.md#free-photographs) says how they were chosen.

Of {unnamed} no source names the author: the project that published them stands in the author's place, *in italics*. The
photographs of CID22 are from Pexels; Cloudinary published them without their photographers, by these numbers.

{licences}
"""


class Photograph(NamedTuple):
    """A photograph, as its credit names it.

    Attributes:
        file: the name of its file.
        source: the project that published it, with the version.
        title: its name at the source.
        author: its author; empty where nothing names one.
        licence: its licence.
        noise: its own noise, gray levels of 255.
    """

    file: str
    source: str
    title: str
    author: str
    licence: str
    noise: float


def clean_photographs(folder: Path, noise: float) -> list[Photograph]:
    """List the photographs of at most `noise` gray levels of their own, but those `LEFT_OUT`, in the manifest's order.

    Raises:
        UserError: the manifest lacks a column, holds no number where one is due, or names a file outside of the folder.
    """
    photographs = []
    for row in manifest_rows(folder):
        if missing := [name for name in NEEDED if name not in row]:
            raise UserError(f"{folder / MANIFEST}: has no column {missing[0]!r}")
        if Path(row["file"]).name != row["file"]:
            raise UserError(f"{folder / MANIFEST}: file: {row['file']!r:.200}: expected a name without folders")
        try:
            level = float(row["estimated_sigma"])
        except ValueError as error:
            raise UserError(f"{folder / MANIFEST}: estimated_sigma: {row['file']!r:.200}: no number") from error
        if level <= noise and row["file"] not in LEFT_OUT:
            author = CORRECTED.get(row["file"], row["author"].strip())
            photographs.append(
                Photograph(row["file"], row["source"], title_of(row["original"]), author, row["licence"], level)
            )
    return photographs


def title_of(original: str) -> str:
    """The title of a photograph by its path at the source; of KDE's, whose files are named by a size, by the folder."""
    path = PurePosixPath(original)
    name = path.parts[-4] if "contents" in path.parts[-3:-1] and len(path.parts) > 3 else path.stem
    return name.replace("_", " ")


def link_all(photographs: Sequence[Photograph], folder: Path, out: Path) -> None:
    """Make `out` hold the files of the photographs and nothing else, as links, or copies on another file system.

    Raises:
        UserError: `out` holds what this never put there.
    """
    out.mkdir(parents=True, exist_ok=True)
    names = {photograph.file for photograph in photographs}
    before = {path.name for path in out.iterdir()}
    if strays := before - {row["file"] for row in manifest_rows(folder)}:
        raise UserError(f"{out}: holds {min(strays)!r:.200}, which is no photograph of {folder}; give another folder")
    for name in before:
        (out / name).unlink()  # a file of that name may be another by now
    for name in sorted(names):
        try:
            os.link(folder / name, out / name)
        except OSError:
            shutil.copyfile(folder / name, out / name)


def code_all(photographs: Sequence[Photograph], folder: Path, out: Path) -> None:
    """Make `out` hold the photographs smaller, as JPEG files of any quality of `QUALITIES`."""
    for photograph, file in emptied(photographs, out, "_coded.jpg"):
        quality = random.Random(photograph.file).randint(*QUALITIES)
        smaller(folder / photograph.file).save(file, quality=quality, subsampling=2)


def recolour_all(photographs: Sequence[Photograph], folder: Path, out: Path) -> None:
    """Make `out` hold every third photograph smaller and without colour, and of every sixth the most vivid colours."""
    for photograph, file in emptied(photographs[::3], out, "_gray.png"):
        smaller(folder / photograph.file).convert("L").convert("RGB").save(file)
    for photograph, file in emptied(photographs[1::6], out, "_vivid.png"):
        ImageEnhance.Color(smaller(folder / photograph.file)).enhance(VIVID).save(file)


def smaller(file: Path) -> Image.Image:
    """The photograph of a file in RGB, shrunk by `SMALLER`."""
    with Image.open(file) as image:
        size = [round(side / SMALLER) for side in image.size]
        return image.convert("RGB").resize((size[0], size[1]), Image.Resampling.BICUBIC)


def emptied(photographs: Sequence[Photograph], out: Path, ending: str) -> Iterator[tuple[Photograph, Path]]:
    """Remove the files of `out` with an ending, and give each photograph the file of that ending that it is to have."""
    out.mkdir(parents=True, exist_ok=True)
    for stale in out.glob(f"*{ending}"):
        stale.unlink()
    for photograph in photographs:
        yield photograph, out / f"{Path(photograph.file).stem}{ending}"


def credits_page(photographs: Sequence[Photograph]) -> str:
    """The page that names author, licence and source of the photographs, by source."""
    licences = Counter(photograph.licence for photograph in photographs)
    counted = [[escaped(licence), str(count)] for licence, count in sorted(licences.items(), key=lambda c: (-c[1], c))]
    unnamed = sum(not photograph.author for photograph in photographs)
    parts = [
        _HEADER.format(count=len(photographs), unnamed=unnamed, licences=table(["licence", "photographs"], counted))
    ]
    by_source = grouped(photographs, lambda photograph: photograph.source)
    for source, published in sorted(by_source.items(), key=lambda item: (-len(item[1]), item[0])):
        cells = []
        shared = grouped(published, lambda photograph: (photograph.author, photograph.licence))
        for (author, licence), theirs in sorted(
            shared.items(), key=lambda item: (item[0][0] == "", *map(str.casefold, item[0]))
        ):
            titles = "; ".join(sorted(escaped(photograph.title) for photograph in theirs))
            cells.append([escaped(without_addresses(author)) or f"*{_project(source)}*", titles, escaped(licence)])
        parts.append(f"## {_project(source)}\n\n{_origin(source)}: {len(published)} of the photographs.\n")
        parts.append(table(["author", "photographs", "licence"], cells, words=3) + "\n")
    return "\n".join(parts)


def without_addresses(author: str) -> str:
    """An author's name without addresses of mail, which a credit does not need."""
    return " ".join(re.sub(r"<[^<>]*@[^<>]*>´?", "", author).split())


def escaped(text: str) -> str:
    """Text for a cell of a Markdown table: nothing in it is markup, a line's end, or turns the direction of writing."""
    visible = (" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    plain = " ".join("".join(visible).split())
    return "".join(c if c.isalnum() or c in " .,;'()/+-" else f"&#{ord(c)};" for c in plain)


def _project(source: str) -> str:
    match = _REPOSITORY.fullmatch(source)
    return escaped(match[1] if match else source)


def _origin(source: str) -> str:
    """Where a source is to be had, at its version."""
    match = _REPOSITORY.fullmatch(source)
    if match is None:
        return f"From the package {escaped(source)}"
    return f"From <https://github.com/{match[1]}>, commit {match[2]}"


def main() -> None:
    """Choose, link, and write the credits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help=f"the photographs, with their {MANIFEST}")
    parser.add_argument("out", type=Path, help="folder of the four; what a call before put there is replaced")
    parser.add_argument("--credits", type=Path, default=PAGE, help=f"the page of credits, {PAGE.name} if left out")
    options = parser.parse_args()
    try:
        photographs = clean_photographs(options.folder, KEPT)
        link_all([p for p in photographs if p.noise <= CLEAN], options.folder, options.out / "clean")
        link_all(photographs, options.folder, options.out / "kept")
        code_all(photographs, options.folder, options.out / "coded")
        recolour_all(photographs, options.folder, options.out / "recoloured")
        write_text(options.credits, credits_page(photographs))
    except (UserError, OSError) as error:
        raise SystemExit(f"free_photos: {error}") from error
    print(f"{options.out}: {len(photographs)} photographs; {options.credits}")


if __name__ == "__main__":
    main()
