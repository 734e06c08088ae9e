"""Real-ESRGAN's degradations: draws against the published table, passes against other libraries and closed forms."""

from __future__ import annotations

import io
import math
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import special, stats
from torch import Tensor

from unseen.core.randomness import generator
from unseen.distortions import Parameters, RealESRGAN
from unseen.distortions.composition import unprefixed
from unseen.distortions.real_esrgan import FIRST_PASS, KERNELS, RESIZE_MODES, NoiseKind, Strength

N = 20_000
DRAWN = RealESRGAN(2).sample(generator(11), N)
FAMILIES = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
# Wang et al. 2021, section 4.1, and the configuration published with it; passes one and two.
BLURRED, UP, DOWN, FACTORS = (1, 0.8), (0.2, 0.3), (0.7, 0.4), ((0.15, 1.5), (0.3, 1.2))
SIGMA, GAUSSIAN, POISSON = ((0.2, 3), (0.2, 1.5)), ((1, 30), (1, 25)), ((0.05, 3), (0.05, 2.5))


def row(parameters: Parameters, i: int) -> Parameters:
    return {name: values[i : i + 1] for name, values in parameters.items()}


def require_share(found: Tensor, share: float) -> None:
    """Within four standard deviations of a binomial share."""
    n = len(found)
    assert abs(float(found.double().mean()) - share) <= 4 * math.sqrt(share * (1 - share) / n)


def require_uniform(found: Tensor, low: float, high: float) -> None:
    assert low <= float(found.min()) <= float(found.max()) <= high
    assert stats.kstest((found.numpy() - low) / (high - low), "uniform").pvalue > 1e-4


@pytest.mark.parametrize("i", [0, 1])
def test_kernels_have_their_shares_and_ranges(i: int) -> None:
    own = unprefixed(str(i + 1), DRAWN)
    shares = [BLURRED[i] * 0.9 * share for share in FAMILIES] + [BLURRED[i] * 0.1, 1 - BLURRED[i]]
    for kernel, share in enumerate(shares):
        require_share(own["kernel"] == kernel, share)
    for size in range(7, 22, 2):
        require_share(own["size"] == size, 1 / 8)
    circles = (own["kernel"] == 0) | (own["kernel"] == 2) | (own["kernel"] == 4)
    ellipses = (own["kernel"] == 1) | (own["kernel"] == 3) | (own["kernel"] == 5)
    assert torch.equal(own["sigma_x"][circles], own["sigma_y"][circles])
    for axis in ("sigma_x", "sigma_y"):
        require_uniform(own[axis][ellipses], *SIGMA[i])
    correlation = torch.corrcoef(torch.stack([own["sigma_x"], own["sigma_y"]])[:, ellipses])[0, 1]
    assert abs(float(correlation)) < 4 / math.sqrt(int(ellipses.sum()))
    require_uniform(own["theta"][ellipses], -math.pi, math.pi)


@pytest.mark.parametrize("i", [0, 1])
def test_shapes_of_kernels_and_cutoffs(i: int) -> None:
    own = unprefixed(str(i + 1), DRAWN)
    generalised = own["beta"][(own["kernel"] == 2) | (own["kernel"] == 3)]
    require_share(generalised < 1, 0.5)
    require_uniform(generalised[generalised < 1], 0.5, 1)
    require_uniform(generalised[generalised > 1], 1, 4)
    plateau = own["beta"][(own["kernel"] == 4) | (own["kernel"] == 5)]
    require_share(plateau == 1, 0.5)
    require_uniform(plateau[plateau > 1], 1, 2)
    require_uniform(own["cutoff"][own["size"] < 13], math.pi / 3, math.pi)
    require_uniform(own["cutoff"][own["size"] >= 13], math.pi / 5, math.pi)


@pytest.mark.parametrize("i", [0, 1])
def test_resizing_noise_and_jpeg_have_their_shares_and_ranges(i: int) -> None:
    own = unprefixed(str(i + 1), DRAWN)
    factor = own["factor"]
    require_share(factor > 1, UP[i])
    require_share(factor < 1, DOWN[i])
    require_uniform(factor[factor > 1], 1, FACTORS[i][1])
    require_uniform(factor[factor < 1], FACTORS[i][0], 1)
    for mode in range(3):
        require_share(own["mode"] == mode, 1 / 3)
    for noise, share in enumerate((0.3, 0.2, 0.3, 0.2)):  # Gaussian in colour and gray, Poisson in colour and gray
        require_share(own["noise.choice"] == noise, share)
        values = own[f"noise.{noise}.sigma" if noise < 2 else f"noise.{noise}.strength"]
        require_uniform(values, *(GAUSSIAN if noise < 2 else POISSON)[i])
    quality = own["quality"]
    assert quality.dtype == torch.int64
    assert (int(quality.min()), int(quality.max())) == (30, 95)
    assert float(quality.double().mean()) == pytest.approx(62.5, abs=4 * 65 / math.sqrt(12 * N))


