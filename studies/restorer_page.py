"""The page of the restorer, docs/results/restorer.md: its tables from the kept rows, and crops side by side.

    python studies/restorer_page.py --data /path/to/data                      # the shipped denoiser; a minute
    python studies/restorer_page.py --data /path/to/data --model runs/shipped/denoiser

What the rivals make of the crops is kept in runs/restorer-rivals (minutes, once; they need what restorer_rivals.py
says). Model and rivals get the same 264×264 pixels, of which the middle 200×200 are shown. The sentences are in
pages/restorer.md.jinja, by hand. No photograph of a crop was trained on, but for text and lamps, which are drawn here.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

import matplotlib
import numpy as np
import torch
from pages import RESULTS, render, table
from PIL import Image, ImageDraw, ImageFont
from restorer import (
    BEFORE,
    GRAY_SIGMAS,
    ROWS,
    SIGMAS,
    TARGETS,
    Row,
    digest_of,
    kept_rows,
    mean_psnr,
    missed,
    results_table,
    rows_of,
    shown,
)
from restorer_choice import STUDY, choice_table
from restorer_measures import CONVENTION
from restorer_rivals import CBM3D, NLM, STRENGTHS, best, cbm3d, non_local_means, quality
from restorer_share import ROWS as SHARES
from restorer_share import Row as Share
from restorer_share import chosen, shares_table

from unseen import Restorer
from unseen.core.atomic import replacing, write_text
from unseen.core.config import load_config
from unseen.core.jsonl import read_lines
from unseen.core.number_text import number
from unseen.data.embedded import embedded_photos
from unseen.data.photo import Photo, Pixels
from unseen.data.photo import digest_of as digest_of_pixels
from unseen.data.reading import read_photo
from unseen.data.tensors import to_pixels
from unseen.evaluation.inputs import distort
from unseen.models.files import GRAY
from unseen.models.loading import load_network
from unseen.protocols.confounder import parse_confounder
from unseen.study.runs import RUNS, read_runs

PAGE = RESULTS / "restorer.md"
SHEETS = RESULTS / "restorer"
CACHE = Path(__file__).parents[1] / "runs" / "restorer-rivals"

SHOWN, MARGIN = 200, 32
SIDE = SHOWN + 2 * MARGIN
GAP, LINE = 5, 17
"""Pixels between panels; pixels of a line of text below a panel."""

LAMPS = ((60, 60, 220), (90, 20, 200), (30, 220, 40), (220, 40, 30), (240, 190, 120), (20, 200, 220))
"""Blue, violet, green, red, warm white, and turquoise light-emitting diodes."""

SMALL = """Noise is not a property of the scene.
A restorer that removes it may take
thin strokes, serifs, i-dots, commas
for noise, too: 0O 1lI 5S 8B rn m.
       Fig. 7   σ² = 0.0143 ± 0.0009
The quick brown fox jumps over the
lazy dog; 3 × 17 = 51, 6 × 9 = 54."""
LARGE = """The quick brown fox
jumps over 13 lazy dogs:
0O 1lI 5S 8B, rn or m?
σ² = 0.0143 ± 0.0009"""


@dataclass(frozen=True)
class Crop:
    """One crop of the page.

    Attributes:
        name: of its file.
        picture: function from the folder of free photographs to SIDE×SIDE pixels.
        noise: what is done to it, as a confounder; empty where the photograph has noise of its own, and no truth.
        by_eye: σ for CBM3D, and strength and strength for colour of non-local means, where there is no truth.
    """

    name: str
    picture: Callable[[Path], Pixels]
    noise: str = ""
    by_eye: tuple[float, float, float] = (0, 0, 0)


# ------------------------------------------------------------------------------------------------------ the crops


def photograph(name: str, left: int, top: int, folder: Path) -> Pixels:
    """A window of a free photograph."""
    return read_photo(folder / name)[top : top + SIDE, left : left + SIDE]


def astronaut(folder: Path) -> Pixels:
    """The face of scikit-image's `astronaut`, a photograph by NASA."""
    (photo,) = (photo for photo in embedded_photos("test") if photo.name == "astronaut")
    return photo.window(0, 108, SIDE, SIDE).pixels


