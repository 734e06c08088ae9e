"""Image results: the quality of one image, restored by one trained network under one confounder; one JSON line each.

The results of a study are a flat list of image results; `study.summary` averages them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..core.atomic import write_text
from ..core.errors import UserError
from ..core.jsonl import Finite, FiniteOrText, Measured, Number, Whole, read_lines, to_lines
from ..protocols.levels import Level, Split

RESULTS = "results.jsonl"


@dataclass(frozen=True)
class ImageResult:
    """The restoration of one image under one confounder by one trained network, measured.

    Attributes:
        run: name of the training.
        protocol: name of the protocol.
        protocol_hash: hash of the protocol, different for every version.
        data: digest of the training photographs.
        convention: hash of the metric convention.
        method: name of the method in the study.
        backbone: name of the backbone in the study.
        seed: seed of the training.
        budget: budget of the training, in words (`core.units`).
        select: rule by which the weights of the training were chosen.
        tuned: number of settings of the method that were tried on held-out levels; 0 if the user chose the settings.
        split: role of the level in the protocol.
        distortion: name of the distortion.
        degree: number on the x axis of a curve, or words where no single number describes the severity.
        dataset: name of the test set.
        image: name of the image within the test set.
        psnr: PSNR of the restored image, dB; infinite where the restoration is exact.
        ssim: SSIM of the restored image, at most 1.
        input_psnr: PSNR of the distorted image, dB.
        input_ssim: SSIM of the distorted image.
        invariance: mean PSNR in dB between this restoration and those of the same content under the other levels; nan
            for a single level.
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
        """The level of the distorted image, with its role in the protocol."""
        return Level(self.split, self.distortion, self.degree)


@dataclass(frozen=True)
class LevelPsnr:
    """The mean PSNR of one network over test images under one level.

    Attributes:
        split: role of the level in the protocol.
        distortion: name of the distortion.
        degree: number or words, as in `ImageResult`.
        psnr: mean over the images, dB.
    """

    split: Split
    distortion: str
    degree: FiniteOrText
    psnr: Measured

    @property
    def level(self) -> Level:
        """The level, with its role in the protocol."""
        return Level(self.split, self.distortion, self.degree)


@dataclass(frozen=True)
class KeptResult:
    """The quality of the weights that a training kept at one point of its way.

    Attributes:
        steps: number of outer steps until then.
        evaluations: number of gradient evaluations until then.
        seconds: time of these steps.
        levels: the quality under each level.
    """

    steps: Whole
    evaluations: Finite
    seconds: Finite
    levels: list[LevelPsnr]


def result_lines(results: Iterable[ImageResult]) -> str:
    """Results as JSON lines; infinity becomes the string "inf" and nan null.

    Raises:
        UserError: for a degree that is not a finite number, which no axis could show.
    """
    checked = list(results)
    for result in checked:
        if not isinstance(result.degree, str) and not math.isfinite(result.degree):
            raise UserError(f"degree of {result.distortion}: {result.degree} is not a finite number")
    return to_lines(checked)


def write_results(path: Path, results: Iterable[ImageResult]) -> None:
    """Write results as `result_lines` makes them, atomically.

    Raises:
        UserError: as `result_lines` does, and where the file cannot be written.
    """
    write_text(path, result_lines(results))


def read_results(path: Path) -> list[ImageResult]:
    """Read what `write_results` wrote. Raises UserError that names the file, the line and the field."""
    return read_lines(path, ImageResult, hint="remove the line, and its run is tested again")