def test_ends_have_their_shares_and_ranges() -> None:
    require_share(DRAWN["end.filtered"] == 1, 0.8)
    require_share(DRAWN["end.jpeg_first"] == 1, 0.5)
    require_uniform(DRAWN["end.cutoff"], math.pi / 3, math.pi)
    for mode in range(3):
        require_share(DRAWN["end.mode"] == mode, 1 / 3)
    for size in range(7, 22, 2):
        require_share(DRAWN["end.size"] == size, 1 / 8)


def test_one_order_is_the_first_pass_alone() -> None:
    first = RealESRGAN(1).sample(generator(11), N)
    assert {name for name in DRAWN if not name.startswith("2.")} == set(first)
    for name, values in first.items():
        if name.startswith("1."):
            assert torch.equal(values, DRAWN[name])


def test_the_four_kinds_of_last_noise_together_are_the_whole() -> None:
    """What confounders draw evenly is what the published pipeline draws, and no two share anything."""
    order: Literal[1, 2]
    for order in (1, 2):
        noises: tuple[NoiseKind, ...] = ("gaussian", "poisson")
        strengths: tuple[Strength, ...] = ("weak", "strong")
        cells = [RealESRGAN(order, noise=noise, strength=strength) for noise in noises for strength in strengths]
        assert len({cell.degree for cell in cells} | {RealESRGAN(order).degree}) == 5
        assert frozenset.union(*(cell.classes for cell in cells)) == RealESRGAN(order).classes
        assert sum(len(cell.classes) for cell in cells) == len(RealESRGAN(order).classes)
        drawn = [cell.sample(generator(i), N // 4) for i, cell in enumerate(cells)]
        pooled = {name: torch.cat([one[name] for one in drawn]) for name in drawn[0]}
        last = f"{order}.noise."
        for noise, share in enumerate((0.3, 0.2, 0.3, 0.2)):
            require_share(pooled[f"{last}choice"] == noise, share)
            name = f"{last}{noise}.{'sigma' if noise < 2 else 'strength'}"
            chosen = pooled[f"{last}choice"] == noise
            require_uniform(pooled[name][chosen], *(GAUSSIAN if noise < 2 else POISSON)[order - 1])
        for one, cell in zip(drawn, cells, strict=True):
            assert set((one[f"{last}choice"] // 2).tolist()) == {("gaussian", "poisson").index(cell.noise)}
            (low, high), strong = GAUSSIAN[order - 1], cell.strength == "strong"
            middle = (low + high) / 2
            require_uniform(one[f"{last}0.sigma"], *((middle, high) if strong else (low, middle)))
            assert cell.overlaps(RealESRGAN(order))
            assert [cell.overlaps(other) for other in cells] == [cell == other for other in cells]
    assert RealESRGAN(2, noise="gaussian", strength="weak").degree == "second order, weak gaussian noise"
    assert not RealESRGAN(1).overlaps(RealESRGAN(2))


def undistorted(order: Literal[1, 2], **changes: float) -> Parameters:
    """A draw with every operation left out or made harmless but JPEG, and then changed by name."""
    harmless: dict[str, float] = {"end.filtered": 0, "end.mode": RESIZE_MODES.index("area"), "end.jpeg_first": 1}
    for i in range(1, order + 1):
        off = {"kernel": KERNELS.index("none"), "factor": 1, "mode": 0, "noise.choice": 0, "noise.0.sigma": 0}
        harmless |= {f"{i}.{name}": value for name, value in off.items()} | {f"{i}.quality": 40 + 10 * i}
    drawn = RealESRGAN(order).sample(generator(0), 1)
    return drawn | {name: torch.full_like(drawn[name], value) for name, value in (harmless | changes).items()}


def photo(size: tuple[int, int], n: int = 1) -> Tensor:
    """Smooth, with edges and colours. Float64 (n, 3, H, W)."""
    y, x = torch.meshgrid(*(torch.linspace(0, 1, s, dtype=torch.float64) for s in size), indexing="ij")
    planes = [(0.5 + 0.4 * torch.sin(7 * x + i) * torch.cos(5 * y - i)) * (0.6 + 0.4 * (x > 0.5)) for i in range(3)]
    return torch.stack(planes)[None].repeat(n, 1, 1, 1)


def pillow(image: NDArray[np.float64], quality: int) -> NDArray[np.float64]:
    """(H, W, 3) through a file."""
    file = io.BytesIO()
    Image.fromarray(np.round(image * 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)) / 255.0


def boxes(image: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Means over squares: what the mode `area` does at whole factors."""
    height, width, channels = image.shape
    means: NDArray[np.float64] = image.reshape(height // side, side, width // side, side, channels).mean(axis=(1, 3))
    return means


def rounded(image: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.round(image * 255) / 255


def test_passes_come_in_their_order() -> None:
    """With JPEG and area resizing alone, each pipeline is a few lines of Pillow and NumPy."""
    clean = photo((48, 32))
    pixels = clean[0].permute(1, 2, 0).numpy()
    expected = {
        (1, 1, 1.0): rounded(boxes(pillow(pixels, 50), 4)),
        (1, 0, 1.0): pillow(boxes(pixels, 4), 50),
        (1, 1, 0.5): rounded(boxes(pillow(boxes(pixels, 2), 50), 2)),
        (2, 1, 1.0): pillow(boxes(pillow(pixels, 50), 4), 60),
        (2, 0, 0.5): pillow(boxes(pillow(boxes(pixels, 2), 50), 2), 60),
    }
    for (order, jpeg_first, factor), wanted in expected.items():
        changes = {"end.jpeg_first": jpeg_first, "1.factor": factor}
        degraded = RealESRGAN(1 if order == 1 else 2).apply(clean, undistorted(1 if order == 1 else 2, **changes))
        np.testing.assert_allclose(degraded[0].permute(1, 2, 0).numpy(), wanted, atol=1e-12)


def test_factors_of_the_second_pass_are_of_the_final_size() -> None:
    """Half of 12×8 is 6×4: the final enlargement by area repeats each of its pixels."""
    found = RealESRGAN(2).apply(photo((48, 32)), undistorted(2, **{"2.factor": 0.5}))[0]
    assert found.shape == (3, 12, 8)
    assert torch.equal(found[:, ::2, ::2].repeat_interleave(2, 1).repeat_interleave(2, 2), found)


@pytest.mark.parametrize("kernel", range(8))
@pytest.mark.parametrize("size", [7, 15])
def test_kernels_are_their_formulas(kernel: int, size: int) -> None:
    """An impulse of 0.2 on gray, so that negative lobes of a sinc are not cut off with the noise's clipping."""
    sigma_x, beta, cutoff = 1.2, 1.7, 1.9
    sigma_y, theta = (2.5, 0.4) if kernel % 2 else (sigma_x, 0.0)
    changes = {"kernel": kernel, "size": size, "sigma_x": sigma_x, "sigma_y": sigma_y, "theta": theta}
    changes |= {"beta": beta, "cutoff": cutoff}
    own = unprefixed("1", undistorted(1))
    own |= {name: torch.full_like(own[name], value) for name, value in changes.items()}
    impulse = torch.full((1, 1, 31, 31), 0.4, dtype=torch.float64)
    impulse[..., 15, 15] += 0.2
    found = (FIRST_PASS.apply([impulse], (31, 31), own)[0][0, 0].numpy() - 0.4) / 0.2

    y, x = np.mgrid[-(size // 2) : size // 2 + 1, -(size // 2) : size // 2 + 1].astype(float)
    turn = np.array([[math.cos(theta), -math.sin(theta)], [math.sin(theta), math.cos(theta)]])
    inverse = np.linalg.inv(turn @ np.diag([sigma_x**2, sigma_y**2]) @ turn.T)
    q = inverse[0, 0] * x**2 + 2 * inverse[0, 1] * x * y + inverse[1, 1] * y**2
    r = np.hypot(x, y)
    sinc = np.where(
        r == 0, cutoff**2 / (4 * math.pi), cutoff * special.j1(cutoff * r) / (2 * math.pi * np.maximum(r, 1))
    )
    formulas = [np.exp(-q / 2), np.exp(-(q**beta) / 2), 1 / (1 + q**beta)]
    expected = [*np.repeat(np.array(formulas), 2, axis=0), sinc, np.where(r == 0, 1.0, 0.0)][kernel]
    wanted = np.pad(expected / expected.sum(), 15 - size // 2)
    np.testing.assert_allclose(found, wanted, atol=1e-7)  # torch's J₁ is good to 1e-7


def test_the_final_sinc_rings_and_is_clipped_and_rounded() -> None:
    """At a step from black to white after JPEG: over- and undershoot are cut off, ringing stays within."""
    step = torch.zeros(1, 3, 64, 64, dtype=torch.float64)
    step[..., 32:] = 1
    changes = {"end.filtered": 1, "end.size": 21, "end.cutoff": math.pi / 3, "1.quality": 95}
    found = RealESRGAN(1, scale=1).apply(step, undistorted(1, **changes))
    assert (float(found.min()), float(found.max())) == (0, 1)
    torch.testing.assert_close(found * 255, (found * 255).round(), rtol=0, atol=1e-9)
    columns = found[0, 0, 32]
    assert float(columns[:31].max()) > 0.01  # lobes left of the step
    without = RealESRGAN(1, scale=1).apply(step, undistorted(1, **{"1.quality": 95}))
    assert float(without[0, 0, 32, :31].max()) < 0.01


def test_flat_gray_stays_gray_in_the_mean() -> None:
    """Blur and resizing keep a constant, weak noise and JPEG move it by little.

    At most σ 15.5 on at least 81 independent pixels, and half a step of 27 / 8 gray levels at quality 30.
    """
    degradation = RealESRGAN(1, noise="gaussian", strength="weak")
    images = torch.full((40, 3, 64, 64), 0.5)
    means = degradation.apply(images, degradation.sample(generator(6), 40)).mean(dim=(1, 2, 3))
    spread = math.hypot(15.5 / math.sqrt(81), 27 / 8 / 2) / 255
    assert float((means - 0.5).abs().max()) < 4 * spread
    assert abs(float(means.mean()) - 0.5) < 4 * spread / math.sqrt(40)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(
    ("size", "scale"), [((4, 4), 4), ((8, 4), 4), ((20, 36), 4), ((3, 5), 1), ((1, 1), 1), ((14, 2), 2)]
)
def test_degradations_are_replayed_at_any_size(order: Literal[1, 2], size: tuple[int, int], scale: int) -> None:
    degradation = RealESRGAN(order, scale)
    assert degradation.scale == scale
    clean = torch.rand(6, 3, *size, generator=generator(0))
    untouched = clean.clone()
    parameters = degradation.sample(generator(3), 6)
    assert all(len(values) == 6 for values in parameters.values())
    first = degradation.apply(clean, parameters)
    assert torch.equal(clean, untouched)
    assert first.shape == (6, 3, size[0] // scale, size[1] // scale)
    assert 0 <= float(first.min()) <= float(first.max()) <= 1
    assert torch.equal((first * 255).round() / 255, first)
    assert torch.equal(first, degradation.apply(clean, degradation.sample(generator(3), 6)))
    assert torch.equal(first, degradation.apply(clean.contiguous(memory_format=torch.channels_last), parameters))
    singles = torch.cat([degradation.apply(clean[i : i + 1], row(parameters, i)) for i in range(6)])
    assert torch.equal(first, singles)


def test_draws_differ_between_images_and_seeds() -> None:
    degradation, clean = RealESRGAN(2), photo((32, 32), 3).float()
    first, second = (degradation.apply(clean, degradation.sample(generator(seed), 3)) for seed in (1, 2))
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_degradations_keep_dtype_and_channels(dtype: torch.dtype, channels: int) -> None:
    degradation = RealESRGAN(2)
    found = degradation.apply(photo((16, 16), 8)[:, :channels].to(dtype), degradation.sample(generator(0), 8))
    assert found.dtype == dtype
    assert found.shape == (8, channels, 4, 4)


def test_what_does_not_fit_is_refused() -> None:
    degradation = RealESRGAN(1)
    with pytest.raises(ValueError, match="18×16 pixels do not divide by the scale 4"):
        degradation.apply(torch.rand(1, 3, 18, 16), degradation.sample(generator(0), 1))
    for settings in (
        {"order": 3},
        {"order": 1, "scale": 0},
        {"order": 1, "noise": "any?"},
        {"order": 2, "strength": 1},
    ):
        with pytest.raises(ValueError, match=f"^{list(settings)[-1]} "):
            RealESRGAN(**settings)
