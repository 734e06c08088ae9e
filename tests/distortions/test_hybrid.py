"""RL-Restore's hybrid distortion: its classes counted anew, its draws in their bins, its parts by other libraries."""

from __future__ import annotations

import io
import math
from typing import get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, stats
from torch import Tensor

from unseen.core.randomness import generator
from unseen.distortions import Hybrid, Parameters
from unseen.distortions.hybrid import Dominant, Severity

SUMS = {"mild": (11, 13), "moderate": (14, 19), "severe": (20, 22)}  # of k + m + n: severity + 2
EDGES = (100, 80, 60, 50, 40, 35, 30, 25, 20, 15, 10)  # of JPEG quality (Yu et al. 2018)


def bins(parameters: Parameters) -> NDArray[np.int64]:
    """(n, 3): the bins that drawn values lie in. A quality on an edge belongs to the weaker side."""
    blur = np.floor(parameters["0.sigma"].numpy() / 0.5)
    noise = np.floor(parameters["1.sigma"].numpy() / 5)
    jpeg = [next(i for i in range(10) if quality >= EDGES[i + 1]) for quality in parameters["2.quality"].tolist()]
    return np.stack([blur, noise, np.array(jpeg)], axis=1).astype(np.int64) + 1


@pytest.mark.parametrize(("severity", "count"), [("mild", 163), ("moderate", 434), ("severe", 163)])
def test_classes_have_their_triples(severity: Severity, count: int) -> None:
    """The coefficients of (x + … + x¹⁰)³ count the triples of every sum."""
    tenfold = np.array([0] + [1] * 10)
    by_sum = np.convolve(np.convolve(tenfold, tenfold), tenfold)
    low, high = SUMS[severity]
    assert by_sum[low : high + 1].sum() == count
    assert len(Hybrid(severity).classes) == count
    assert {sum(triple) for triple in Hybrid(severity).classes} == set(range(low, high + 1))


@pytest.mark.parametrize(("severity", "count", "left"), [("mild", 54, 1), ("moderate", 144, 2), ("severe", 54, 1)])
def test_the_dominated_parts_of_a_class_are_equal_and_disjoint(severity: Severity, count: int, left: int) -> None:
    parts = [Hybrid(severity, dominant).classes for dominant in ("blur", "noise", "jpeg")]
    assert [len(part) for part in parts] == [count] * 3
    assert len(frozenset.union(*parts)) == 3 * count
    rest = Hybrid(severity).classes - frozenset.union(*parts)
    assert len(rest) == left
    assert all(k == m == n for k, m, n in rest)
    for position, part in enumerate(parts):
        assert all(triple[position] == max(triple) for triple in part)


def test_words_differ_and_overlaps_tell_what_is_shared() -> None:
    every = [Hybrid(severity, dominant) for severity in get_args(Severity) for dominant in get_args(Dominant)]
    assert len({hybrid.degree for hybrid in every}) == len(every)
    assert Hybrid("severe").degree == "severe"
    for one in every:
        for other in every:
            same_words = one.dominant == other.dominant or "any" in (one.dominant, other.dominant)
            assert one.overlaps(other) is (one.severity == other.severity and same_words)


@pytest.mark.parametrize("hybrid", [Hybrid("mild"), Hybrid("moderate"), Hybrid("severe"), Hybrid("severe", "noise")])
def test_triples_are_drawn_evenly(hybrid: Hybrid) -> None:
    cells = len(hybrid.classes)
    drawn, counts = np.unique(bins(hybrid.sample(generator(7), 40 * cells)), axis=0, return_counts=True)
    assert {(k, m, n) for k, m, n in drawn.tolist()} == hybrid.classes
    assert ((counts - 40) ** 2 / 40).sum() < stats.chi2.ppf(0.999, cells - 1)


def test_values_are_drawn_evenly_in_their_bins() -> None:
    parameters = Hybrid("moderate").sample(generator(8), 6000)
    for name, width, high in (("0.sigma", 0.5, 5), ("1.sigma", 5, 50)):
        values = parameters[name].numpy()
        assert 0 <= values.min() < values.max() <= high
        assert stats.kstest(values / width % 1, "uniform").pvalue > 0.001
    quality = parameters["2.quality"]
    assert quality.dtype == torch.int64
    found = bins(parameters)[:, 2]
    for i in range(10):
        inside = quality.numpy()[found == i + 1]
        allowed = range(EDGES[i + 1], EDGES[i] + (i == 0))
        counts = np.array([(inside == q).sum() for q in allowed])
        assert counts.sum() == len(inside)
        assert stats.chisquare(counts).pvalue > 0.001


