"""Kernels against closed forms and moments, convolution against scipy."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import cast

import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from support.contract import check_contract
from torch import Tensor

from unseen.core.randomness import generator
from unseen.core.registry import build
from unseen.distortions import Distortion
from unseen.distortions.blur import (
    Blur,
    DefocusBlur,
    GaussianBlur,
    GeneralisedGaussianBlur,
    MotionBlur,
    PlateauBlur,
    SincBlur,
)
from unseen.distortions.kernels import (
    Border,
    camera_paths,
    convolve,
    disc_kernels,
    gaussian_blur,
    gaussian_kernels,
    generalised_gaussian_kernels,
    path_kernels,
    plateau_kernels,
    sinc_kernels,
)

BLURS: list[Blur] = [
    GaussianBlur((0, 4)),
    GaussianBlur((0.2, 3), ratio=(0.3, 1), border="replicate"),
    GaussianBlur((0, 5), size=21, border="replicate"),
    GeneralisedGaussianBlur((0.2, 3), (0.5, 4), ratio=(0.3, 1)),
    PlateauBlur((0.2, 3), (1, 2), size=13),
    SincBlur((math.pi / 3, math.pi)),
    DefocusBlur((0, 5)),
    MotionBlur((0, 15)),
]
SCIPYS_NAME: dict[Border, str] = {"reflect": "mirror", "replicate": "nearest"}


def one(family: Callable[..., Tensor], *values: float, size: int) -> Tensor:
    """The kernels (1, size, size) of one image."""
    return family(*(torch.tensor([value], dtype=torch.float64) for value in values), size)


def moments(kernels: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (n, 2) and the covariance (n, 2, 2) of (x, y) under kernels."""
    offsets = torch.arange(kernels.shape[-1], dtype=torch.float64) - kernels.shape[-1] // 2
    y, x = torch.meshgrid(offsets, offsets, indexing="ij")
    places = torch.stack([x, y])
    mean = torch.einsum("nij,aij->na", kernels, places)
    second = torch.einsum("nij,aij,bij->nab", kernels, places, places)
    return mean, second - mean[:, :, None] * mean[:, None, :]


def rotated(along: float, across: float, theta: float) -> Tensor:
    """The covariance with these variances along the direction theta and across it."""
    turn = torch.tensor([[math.cos(theta), -math.sin(theta)], [math.sin(theta), math.cos(theta)]], dtype=torch.float64)
    return turn @ torch.diag(torch.tensor([along, across], dtype=torch.float64)) @ turn.T


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("size", "channels"), [((1, 1), 3), ((1, 7), 1), ((3, 5), 3), ((17, 33), 1), ((32, 24), 3)])
@pytest.mark.parametrize("blur", BLURS, ids=repr)
def test_blurs_keep_the_contract(blur: Blur, size: tuple[int, int], channels: int, dtype: torch.dtype) -> None:
    check_contract(blur, size, channels, dtype)


