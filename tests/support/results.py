"""Results of networks that nobody trained: one, with any field changed, or those of whole studies by formula."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from unseen.core.console import Console
from unseen.evaluation.results import ImageResult
from unseen.models.card import Quality
from unseen.protocols.levels import Split
from unseen.study.report.terminal import print_table
from unseen.study.runs import RunRecord

RESULT = ImageResult(
    run="run-1",
    protocol="noise-1",
    protocol_hash="p1",
    data="d1",
    convention="c0ffee",
    method="erm",
    backbone="plain",
    seed=0,
    budget="100 gradient evaluations",
    select="last",
    tuned=0,
    split="unseen",
    distortion="gaussian_noise",
    degree=30.0,
    dataset="embedded",
    image="coffee.png",
    psnr=20.0,
    ssim=0.5,
    input_psnr=10.0,
    input_ssim=0.25,
    invariance=35.0,
)


def result(**changes: Any) -> ImageResult:
    """The result `RESULT` with these fields changed."""
    return replace(RESULT, **changes)


def quality(noise: float, low: float = 1.0, degree: float | str = 30.0, **others: Any) -> Quality:
    made = Quality("seen", "gaussian_noise", degree, "set", 5, 20.0, 22.0, 2.0, float(low), 4.0 - low, float(noise))
    return replace(made, **others)


METHODS = ("erm", "dil_sf", "ceiling")
LEVELS: tuple[tuple[Split, float], ...] = (
    ("seen", 5.0),
    ("seen", 10.0),
    ("held-out", 15.0),
    ("unseen", 20.0),
    ("unseen", 40.0),
)


def make_results(methods: tuple[str, ...] = METHODS, seeds: int = 1) -> list[ImageResult]:
    """Results by formula: PSNR 40 - degree / 2 for the first method, 2 dB more for each next; seeds 0.1 dB apart.

    The input is at 30 - degree / 2.
    """
    return [
        result(
            run=f"{method}-{seed}",
            method=method,
            seed=seed,
            budget="12000 gradient evaluations",
            split=split,
            degree=degree,
            image=image,
            psnr=40 - degree / 2 + 2 * i + 0.1 * seed + offset,
            ssim=0.9 - degree / 100 + 0.01 * i,
            input_psnr=30 - degree / 2,
            input_ssim=0.5 - degree / 100,
            invariance=25.0 + i,
        )
        for i, method in enumerate(methods)
        for seed in range(seeds)
        for split, degree in LEVELS
        for image, offset in (("coffee.png", -1.0), ("chelsea.png", 1.0))
    ]


def make_record(method: str, seed: int = 0, backbone: str = "plain", machine: str = "two cores") -> RunRecord:
    """The record of a training of 100 s, and 20 s more for each seed."""
    return RunRecord(
        run=f"{method}-{seed}",
        method=method,
        backbone=backbone,
        seed=seed,
        spec=method,
        lr=1e-3,
        evaluations=12_000,
        steps=3_000,
        seconds=100 + 20 * seed,
        memory=512,
        machine=machine,
        curve=[],
        diagnoses=[],
    )


def printed(results: list[ImageResult], width: int = 100, records: Sequence[RunRecord] = ()) -> str:
    """The tables of these results as a terminal shows them, without colours."""
    console = Console(width=width, file=io.StringIO())
    print_table(results, console, records)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
