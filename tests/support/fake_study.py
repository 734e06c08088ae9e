"""A study that nobody has run: results, records and pictures by formula, of any size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from support.results import make_record, result
from unseen.evaluation.results import ImageResult
from unseen.protocols.levels import Level
from unseen.study.report.gallery import GalleryPicture
from unseen.study.runs import RunRecord
from unseen.study.summary import StudySummary

NOISE: tuple[Level, ...] = (
    *(Level("seen", "gaussian_noise", float(sigma)) for sigma in (5, 10, 15, 20)),
    Level("held-out", "gaussian_noise", 25.0),
    *(Level("unseen", "gaussian_noise", float(sigma)) for sigma in (30, 40, 50)),
)
CAMERAS: tuple[Level, ...] = (
    Level("seen", "camera_noise", "0-25.13"),
    Level("seen", "camera_noise", "1.25-13.88"),
    Level("held-out", "camera_noise", "15.63-24.21"),
    Level("unseen", "pairs", "a test set with a long name"),
    Level("unseen", "pairs", "cc15"),
)
METHODS = ("erm", "dil_sf", "ceiling")
MANY = (
    *("erm", "dil_sf", "dil_ps", "dil_pf", "dil_ss", "reptile", "mixup", "sam", "group_dro", "vrex", "irm", "coral"),
    *("fish", "fishr", "mldg", "erm + a very long list of settings=0.5", "ceiling"),
)
BACKBONES = ("rrdb_small", "unet")


def study(
    methods: Sequence[str] = METHODS,
    backbones: Sequence[str] = BACKBONES[:1],
    levels: Sequence[Level] = NOISE,
    seeds: int = 1,
    images: int = 3,
    recorded: bool = True,
) -> StudySummary:
    """A study of networks: every method a little better than the one before, every seed 0.1 dB, image k better by k."""
    networks = [(b, m, seed) for b in range(len(backbones)) for m in range(len(methods)) for seed in range(seeds)]
    results = [
        _result(methods[m], backbones[b], seed, level, k, _gain(m / len(methods), b, seed, i / len(levels)))
        for b, m, seed in networks
        for i, level in enumerate(levels)
        for k in range(images)
    ]
    records = [_record(methods[m], backbones[b], seed, m / len(methods), levels) for b, m, seed in networks]
    return StudySummary(results, records if recorded else [])


def pictures(of: StudySummary, images: int = 2, side: int = 32) -> list[GalleryPicture]:
    """Pictures of stripes under noise, the less the better the entry is."""
    shown = []
    for k in range(images):
        clean = _stripes(k, side)
        for i, (split, distortion, degree) in enumerate(of.levels):
            for label in ("clean", "input", *of.methods):
                sigma = 0.0 if label == "clean" else 6.0 * (i + 1) / (1 + ("clean", "input", *of.methods).index(label))
                noise = np.random.default_rng([k, i]).normal(0, max(sigma, 1e-9), clean.shape)
                pixels = np.clip(clean + noise, 0, 255).round().astype(np.uint8)
                psnr = None if label == "clean" else 20 * math.log10(255 / sigma)
                shown.append(GalleryPicture(f"embedded/{k}.png", distortion, degree, split, label, psnr, pixels))
    return shown


def _gain(skill: float, backbone: int, seed: int, severity: float) -> float:
    return 6 * severity * skill + 0.5 * backbone + (0.1 + 0.2 * skill) * seed - 1


def _result(method: str, backbone: str, seed: int, level: Level, image: int, gain: float) -> ImageResult:
    split, distortion, degree = level
    distorted = 34 - (degree / 3 if isinstance(degree, float) else len(degree) / 4)
    return result(
        run=f"{method}-{seed}",
        protocol="made up",
        method=method,
        backbone=backbone,
        seed=seed,
        budget="12000 gradient evaluations",
        split=split,
        distortion=distortion,
        degree=degree,
        image=f"{image}.png",
        psnr=distorted + gain + 0.5 * image,
        ssim=0.8 + gain / 50,
        input_psnr=distorted,
        input_ssim=0.5,
        invariance=30 + gain,
    )


def _record(method: str, backbone: str, seed: int, skill: float, levels: Sequence[Level]) -> RunRecord:
    steps = [1000 * (k + 1) for k in range(12)]
    seen = [f"{distortion}:{degree}" for split, distortion, degree in levels if split == "seen"]
    curve = [
        {
            "step": step,
            "evaluations": 1.0 * step,
            "seconds": step * (0.004 + 0.2 * skill),
            "waiting": 0.01,
            "loss": 0.1 / math.sqrt(step),
            "seen_psnr": 30 - 800 / step + skill + 0.05 * seed,
            "held_out_psnr": 27 - 900 / step + 2 * skill + 0.05 * seed,
        }
        for step in steps
    ]
    diagnoses = [
        {
            "step": step,
            "evaluations": 1.0 * step,
            "gradient_cosine": math.tanh(step / 9000 * (1 - skill)),
            "distance": 0.1 * math.log(step) * (1 + skill),
            "losses": {name: (i + 1) / math.sqrt(step) for i, name in enumerate(seen)},
            "net_biases": {name: 0.1 * (i + 1) * (1.2 - skill) for i, name in enumerate(seen)},
            **({"virtual_step": 0.02 + 1 / step, "curvature": None} if method.startswith("dil") else {}),
        }
        for step in steps[::2]
    ]
    return replace(
        make_record(method, seed, backbone),
        lr=1e-4,
        evaluations=12000.0,
        steps=12000,
        seconds=curve[-1]["seconds"],
        curve=curve,
        diagnoses=diagnoses,
    )


def _stripes(image: int, side: int) -> NDArray[np.float64]:
    """A pattern of its own for each image, shape (side, side, 3)."""
    y, x = np.mgrid[:side, :side] / side
    channels = [127 + 100 * np.sin(9 * (x + image * y) + 2 * i * (x - y)) for i in range(3)]
    return np.stack(channels, axis=-1)
