"""The gallery of a study's page: the order in which pictures are shown, and how they are stored inside the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ...core.grouping import grouped
from ...core.statistics import Estimate
from ...data.data_uri import data_uri
from ...evaluation.results import ImageResult
from ...protocols.levels import Level, Split, plain_words
from ..entry_names import BASELINE, is_ceiling
from ..summary import StudySummary
from .columns import estimate_text

CLEAN, DISTORTED = "clean", "input"

ROOM = 7_000_000
"""Characters that all pictures of a page may take; where they need more, they are stored with loss."""

QUALITIES = (95, 90, 85, 80, 75, 70, 60, 50)
"""Qualities of JPEG to try, best first. Colours keep full resolution, or their noise would be lost (as in WebP)."""

T = TypeVar("T")


@dataclass(frozen=True)
class GalleryPicture:
    """One picture of the gallery.

    Attributes:
        image: data set and name of the test image.
        distortion: distortion of the picture's level.
        degree: degree of the level.
        split: split of the level.
        label: "clean", "input" or an entry of the study.
        psnr: PSNR in dB, shown beneath; None for the clean image.
        pixels: uint8 RGB, (H, W, 3), or gray, (H, W, 1), cropped by the caller.

    Raises:
        ValueError: for pixels of another shape or type.
    """

    image: str
    distortion: str
    degree: float | str
    split: Split
    label: str
    psnr: float | None
    pixels: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[2] not in (1, 3):
            raise ValueError(f"pixels must be uint8 (H, W, 3 or 1), got {self.pixels.dtype} {self.pixels.shape}")

    @property
    def level(self) -> Level:
        """The level that the picture was taken under."""
        return Level(self.split, self.distortion, self.degree)


def worst_then_median(results: Sequence[ImageResult]) -> dict[tuple[str, str], str]:
    """Order test images by how much they tell: of each data set first the one that gains least, then the median one.

    An image's gain is restored less distorted PSNR on the unseen levels (on all, where none is unseen), averaged over
    methods other than ceilings, their seeds and the levels. After worst and median of every set follow the others,
    each from the least gain. Gains that are not finite are left out of the mean; without any other it is zero.

    Returns:
        By data set and image, in order, a word on the image, such as "worst of 16"; empty for the others.
    """
    rivals = [result for result in results if not is_ceiling(result.method)] or results
    judged = [result for result in rivals if result.split == "unseen"] or rivals
    gains = {
        image: fmean([gain for one in group if math.isfinite(gain := one.psnr - one.input_psnr)] or [0.0])
        for image, group in grouped(judged, lambda result: (result.dataset, result.image)).items()
    }
    order = sorted(gains, key=gains.__getitem__)
    sets = grouped(order, lambda image: image[0]).values()
    worst = {images[0]: f"worst of {len(images)}" for images in sets if len(images) > 1}
    median = {images[len(images) // 2]: f"median of {len(images)}" for images in sets if len(images) > 2}
    first = [image for words in (worst, median) for image in order if image in words]
    return {image: {**median, **worst}.get(image, "") for image in (*first, *(i for i in order if i not in first))}


def by_severity(results: Iterable[ImageResult]) -> list[Level]:
    """Order levels, the mildest first, by the mean PSNR of the distorted input: degrees of two kinds have no order."""
    psnr = {
        level: fmean([one.input_psnr for one in group if not math.isnan(one.input_psnr)] or [-math.inf])
        for level, group in grouped(results, lambda result: result.level).items()
    }
    return sorted(psnr, key=lambda level: -psnr[level])


@dataclass(frozen=True)
class ShownImage:
    """A picture in the gallery's index.

    Attributes:
        source: index in `Gallery.sources`.
        psnr: PSNR with its unit; empty for the clean image.
        width: width in pixels.
        height: height in pixels.
    """

    source: int
    psnr: str
    width: int
    height: int


@dataclass(frozen=True)
class Gallery:
    """The pictures of a page, as its script reads them from JSON: the fields' names are those of the script.

    Attributes:
        images: name of each image, and a note on it.
        levels: split, distortion and degree of each level in words, mildest first.
        labels: contents of the pictures: clean, input, entries.
        pictures: `pictures[i][j][label]` shows image i under level j; an image that was not taken under a level has
            nothing there.
        sources: the pictures as data URIs.
        start: first view: the labels left and right, the level.
        quality: quality of JPEG; None where the pictures are stored without loss.
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
        """All fields, as plain lists and dictionaries."""
        return asdict(self)