@pytest.mark.parametrize("blur", BLURS, ids=repr)
def test_flat_images_stay_flat_and_impulses_become_the_kernel(blur: Blur) -> None:
    parameters = blur.sample(generator(5), 4)
    flat = torch.full((4, 3, 9, 12), 0.3, dtype=torch.float64)
    assert float((blur.apply(flat, parameters) - 0.3).abs().max()) < 1e-12

    kernels = blur.kernels(parameters)
    side = kernels.shape[-1]
    impulse = torch.zeros(4, 1, side, side, dtype=torch.float64)
    impulse[:, :, side // 2, side // 2] = 1
    expected = kernels.clamp_min(0)[:, None]  # the image is clipped
    # The mirrored impulse reaches the outermost pixels.
    inner = slice(1, -1) if side > 2 else slice(None)
    assert float((blur.apply(impulse, parameters) - expected)[..., inner, inner].abs().max()) < 1e-12


@pytest.mark.parametrize("border", ["reflect", "replicate"])
@pytest.mark.parametrize("size", [(24, 31), (6, 5), (2, 3), (1, 4)])
def test_convolution_equals_scipys_where_images_are_smaller_than_kernels(size: tuple[int, int], border: Border) -> None:
    draws = np.random.default_rng(0)
    images, kernels = draws.random((3, 2, *size)), draws.random((3, 9, 9))
    found = convolve(torch.from_numpy(images), torch.from_numpy(kernels), border)
    expected = [
        [ndimage.convolve(channel, kernel, mode=SCIPYS_NAME[border]) for channel in image]
        for image, kernel in zip(images, kernels, strict=True)
    ]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("border", ["reflect", "replicate"])
@pytest.mark.parametrize("sigma", [0.4, 1.6, 5.0])
@pytest.mark.parametrize("size", [(40, 33), (7, 5)])
def test_gaussian_blur_equals_scipys(size: tuple[int, int], sigma: float, border: Border) -> None:
    image = np.random.default_rng(0).random(size)
    blur = GaussianBlur(sigma, border=border)
    found = blur.apply(torch.from_numpy(image)[None, None], blur.sample(generator(0), 1))[0, 0]
    expected = ndimage.gaussian_filter(image, sigma, mode=SCIPYS_NAME[border], radius=math.ceil(4 * sigma))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    single = blur.apply(torch.from_numpy(image)[None, None].float(), blur.sample(generator(0), 1))[0, 0]
    np.testing.assert_allclose(single.numpy(), expected, atol=1e-6)


def test_one_dimensional_passes_equal_the_kernels_in_two() -> None:
    images = torch.rand(3, 2, 12, 15, dtype=torch.float64, generator=generator(0))
    sigma = torch.tensor([0.0, 1.3, 4.0], dtype=torch.float64)
    expected = convolve(images, gaussian_kernels(sigma, sigma, torch.ones(3, dtype=torch.float64), 21), "reflect")
    assert float((gaussian_blur(images, sigma, 21, "reflect") - expected).abs().max()) < 1e-14


@pytest.mark.parametrize(
    "blur", [GaussianBlur(0), GaussianBlur(0, size=5, ratio=0.5), DefocusBlur(0.5), MotionBlur(0), MotionBlur((0, 0))]
)
def test_blurs_of_no_extent_change_nothing(blur: Distortion) -> None:
    clean = torch.rand(3, 3, 8, 9)
    assert torch.equal(blur.apply(clean, blur.sample(generator(0), 3)), clean)


def test_gaussian_kernels_are_the_density_of_their_covariance() -> None:
    """Up to normalisation; σ_x lies along θ, which turns from x (columns) towards y (rows)."""
    y, x = np.mgrid[-10:11, -10:11]
    for along, across, theta in ((3.0, 1.5, 0.0), (3.0, 1.5, 0.6), (1.2, 2.5, 2.0), (2.0, 2.0, 1.0)):
        covariance = rotated(along**2, across**2, theta)
        density = stats.multivariate_normal(cov=covariance.numpy()).pdf(np.stack([x, y], axis=-1))
        found = one(gaussian_kernels, along, across, theta, size=21)[0]
        np.testing.assert_allclose(found.numpy(), density / density.sum(), rtol=1e-9)


def test_gaussian_moments_are_those_that_were_asked_for() -> None:
    """Sampling at pixels changes them by exp(−2π²σ²) < 1e-8, cutting off at 6.6σ by less than 1e-8."""
    mean, covariance = moments(one(gaussian_kernels, 3.0, 1.0, 0.7, size=41))
    assert float(mean.abs().max()) < 1e-12
    assert float((covariance[0] - rotated(9, 1, 0.7)).abs().max()) < 1e-7


@pytest.mark.parametrize("beta", [0.5, 1.0, 4.0])
def test_shaped_kernels_are_their_function_of_the_squared_distance(beta: float) -> None:
    """Made linear in q^β, compared with numpy's xᵀ Σ⁻¹ x."""
    covariance = rotated(2.5**2, 1.5**2, 0.4).numpy()
    places = np.mgrid[-7:8, -7:8][::-1].reshape(2, -1)
    q = (places * np.linalg.solve(covariance, places)).sum(axis=0).reshape(15, 15)
    shown = q**beta < 200  # further out the generalised Gaussian underflows
    generalised = one(generalised_gaussian_kernels, 2.5, 1.5, 0.4, beta, size=15)[0].numpy()
    np.testing.assert_allclose(-2 * np.log((generalised / generalised[7, 7])[shown]), (q**beta)[shown], atol=1e-9)
    plateau = one(plateau_kernels, 2.5, 1.5, 0.4, beta, size=15)[0].numpy()
    np.testing.assert_allclose(plateau[7, 7] / plateau - 1, q**beta, rtol=1e-9, atol=1e-12)


def test_a_generalised_gaussian_of_shape_1_is_the_gaussian_and_of_a_large_one_an_ellipse() -> None:
    axes = (3.0, 2.0, 0.3)
    gaussian = one(gaussian_kernels, *axes, size=15)
    assert torch.allclose(one(generalised_gaussian_kernels, *axes, 1.0, size=15), gaussian, rtol=1e-12)
    flat = one(generalised_gaussian_kernels, *axes, 400.0, size=15)
    inside = (-2 * (gaussian / gaussian.max()).log() < 1).double()
    assert torch.allclose(flat, inside / inside.sum(), atol=1e-6)


@pytest.mark.parametrize("cutoff", [0.6, 1.5, 2.5])
def test_the_sinc_passes_what_lies_below_its_cutoff(cutoff: float) -> None:
    """Its Fourier transform is 1 below the cutoff and 0 above, but for the ripple of cutting it off R pixels away.

    That is greatest at frequency 0, and by the division with the sum everywhere: ∫ ω J₁(ωr) dr from R is J₀(ωR), at
    most √(2/πωR).
    """
    size = 201
    ripple = math.sqrt(2 / (math.pi * cutoff * (size // 2)))
    kernel = one(sinc_kernels, cutoff, size=size)[0]
    response = torch.fft.fft2(torch.fft.ifftshift(kernel)).real
    frequency = 2 * math.pi * torch.fft.fftfreq(size, dtype=torch.float64)
    radius = (frequency[:, None] ** 2 + frequency**2).sqrt()
    assert float((response[radius < cutoff - 0.1] - 1).abs().max()) < ripple
    assert float(response[radius > cutoff + 0.1].abs().max()) < ripple
    energy = float((kernel**2).sum())  # Parseval: the share of the frequencies that pass, πω²/(2π)²
    assert energy == pytest.approx(cutoff**2 / (4 * math.pi), rel=2 * ripple)


def test_the_sinc_overshoots_an_edge_as_gibbs_found_and_is_clipped() -> None:
    """An edge meets only the frequencies across it: a 1-D ideal low-pass, whose step rises to 1.0895."""
    step = one(sinc_kernels, 0.3, size=301)[0].sum(dim=0).cumsum(dim=0)
    assert float(step.max()) == pytest.approx(1.0895, abs=0.01)
    edge = (torch.arange(40) < 20).double().expand(1, 1, 40, 40)
    found = SincBlur(1.0).apply(edge, SincBlur(1.0).sample(generator(0), 1))
    assert (float(found.min()), float(found.max())) == (0, 1)


@pytest.mark.parametrize("radius", [0.3, 0.8, 1.0, math.sqrt(2), 2.5, 6.7])
def test_disc_kernels_are_the_shared_areas(radius: float) -> None:
    """Against counting 101 x 101 points a pixel, whose error is below the boundary's length over 101 per pixel."""
    size = 2 * math.ceil(radius + 0.5) + 1
    kernel = one(disc_kernels, radius, size=size)[0]
    areas = kernel * math.pi * radius**2  # the weights before normalisation: their sum is the disc's area
    fine = (np.arange(size * 101) + 0.5) / 101 - size / 2
    counted = (fine[:, None] ** 2 + fine**2 <= radius**2).reshape(size, 101, size, 101).mean(axis=(1, 3))
    np.testing.assert_allclose(areas.numpy(), counted, atol=0.006)
    corners = np.abs(np.mgrid[-(size // 2) : size // 2 + 1, -(size // 2) : size // 2 + 1]) + 0.5
    np.testing.assert_allclose(areas[np.hypot(*corners) <= radius].numpy(), 1, rtol=1e-12)
    np.testing.assert_allclose(areas[np.hypot(*(corners - 1).clip(0)) >= radius].numpy(), 0, atol=1e-12)


def test_a_disc_has_its_second_moment() -> None:
    """R²/4 a direction, and 1/12 for the pixel's own area.

    Poisson's sum: sampling adds 4 s' J' at the frequencies 2πk, of the pixel s' = 1/2πk and of the disc
    |J'| < R √(2/πz) 2/z, z = 2πkR: 0.065/√R for k = 1, and as much as a third of it for all others.
    """
    for radius in (2.0, 4.5, 9.0):
        _, covariance = moments(one(disc_kernels, radius, size=25))
        expected = (radius**2 / 4 + 1 / 12) * torch.eye(2, dtype=torch.float64)
        assert float((covariance[0] - expected).abs().max()) < 0.09 / math.sqrt(radius)


def test_a_point_is_spread_over_its_four_neighbours() -> None:
    kernel = path_kernels(torch.tensor([[[0.25, -0.5]]], dtype=torch.float64), size=3)[0]
    expected = torch.tensor([[0, 3 / 8, 1 / 8], [0, 3 / 8, 1 / 8], [0, 0, 0]], dtype=torch.float64)
    assert torch.allclose(kernel, expected)


def test_a_straight_camera_path_is_a_centred_line() -> None:
    """A line's variance is L²/12; bilinear weights add f(1 − f), 0 to 1/4, in each direction."""
    blur = MotionBlur((5, 20), bend=0)
    parameters = blur.sample(generator(1), 50)
    mean, covariance = moments(blur.kernels(parameters))
    assert float(mean.abs().max()) < 1e-12
    for found, length, angle in zip(covariance, parameters["length"], parameters["angle"], strict=True):
        added = found - rotated(float(length) ** 2 / 12 * (1 - 1 / 256**2), 0, float(angle))
        assert torch.all(torch.linalg.eigvalsh(added) > -0.15)
        assert 0 <= float(added.trace()) <= 0.5 + 1e-9


def test_bent_camera_paths_are_persistent_random_walks() -> None:
    """Kratky & Porod 1949: with P the length over which the heading is forgotten, the mean squared distance between
    ends is 2PL (1 − P/L (1 − exp(−L/P))). A heading of variance s b²/L after s has P = 2L/b² in the plane.
    """
    n, length, bend = 4000, 30.0, 2.0
    numbers = torch.arange(n)
    paths = camera_paths(torch.full((n,), length).double(), torch.zeros(n).double(), bend, numbers)
    strides = paths.diff(dim=1).norm(dim=2)
    assert float(strides.sum(dim=1).max()) <= length
    assert float(strides.sum(dim=1).min()) > 0.98 * length
    persistence = 2 * length / bend**2
    expected = 2 * persistence * length * (1 - persistence / length * (1 - math.exp(-length / persistence)))
    squares = (paths[:, -1] - paths[:, 0]).square().sum(dim=1)
    error = float(squares.std()) / math.sqrt(n)
    assert abs(float(squares.mean()) - expected) < 4 * error + 0.01 * expected  # 1 %: strides are not infinitely short


def test_bent_camera_paths_shift_nothing_and_lose_nothing() -> None:
    blur = MotionBlur((0, 25), bend=3)
    kernels = blur.kernels(blur.sample(generator(2), 300))
    assert kernels.shape[1:] == (27, 27)
    assert float(moments(kernels)[0].abs().max()) < 1e-12  # a point beyond the kernel would move the mean
    assert float(kernels.min()) >= 0
    assert torch.allclose(kernels.sum(dim=(1, 2)), torch.ones(300, dtype=torch.float64))


def test_every_image_has_a_draw_of_its_own() -> None:
    for blur in (MotionBlur(10), GaussianBlur(2, ratio=0.5)):  # at one degree: the path, the angle
        kernels = blur.kernels(blur.sample(generator(0), 20)).flatten(1)
        assert float(torch.pdist(kernels).min()) > 0
    drawn = GaussianBlur((1, 3), ratio=(0.5, 1)).sample(generator(0), 4000)
    for name, low, high in (("sigma", 1, 3), ("ratio", 0.5, 1), ("angle", 0, math.pi)):
        assert low <= float(drawn[name].min()) < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < float(drawn[name].max()) <= high
        assert float(drawn[name].mean()) == pytest.approx((low + high) / 2, abs=4 * (high - low) / math.sqrt(48000))


def test_kernels_grow_with_the_highest_sigma_unless_a_size_is_given() -> None:
    for blur, side in (
        (GaussianBlur(1), 9),
        (GaussianBlur((0.2, 5)), 41),
        (GaussianBlur(5, size=21), 21),
        (DefocusBlur(2.5), 5),
        (DefocusBlur(2.6), 7),
        (MotionBlur(7), 9),
    ):
        assert blur.kernels(blur.sample(generator(0), 2)).shape == (2, side, side)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(GaussianBlur, -1), "sigma"),
        (partial(GaussianBlur, math.nan), "sigma"),
        (partial(GaussianBlur, (3, 2)), "sigma"),
        (partial(GaussianBlur, 1, ratio=0), "ratio"),
        (partial(GaussianBlur, 1, ratio=1.5), "ratio"),
        (partial(GaussianBlur, 1, size=20), "size 20"),
        (partial(GaussianBlur, 1, border=cast(Border, "wrap")), "border 'wrap'"),
        (partial(GeneralisedGaussianBlur, 0, 1), "sigma"),
        (partial(GeneralisedGaussianBlur, 1, 0), "beta"),
        (partial(PlateauBlur, 1, 1, size=-1), "size -1"),
        (partial(SincBlur, 4), "cutoff"),
        (partial(SincBlur, 1, size=8), "size 8"),
        (partial(DefocusBlur, 101), "radius"),
        (partial(MotionBlur, -2), "length"),
        (partial(MotionBlur, 5, bend=-1), "bend"),
        (partial(convolve, torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 1), cast(Border, "wrap")), "border 'wrap'"),
    ],
)
def test_impossible_settings_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_blurs_are_made_from_words() -> None:
    known = {"gaussian_blur": GaussianBlur, "plateau_blur": PlateauBlur}
    spec = "gaussian_blur:[0.2,3],ratio=[0.5,1],size=21,border=replicate"
    assert build(spec, known, "seen", Blur) == GaussianBlur((0.2, 3), (0.5, 1), 21, "replicate")
    assert build("plateau_blur:2,1.5", known, "seen", Blur) == PlateauBlur(2, 1.5)
    assert GaussianBlur((0.2, 3)).degree == (0.2, 3)


@pytest.mark.parametrize("border", ["reflect", "replicate"])
@pytest.mark.parametrize("levels", [(3.0, 3.0), (1.0, 4.0)])
def test_a_round_blur_of_many_rows_is_that_of_its_kernels(border: Border, levels: tuple[float, float]) -> None:
    """More rows and columns than one product takes; of one σ, whose weights are made once, and of two."""
    images = torch.rand(2, 3, 70, 131, dtype=torch.float64, generator=generator(0))
    sigma = torch.tensor(levels, dtype=torch.float64)
    expected = convolve(images, gaussian_kernels(sigma, sigma, torch.zeros_like(sigma), 33), border)
    assert torch.allclose(gaussian_blur(images, sigma, 33, border), expected, atol=1e-12)


def test_a_batch_of_many_rows_equals_its_images() -> None:
    check_contract(GaussianBlur((0, 4)), (70, 131), 3, torch.float32)
    check_contract(PlateauBlur((0.2, 3), (1, 2), size=13), (70, 131), 3, torch.float32)
