"""The gallery of a study's page: the order in which pictures are shown, and how they are stored inside the page."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...core.grouping import grouped
from ...core.statistics import Estimate
from ...evaluation.results import ImageResult
from ...protocols.levels import Level, Split, plain_words
from ..entry_names import BASELINE, is_ceiling
from ..summary import StudySummary
from .columns import estimate_text

CLEAN, GIVEN = "clean", "input"

ROOM = 7_000_000
"""Characters that all pictures of a page may take. Where they need more, they are stored with loss."""

QUALITIES = (95, 90, 85, 80, 75, 70, 60, 50)
"""Of JPEG, best first; colours at full resolution, or noise in them would be taken away (as lossy WebP does)."""

T = TypeVar("T")


@dataclass(frozen=True)
class GalleryPicture:
    """One picture of the gallery.

    `label` is "clean", "input" or a line of the study. `pixels` is uint8 RGB, (H, W, 3), cropped by the caller;
    `psnr` in dB is shown beneath. Raises ValueError for pixels of another shape or type.
    """

    image: str
    distortion: str
    degree: float | str
    split: Split
    label: str
    psnr: float | None
    pixels: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[2] != 3:
            raise ValueError(f"pixels must be uint8 (H, W, 3), got {self.pixels.dtype} {self.pixels.shape}")

    @property
    def level(self) -> Level:
        """The confounder that it was taken under."""
        return Level(self.split, self.distortion, self.degree)


def worst_then_median(rows: Sequence[ImageResult]) -> dict[tuple[str, str], str]:
    """Test images as (dataset, image) in the order in which they are worth a look, and what is said of them.

    An image is judged by its gain: restored less given PSNR on the unseen levels (on all, where none is unseen),
    averaged over methods other than ceilings, their seeds and the levels. First stands the image of the least gain of
    every data set, then that of the median gain, then the rest, each from the least gain. Gains that are not finite
    are left out of the mean, and without any other it is zero.
    """
    rivals = [row for row in rows if not is_ceiling(row.method)] or rows
    judged = [row for row in rivals if row.split == "unseen"] or rivals
    gains = {
        image: fmean([gain for row in group if math.isfinite(gain := row.psnr - row.input_psnr)] or [0.0])
        for image, group in grouped(judged, lambda row: (row.dataset, row.image)).items()
    }
    order = sorted(gains, key=gains.__getitem__)
    sets = grouped(order, lambda image: image[0]).values()
    worst = {images[0]: f"worst of {len(images)}" for images in sets if len(images) > 1}
    median = {images[len(images) // 2]: f"median of {len(images)}" for images in sets if len(images) > 2}
    first = [image for said in (worst, median) for image in order if image in said]
    return {image: {**median, **worst}.get(image, "") for image in (*first, *(i for i in order if i not in first))}


def by_severity(rows: Iterable[ImageResult]) -> list[Level]:
    """The levels, the mildest first: by the mean PSNR of what was given, as degrees of two kinds have no order."""
    given = {
        level: fmean([row.input_psnr for row in group if not math.isnan(row.input_psnr)] or [-math.inf])
        for level, group in grouped(rows, lambda row: row.level).items()
    }
    return sorted(given, key=lambda level: -given[level])


@dataclass(frozen=True)
class ShownImage:
    """A picture in the index: where its data stands among `Gallery.sources`, its PSNR as text, its size."""

    source: int
    psnr: str
    width: int
    height: int


@dataclass(frozen=True)
class Gallery:
    """What the page's script reads as JSON.

    `pictures[i][j][label]` shows image i under level j, the levels as in `levels`, mildest first; an image that was
    not taken under a level has nothing there. `start` is what is shown first: the labels left and right, the level.
    `quality` is that of JPEG; None where the pictures are stored without loss.
    """

    images: list[dict[str, str]]
    levels: list[dict[str, str]]
    labels: list[str]
    pictures: list[list[dict[str, ShownImage]]]
    sources: list[str]
    start: dict[str, str | int]
    quality: int | None

    @property
    def index(self) -> dict[str, object]:
        """All of it, as plain lists and dictionaries."""
        return asdict(self)


def gallery(study: StudySummary, pictures: Sequence[GalleryPicture]) -> Gallery | None:
    """The pictures in their order: images by `worst_then_median`, levels by `by_severity`, labels as in the tables.

    Two are chosen to begin with: ERM on the left and the best other method, by its mean on unseen levels, on the
    right, at the hardest unseen level. None without pictures.
    """
    if not pictures:
        return None
    said = {"/".join(image): words for image, words in worst_then_median(study.results).items()}
    images = _ordered({p.image for p in pictures}, list(said))
    levels = _ordered({p.level for p in pictures}, by_severity(study.results))
    labels = _ordered({p.label for p in pictures}, [CLEAN, GIVEN, *study.methods])
    quality, stored = _stored([p.pixels for p in pictures])
    sources = list(dict.fromkeys(stored))
    place = {source: i for i, source in enumerate(sources)}
    found: list[list[dict[str, ShownImage]]] = [[{} for _ in levels] for _ in images]
    for picture, source in sorted(zip(pictures, stored, strict=True), key=lambda pair: labels.index(pair[0].label)):
        height, width, _ = picture.pixels.shape
        shown = ShownImage(place[source], _decibels(picture.psnr), width, height)
        found[images.index(picture.image)][levels.index(picture.level)][picture.label] = shown
    left, right = _rivals(study, labels)
    unseen = [i for i, level in enumerate(levels) if level.split == "unseen"]
    return Gallery(
        images=[{"name": name, "note": f" ({said[name]})" if said.get(name) else ""} for name in images],
        levels=[
            {"split": level.split, "distortion": plain_words(level.distortion), "degree": level.degree_text}
            for level in levels
        ],
        labels=labels,
        pictures=found,
        sources=sources,
        start={"left": left, "right": right, "level": unseen[-1] if unseen else len(levels) - 1},
        quality=quality,
    )


def _ordered(some: set[T], order: Sequence[T]) -> list[T]:
    """Those of the order that are there, then the rest by name."""
    known = [item for item in dict.fromkeys(order) if item in some]
    return known + sorted(some - set(known), key=str)


def _rivals(study: StudySummary, labels: Sequence[str]) -> tuple[str, str]:
    """What is compared first. A single method is held against the input."""
    where: Split = "unseen" if "unseen" in study.splits else study.splits[-1]
    found = study.estimates("psnr", where)
    methods = [label for label in labels if label in study.methods]
    rivals = sorted((name for name in methods if not is_ceiling(name)), key=lambda name: -_known(found[name].mean))
    floor = next((name for name in rivals if name.casefold() == BASELINE), None)
    others = [name for name in (*rivals, *methods, *reversed(labels)) if name != floor]
    left = floor or (GIVEN if GIVEN in labels else labels[0])
    return left, others[0] if others else left


def _known(value: float) -> float:
    return value if not math.isnan(value) else -math.inf


def _decibels(psnr: float | None) -> str:
    return "" if psnr is None else f"{estimate_text(Estimate(psnr))[0]} dB"


def _stored(pictures: Sequence[NDArray[np.uint8]]) -> tuple[int | None, list[str]]:
    """The pictures as data URIs, and with which quality: without loss (None) where there is room for it."""
    for quality in (None, *QUALITIES):
        found: dict[bytes, str] = {}
        stored, size = [], 0
        for pixels in pictures:
            key = repr(pixels.shape).encode() + pixels.tobytes()
            if key not in found:
                found[key] = _data_uri(pixels, quality)
                size += len(found[key])
            if size > ROOM and quality != QUALITIES[-1]:
                break
            stored.append(found[key])
        else:
            return quality, stored
    raise AssertionError("the last quality is taken, whatever it needs")


def _data_uri(pixels: NDArray[np.uint8], quality: int | None) -> str:
    file, image = io.BytesIO(), Image.fromarray(pixels)
    kind = "png" if quality is None else "jpeg"
    if quality is None:
        image.save(file, "PNG", optimize=True)
    else:
        image.save(file, "JPEG", quality=quality, subsampling=0, optimize=True)
    return f"data:image/{kind};base64," + base64.b64encode(file.getvalue()).decode("ascii")