def gallery(study: StudySummary, pictures: Sequence[GalleryPicture]) -> Gallery | None:
    """Arrange pictures: images by `worst_then_median`, levels by `by_severity`, labels as in the tables.

    Shown first are ERM on the left and the best other method, by its mean on unseen levels, on the right, at the
    hardest unseen level.

    Returns:
        The gallery; None without pictures.
    """
    if not pictures:
        return None
    words = {"/".join(image): text for image, text in worst_then_median(study.results).items()}
    images = _ordered({p.image for p in pictures}, list(words))
    levels = _ordered({p.level for p in pictures}, by_severity(study.results))
    labels = _ordered({p.label for p in pictures}, [CLEAN, DISTORTED, *study.methods])
    quality, stored = _stored([p.pixels for p in pictures])
    sources = list(dict.fromkeys(stored))
    place = {source: i for i, source in enumerate(sources)}
    index: list[list[dict[str, ShownImage]]] = [[{} for _ in levels] for _ in images]
    for picture, source in sorted(zip(pictures, stored, strict=True), key=lambda pair: labels.index(pair[0].label)):
        height, width, _ = picture.pixels.shape
        shown = ShownImage(place[source], _decibels(picture.psnr), width, height)
        index[images.index(picture.image)][levels.index(picture.level)][picture.label] = shown
    left, right = _compared_first(study, labels)
    unseen = [i for i, level in enumerate(levels) if level.split == "unseen"]
    return Gallery(
        images=[{"name": name, "note": f" ({words[name]})" if words.get(name) else ""} for name in images],
        levels=[
            {"split": level.split, "distortion": plain_words(level.distortion), "degree": level.degree_text}
            for level in levels
        ],
        labels=labels,
        pictures=index,
        sources=sources,
        start={"left": left, "right": right, "level": unseen[-1] if unseen else len(levels) - 1},
        quality=quality,
    )


def _ordered(some: set[T], order: Sequence[T]) -> list[T]:
    """Sort `some` as in `order`; those that the order lacks follow by name."""
    in_order = [item for item in dict.fromkeys(order) if item in some]
    return in_order + sorted(some - set(in_order), key=str)


def _compared_first(study: StudySummary, labels: Sequence[str]) -> tuple[str, str]:
    """The two labels that are compared first; a single method is compared with the input."""
    where: Split = "unseen" if "unseen" in study.splits else study.splits[-1]
    psnr = study.estimates("psnr", where)
    methods = [label for label in labels if label in study.methods]
    rivals = sorted((name for name in methods if not is_ceiling(name)), key=lambda name: -_or_lowest(psnr[name].mean))
    floor = next((name for name in rivals if name.casefold() == BASELINE), None)
    others = [name for name in (*rivals, *methods, *reversed(labels)) if name != floor]
    left = floor or (DISTORTED if DISTORTED in labels else labels[0])
    return left, others[0] if others else left


def _or_lowest(value: float) -> float:
    return value if not math.isnan(value) else -math.inf


def _decibels(psnr: float | None) -> str:
    return "" if psnr is None else f"{estimate_text(Estimate(psnr))[0]} dB"


def _stored(pictures: Sequence[NDArray[np.uint8]]) -> tuple[int | None, list[str]]:
    """Encode pictures as data URIs; returns the quality, too: None, without loss, where there is room for it."""
    for quality in (None, *QUALITIES):
        uris: dict[bytes, str] = {}
        stored, size = [], 0
        for pixels in pictures:
            key = repr(pixels.shape).encode() + pixels.tobytes()
            if key not in uris:
                uris[key] = data_uri(pixels, quality)
                size += len(uris[key])
            if size > ROOM and quality != QUALITIES[-1]:
                break
            stored.append(uris[key])
        else:
            return quality, stored
    raise AssertionError("the last quality is taken, whatever it needs")