def photo(size: tuple[int, int], n: int = 1) -> Tensor:
    """Smooth, with edges and colours. Float64."""
    y, x = torch.meshgrid(*(torch.linspace(0, 1, s, dtype=torch.float64) for s in size), indexing="ij")
    planes = [(0.5 + 0.4 * torch.sin(7 * x + i) * torch.cos(5 * y - i)) * (0.6 + 0.4 * (x > 0.5)) for i in range(3)]
    return torch.stack(planes)[None].repeat(n, 1, 1, 1)


def test_blur_comes_before_jpeg_and_both_are_what_other_libraries_make() -> None:
    """With noise of σ 0: a 21×21 Gaussian by SciPy, its border replicated, then Pillow."""
    hybrid, clean = Hybrid("severe"), photo((40, 56))
    parameters = hybrid.sample(generator(2), 1) | {"1.sigma": torch.zeros(1, dtype=torch.float64)}
    sigma, quality = float(parameters["0.sigma"]), int(parameters["2.quality"])
    line = np.exp(-(np.arange(-10, 11) ** 2) / (2 * sigma**2))
    kernel = np.outer(line, line) / line.sum() ** 2
    blurred = np.stack([ndimage.convolve(plane, kernel, mode="nearest") for plane in clean[0].numpy()], axis=2)
    file = io.BytesIO()
    Image.fromarray(np.round(blurred.clip(0, 1) * 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
    expected = np.asarray(Image.open(file)) / 255
    found = hybrid.apply(clean, parameters)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_noise_is_not_blurred() -> None:
    """Flat gray at quality 100: white noise of its σ, up to JPEG's rounding and its half-size colours."""
    hybrid, gray = Hybrid("severe"), torch.full((1, 1, 96, 96), 0.5, dtype=torch.float64)
    parameters = hybrid.sample(generator(3), 1) | {
        "0.sigma": torch.tensor([4.0], dtype=torch.float64),
        "1.sigma": torch.tensor([20.0], dtype=torch.float64),
        "2.quality": torch.tensor([100]),
    }
    field = 255 * (hybrid.apply(gray, parameters) - 0.5)
    n = field.numel()
    assert float(field.std()) == pytest.approx(20, abs=4 * 20 / math.sqrt(2 * n) + 0.05)  # rounding adds 1/6 to 400
    neighbours = float((field[..., 1:] * field[..., :-1]).mean()) / 20**2
    assert abs(neighbours) < 4 / math.sqrt(n)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (5, 3), (33, 17), (48, 48)])
def test_hybrids_are_replayed_at_any_size(size: tuple[int, int]) -> None:
    hybrid = Hybrid("severe", "blur")
    clean = torch.rand(5, 3, *size, generator=generator(0))
    untouched = clean.clone()
    parameters = hybrid.sample(generator(3), 5)
    assert all(len(values) == 5 for values in parameters.values())
    first = hybrid.apply(clean, parameters)
    assert torch.equal(clean, untouched)
    assert first.shape == clean.shape
    assert 0 <= float(first.min()) <= float(first.max()) <= 1
    assert torch.equal(first, hybrid.apply(clean, hybrid.sample(generator(3), 5)))
    assert not torch.equal(first, hybrid.apply(clean, hybrid.sample(generator(4), 5)))
    assert torch.equal(first, hybrid.apply(clean.contiguous(memory_format=torch.channels_last), parameters))
    singles = [
        hybrid.apply(clean[i : i + 1], {name: values[i : i + 1] for name, values in parameters.items()})
        for i in range(5)
    ]
    assert torch.equal(first, torch.cat(singles))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_hybrids_keep_the_dtype(dtype: torch.dtype) -> None:
    hybrid = Hybrid("mild")
    assert hybrid.apply(photo((9, 9), 2).to(dtype), hybrid.sample(generator(0), 2)).dtype == dtype


def test_more_severe_is_further_from_the_clean_image() -> None:
    clean = photo((48, 48), 60)
    errors = []
    for severity in get_args(Severity):
        hybrid = Hybrid(severity)
        errors.append(float((hybrid.apply(clean, hybrid.sample(generator(5), 60)) - clean).square().mean()))
    assert errors == sorted(errors)


@pytest.mark.parametrize(("severity", "dominant"), [("harsh", "any"), ("severe", "colour")])
def test_other_words_are_refused(severity: Severity, dominant: Dominant) -> None:
    with pytest.raises(ValueError, match="is none of"):
        Hybrid(severity, dominant)