def text(folder: Path) -> Pixels:
    """Black letters on paper, in two sizes."""
    page = Image.new("RGB", (SIDE, SIDE), (236, 232, 222))
    pen = ImageDraw.Draw(page)
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for words, top, size, file in ((SMALL, 38, 10, "DejaVuSerif.ttf"), (LARGE, 146, 14, "DejaVuSans.ttf")):
        font = ImageFont.truetype(fonts / file, size)
        pen.multiline_text((36, top), words, (28, 26, 30), font, spacing=2)
    return np.asarray(page)


def lamps(folder: Path) -> Pixels:
    """Six light-emitting diodes with their glow before a dark wall."""
    row, column = np.mgrid[:SIDE, :SIDE]
    scene = np.stack([ground + 8 * np.sin(column / 9) for ground in (24, 20, 28)], axis=2)
    for i, light in enumerate(LAMPS):
        y, x = 66 + 66 * (i // 2), 86 + 92 * (i % 2)
        distance = np.hypot(row - y, column - x)[..., None]
        share = 1 / (1 + np.exp((2 * (distance - 22)).clip(None, 50))) + 0.25 * np.exp(-distance / 20)
        scene += share.clip(0, 1) * (np.array(light) - scene)
    pixels: Pixels = np.rint(scene.clip(0, 255)).astype(np.uint8)
    return pixels


CAMERA = "camera_noise:python,0.008,0.0004,gamma=2.2,errors=false"

CROPS = (
    Crop("night", partial(photograph, "cid22_0944_333963.jpg", 118, 28), f"{CAMERA} > jpeg:92"),
    Crop("skin", astronaut, "camera_noise:python,0.004,0.0001,gamma=2.2,errors=false > jpeg:92"),
    Crop("foliage", partial(photograph, "pop_0637_parky_tree.jpg", 480, 80), "gaussian_noise:25"),
    Crop("text", text, "gaussian_noise:25"),
    Crop("sky", partial(photograph, "deb_lxqt-themes_1140_this_is_not_windows.jpg", 268, 100), by_eye=(4, 3.5, 7)),
    Crop("lamps", lamps, "gaussian_noise:25"),
    Crop("jpeg", partial(photograph, "budgie_0384_colorful_wall.jpg", 268, 168), "jpeg:30"),
    Crop("grain", partial(photograph, "ubuntu_0245_Aeg_by_Tauno_Erik.jpg", 268, 68), by_eye=(6, 5, 10)),
)


def sheet(crop: Crop, folder: Path, restorer: Restorer) -> Image.Image:
    """The panels of a crop, each above its legend: input, ours, the truth if there is one; the rivals below."""
    clean = crop.picture(folder)
    noisy = clean
    if crop.noise:
        confounder = parse_confounder(crop.noise, "level")
        noisy = to_pixels(distort(Photo(crop.name, clean), confounder, CONVENTION, 0, "page"))
    ours: Pixels = restorer.restore(noisy)
    rivals = {rival: kept_rival(rival, crop, noisy, clean) for rival in (CBM3D, NLM)}
    panels = {"input": noisy, "restored": ours}
    if crop.noise:
        panels["photograph" if crop.name not in ("text", "lamps") else "as drawn"] = clean
    columns = len(panels)
    canvas = Image.new("RGB", (columns * (SHOWN + GAP) - GAP, 2 * (SHOWN + 2 * LINE + GAP)), "white")
    for i, (title, pixels) in enumerate((panels | rivals).items()):
        note = "" if not crop.noise or pixels is clean else f"{quality(middle(pixels), middle(clean)):.2f} dB"
        draw(canvas, i // columns, i % columns, middle(pixels), title, note)
    return canvas


def middle(pixels: Pixels) -> Pixels:
    """What is shown of a crop."""
    return pixels[MARGIN : MARGIN + SHOWN, MARGIN : MARGIN + SHOWN]


def draw(canvas: Image.Image, row: int, column: int, pixels: Pixels, title: str, note: str) -> None:
    """Put a panel with its legend on a sheet."""
    left, top = column * (SHOWN + GAP), row * (SHOWN + 2 * LINE + GAP)
    canvas.paste(Image.fromarray(pixels), (left, top))
    font = ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", 12)
    for line, (words, colour) in enumerate(((title, "#1b2026"), (note, "#626c77"))):
        place = (left + SHOWN / 2, top + SHOWN + 2 + line * LINE)
        ImageDraw.Draw(canvas).text(place, words, colour, font, anchor="ma")


def kept_rival(rival: str, crop: Crop, noisy: Pixels, clean: Pixels) -> Pixels:
    """What a rival makes of a crop at its best setting, from the cache if it was made before."""
    path = CACHE / f"{crop.name}-{rival.replace(' ', '-')}-{digest_of_pixels(noisy)[:8]}-{crop.by_eye[0]:g}.png"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        pixels = restored_by(rival, crop, noisy, clean)
        with replacing(path) as temporary:
            Image.fromarray(pixels).save(temporary, "PNG")
    return np.asarray(Image.open(path).convert("RGB"))


def restored_by(rival: str, crop: Crop, noisy: Pixels, clean: Pixels) -> Pixels:
    """Try the settings of a rival around the true deviation, and take the best by PSNR; by eye without a truth."""
    sigma, h, h_colour = crop.by_eye
    if not crop.noise:
        return cbm3d(noisy, sigma) if rival == CBM3D else non_local_means(noisy, h, h_colour)
    deviation = float(np.sqrt(np.mean((noisy.astype(float) - clean) ** 2)))
    if rival == CBM3D:
        return best((cbm3d(noisy, share * deviation) for share in (0.7, 1, 1.4, 2)), clean)
    shares = [(share, factor * share) for share in (*STRENGTHS, 2.0) for factor in (1, 2)]
    return best((non_local_means(noisy, a * deviation, b * deviation) for a, b in shares), clean)


# ------------------------------------------------------------------------------------------------------- the page


def page(weights: str, choice: Path = STUDY) -> str:
    """The whole page, of the model whose weights have this digest."""
    rows = list(kept_rows(ROWS).values())
    shares = read_lines(SHARES, Share)
    gray = digest_of(load_network(GRAY)[0])
    names = (weights, gray, BEFORE, CBM3D, NLM, WITHOUT_BRIGHTNESS, THIRD)
    by_weights = {name: [row for row in rows if row.weights == name] for name in names}
    return render(
        "restorer",
        targets=results_table(by_weights[weights], by_weights[BEFORE]),
        missed="; ".join(missed(by_weights[weights])),
        levels=levels_table(by_weights, weights),
        gray=gray_table(by_weights[CBM3D], by_weights[weights], by_weights[gray]),
        gray_in_colour=[number(loss) for loss in gray_in_colour(by_weights[weights], by_weights[gray])],
        brightness=brightness_table([by_weights[name] for name in (WITHOUT_BRIGHTNESS, weights, THIRD)]),
        clipped=[number(row.before, ".1f") for row in by_weights[BEFORE] if row.test == "colours"],
        choice=choice_table(choice) if (choice / RUNS).exists() else "",
        study=load_config(choice / "config.yaml") if (choice / RUNS).exists() else {},
        trainings=len(read_runs(choice / RUNS)),
        second=load_config(Path(__file__).with_name("shipped") / "denoiser.yaml"),
        shares=shares_table(shares),
        share=number(chosen(shares).share, ".1f"),
    )


WITHOUT_BRIGHTNESS, THIRD = "9b45a37a650f", "7834f1286d41"
"""Digests of the shipped network without `kept_brightness`, and of the third training, with it."""


def brightness_table(networks: Sequence[list[Row]]) -> str:
    """What keeping the brightness changes: the shipped network without it, with it, and trained on with it."""
    lines = []
    for target in TARGETS:
        values = [target.value([row.checked for row in rows_of(target, rows)]) for rows in networks]
        if target.test != "size":
            lines.append([target.name, *(shown(target, value) for value in values)])
    return table(["", "without", "brightness kept", "trained on"], lines)


FFDNET = dict(zip(SIGMAS, (52.13, 45.26, 39.91, 35.77, 33.47, 30.78, 27.50, 25.73), strict=True))
"""Clip weights of FFDNet (Zhang et al. 2018), measured once on the same photographs, under noise of other draws."""


def levels_table(by_weights: Mapping[str, list[Row]], weights: str) -> str:
    """PSNR by level: of the input, the rivals, the model before and this one; the highest is bold."""
    non_local, block, before, own = (psnr_by_level(by_weights[name]) for name in (NLM, CBM3D, BEFORE, weights))
    lines = []
    for sigma in SIGMAS:
        noisy = [row.before for row in by_weights[BEFORE] if row.test == "noise" and row.level == str(sigma)]
        cells = [column.get(sigma, "–") for column in (non_local, block, before, own)]
        cells.insert(2, number(FFDNET[sigma]))
        highest = max((cell for cell in cells if cell != "–"), key=float)
        cells = [f"**{cell}**" if cell == highest else cell for cell in cells]
        lines.append([str(sigma), number(fmean(noisy)) if sigma else "∞", *cells])
    headings = ["σ", "input", "OpenCV, best setting", "CBM3D, told σ", "FFDNet, told σ", "shipped before", "this model"]
    return table(headings, lines, words=0)


def gray_table(bm3d: list[Row], denoiser: list[Row], gray: list[Row]) -> str:
    """PSNR by level of noise on gray photographs: of the input, of BM3D, of both denoisers."""
    block, usual, own = (psnr_by_level(rows, "gray") for rows in (bm3d, denoiser, gray))
    lines = []
    for sigma in GRAY_SIGMAS:
        noisy = [row.before for row in denoiser if (row.test, row.level) == ("gray", str(sigma))]
        lines.append([str(sigma), number(fmean(noisy)), block.get(sigma, "–"), usual[sigma], own[sigma]])
    return table(["σ", "input", "BM3D, told σ", "`denoiser`", "`denoiser_gray`"], lines, words=0)


def gray_in_colour(denoiser: list[Row], gray: list[Row]) -> tuple[float, float]:
    """The least and the most that the model for black and white is below the denoiser in colour, σ 5 to 75, dB."""
    usual, own = (psnr_by_level(rows) for rows in (denoiser, gray))
    losses = [float(usual[sigma]) - float(own[sigma]) for sigma in SIGMAS if sigma >= 5]
    return min(losses), max(losses)


def psnr_by_level(rows: list[Row], test: str = "noise") -> dict[int, str]:
    """The mean PSNR of each level at which all twelve photographs were measured."""
    levels = {sigma: [row.checked for row in rows if row.test == test and row.level == str(sigma)] for sigma in SIGMAS}
    return {sigma: number(mean_psnr(level)) for sigma, level in levels.items() if len(level) == 12}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", required=True, type=Path, help="folder of data sets, whose `train` has `free`")
    parser.add_argument("--model", default="denoiser", help="a model as `unseen restore` takes it")
    given = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    restorer = Restorer.load(given.model, device="cpu", precision="fp32")
    SHEETS.mkdir(exist_ok=True)
    for crop in CROPS:
        with replacing(SHEETS / f"{crop.name}.jpg") as temporary:
            sheet(crop, given.data / "train" / "free", restorer).save(temporary, "JPEG", quality=93, subsampling=0)
    write_text(PAGE, page(digest_of(load_network(given.model)[0])))
    print(PAGE)


if __name__ == "__main__":
    main()
