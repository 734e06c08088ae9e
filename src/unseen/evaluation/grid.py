"""A picture of one photograph under several distortions, as a grid of panels. Importing this loads matplotlib."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from matplotlib.figure import Figure

from ..core.atomic import replacing
from ..core.errors import UserError
from ..data.file_jobs import FileJob
from ..data.photo import Photo, Pixels
from ..data.reading import read_photo
from ..data.tensors import to_tensor
from ..distortions.copies import DegradeReport, copy_generator, degrade_pixels, run_jobs
from ..distortions.spec import parse_distortion
from ..protocols.confounder import Synthetic
from ..protocols.convention import Convention
from ..protocols.loading import load_protocol
from .inputs import at_size_of
from .metrics import psnr

ENDING = "-grid.png"
"""Ending of the file names of grids."""
CROP = 256
"""Side of the centre of a photograph that is shown, pixels."""
COLUMNS = 4
"""The largest number of panels in a row."""
MARGIN, LINE, GAP = 20, 20, 28  # pixels around a panel, for a line of text, and below the last line
DPI = 128  # a power of two: sizes in inches are exact, and every pixel of a photograph is one of the picture
POINTS = 8.5  # of the text: with DPI, letters of DejaVu Sans Mono are 9.1 pixels wide
LETTER = 0.602 * POINTS * DPI / 72
TITLE: dict[str, Any] = {"family": "DejaVu Sans Mono", "color": "#1a1a1a"}
NOTE: dict[str, Any] = {"family": "DejaVu Sans", "color": "#5c5c5c"}


@dataclass(frozen=True)
class GridLevel:
    """One distortion of a grid.

    Attributes:
        confounder: the distortion, named by its spec.
        split: the role of the level in a protocol; empty for a distortion of the command line.
    """

    confounder: Synthetic
    split: str = ""


@dataclass(frozen=True)
class GridPanel:
    """One picture of a grid.

    Attributes:
        pixels: uint8 (H, W, 3) RGB, as shown.
        title: name of the distortion, or `clean`.
        note: PSNR, size or role, below the title.
    """

    pixels: Pixels
    title: str
    note: str


def levels_from(specs: Sequence[str], protocol: str) -> list[GridLevel]:
    """Choose the distortions of a grid.

    Args:
        specs: specs of distortions, from the command line.
        protocol: name of a protocol, whose synthetic levels are taken instead, seen ones first; empty for none.

    Raises:
        UserError: for an unknown distortion, and for a protocol without synthetic levels.
    """
    if not protocol:
        return [GridLevel(Synthetic(spec, parse_distortion(spec, "distortion"))) for spec in specs]
    levels = [GridLevel(c, level.split) for level, c in load_protocol(protocol).levels() if isinstance(c, Synthetic)]
    if not levels:
        raise UserError(f"protocol: {protocol} makes no distortion: all of its pairs are recorded")
    return levels


def left_out(protocol: str) -> str:
    """Name the levels of a protocol that no grid can show, in one line; empty where it shows all of them."""
    loaded = load_protocol(protocol)
    names = [c.name for _, c in loaded.levels() if not isinstance(c, Synthetic)]
    one = "1 level is" if len(names) == 1 else f"{len(names)} levels are"
    return f"{loaded.name}: {one} not shown, as recorded pairs cannot be made: {', '.join(names)}" if names else ""


def make_grids(
    jobs: Sequence[FileJob], levels: Sequence[GridLevel], out: Path, seed: int, device: str, stop: Event
) -> DegradeReport:
    """Draw the grid of each photograph.

    Args:
        jobs: photographs, and the names of their grids.
        levels: the distortions.
        out: folder for the grids.
        seed: seed of the distortions.
        device: the device by its name in PyTorch.
        stop: once set, the work ends after the current photograph.

    Raises:
        UserError: where `out` cannot be written.
    """

    def make(job: FileJob) -> None:
        photo = Photo(job.source, read_photo(job.path))
        panels = [clean_panel(photo), *(level_panel(photo, level, seed, device) for level in levels)]
        with replacing(out / job.file, flush_name=False) as temporary:
            draw(panels).savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})

    return run_jobs(jobs, make, stop)


def clean_panel(photo: Photo) -> GridPanel:
    """Show the centre of the photograph itself."""
    shown = photo.centre(CROP).pixels
    size, whole = (f"{pixels.shape[1]}×{pixels.shape[0]}" for pixels in (shown, photo.pixels))
    return GridPanel(shown, "clean", f"middle {size} of {whole}" if size != whole else f"{size}")


def level_panel(photo: Photo, level: GridLevel, seed: int, device: str) -> GridPanel:
    """Show the centre of the copy that `degrade` would write, with its PSNR in RGB and 8 bits.

    A smaller copy is enlarged: each pixel to a square for the picture, and bicubically for PSNR.

    Raises:
        ValueError: where the distortion cannot be applied to this photograph.
    """
    distortion = level.confounder.distortion
    scale = distortion.scale
    copy, _ = degrade_pixels(photo.pixels, distortion, copy_generator(photo.name, seed), device)
    height, width = (side * scale for side in copy.shape[:2])
    shown = Photo(photo.name, photo.pixels[:height, :width], copy).centre(max(CROP // scale, 1) * scale)
    assert shown.recorded is not None
    clean, small = to_tensor(shown.pixels), to_tensor(shown.recorded)
    value = float(psnr(at_size_of(clean, small), clean, Convention()))
    quality = f"PSNR {value:.2f} dB" if math.isfinite(value) else "the same as clean"
    notes = [quality, *[f"pixels ×{scale}"] * (scale > 1), *[level.split] * bool(level.split)]
    enlarged = shown.recorded.repeat(scale, axis=0).repeat(scale, axis=1)
    return GridPanel(enlarged, level.confounder.name, " · ".join(notes))


def draw(panels: Sequence[GridPanel]) -> Figure:
    """Draw panels in rows with their texts beneath; every pixel of a panel is one pixel of the picture."""
    columns = math.ceil(len(panels) / math.ceil(len(panels) / COLUMNS))
    rows = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    width = max(CROP, *(panel.pixels.shape[1] for panel in panels))
    texts = [[_lines(panel, width) for panel in row] for row in rows]
    heights = [max(panel.pixels.shape[0] for panel in row) for row in rows]
    steps = [height + LINE * max(map(len, lines)) + GAP for height, lines in zip(heights, texts, strict=True)]
    whole = (columns * (width + MARGIN) + MARGIN, sum(steps) + MARGIN)
    figure = Figure(figsize=(whole[0] / DPI, whole[1] / DPI), dpi=DPI, facecolor="white")
    for i, row in enumerate(rows):
        top = MARGIN + sum(steps[:i])
        for j, panel in enumerate(row):
            left = MARGIN + j * (width + MARGIN)
            figure.figimage(panel.pixels, xo=left, yo=whole[1] - top - panel.pixels.shape[0], origin="upper")
            for k, (line, style) in enumerate(texts[i][j], start=1):
                place = left / whole[0], 1 - (top + heights[i] + LINE * k) / whole[1]
                figure.text(*place, line, fontsize=POINTS, parse_math=False, **style)
    return figure


def _lines(panel: GridPanel, width: int) -> list[tuple[str, dict[str, Any]]]:
    """The lines of text beneath a panel that is `width` pixels wide, each with its style."""
    letters = int(width / LETTER)
    titles = [line.replace(", ", ",") for line in textwrap.wrap(panel.title.replace(",", ", "), letters)]
    notes = textwrap.wrap(panel.note, int(letters * 1.2), break_on_hyphens=False)  # in narrower letters
    return [(line, TITLE) for line in titles] + [(line, NOTE) for line in notes]
