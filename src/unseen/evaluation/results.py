"""Image results: how well one trained network restored one image under one confounder, one JSON object a line.

A study is a flat list of such results; `study.summary` takes their means.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UserError
from ..core.jsonl import FiniteOrText, Number, Whole, read_lines, write_lines
from ..protocols.levels import Level, Split

RESULTS = "results.jsonl"


@dataclass(frozen=True)
class ImageResult:
    """The restoration of one image under one confounder by one trained network, measured.

    Attributes:
        run: name of the training.
        protocol: name of the protocol.
        protocol_hash: tells versions of a protocol apart.
        data: digest of the training photographs.
        convention: hash of the metric convention.
        method: the method as the study names it.
        backbone: the backbone as the study names it.
        seed: of the training.
        budget: what the training might cost, in words (`core.units`).
        select: which weights of the training were kept.
        tuned: how many settings of the method were tried on held-out levels; 0 where the settings were given.
        split: role of the level in the protocol.
        distortion: name of the distortion.
        degree: number on the x axis of a curve, or words where no single number tells the severity.
        dataset: name of the test set.
        image: name of the image within the test set.
        psnr: of the restored image, dB; infinite where the restoration is exact.
        ssim: of the restored image, at most 1.
        input_psnr: of the distorted image, dB.
        input_ssim: of the distorted image.
        invariance: mean PSNR in dB between this restoration and those of the same content under the other levels; nan
            where there is no other level.
    """

    run: str
    protocol: str
    protocol_hash: str
    data: str
    convention: str
    method: str
    backbone: str
    seed: Whole
    budget: str
    select: str
    tuned: Whole
    split: Split
    distortion: str
    degree: FiniteOrText
    dataset: str
    image: str
    psnr: Number
    ssim: Number
    input_psnr: Number
    input_ssim: Number
    invariance: Number

    @property
    def level(self) -> Level:
        """The level that was restored, with its role in the protocol."""
        return Level(self.split, self.distortion, self.degree)


def write_results(path: Path, results: Iterable[ImageResult]) -> None:
    """Write results as JSON lines, atomically; infinity becomes the string "inf" and nan null.

    Raises:
        UserError: for a degree that is no finite number, which no axis could show, and where the file cannot be
            written.
    """
    checked = list(results)
    for result in checked:
        if not isinstance(result.degree, str) and not math.isfinite(result.degree):
            raise UserError(f"degree of {result.distortion}: {result.degree} is not a finite number")
    write_lines(path, checked)


def read_results(path: Path) -> list[ImageResult]:
    """Read what `write_results` wrote. Raises UserError that names the file, the line and the field."""
    return read_lines(path, ImageResult, hint="remove the line, and its run is tested again")
