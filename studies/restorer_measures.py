"""The measurements that restorer.py makes: PSNR, moved colours, moved brightness, the loss by bfloat16."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from unseen.data.gray import grayed
from unseen.data.photo import Photo
from unseen.data.tensors import as_levels, to_tensor
from unseen.evaluation.inputs import distort
from unseen.evaluation.metrics import psnr
from unseen.models.inference import restore_batch
from unseen.protocols.confounder import parse_confounder
from unseen.protocols.convention import Convention
from unseen.restoration.restorer import noise_of

CONVENTION = Convention(round_input=True)
LARGEST = 60.0  # dB that an image counts at most
CUBE = range(0, 256, 51)
CUBE_SIDE = 64


def quality_of(photo: Photo, noise: str = "", dataset: str = "") -> Callable[[nn.Module], tuple[float, ...]]:
    """Measure the PSNR of input and output: of a photograph under noise, of a recorded pair, or of it as it is."""

    def measure(network: nn.Module) -> tuple[float, ...]:
        clean = to_tensor(photo.pixels)
        image = clean if photo.recorded is None else to_tensor(photo.recorded)
        if noise:
            image = distort(photo, parse_confounder(noise, "level"), CONVENTION, 0, dataset)
        output, *check = with_check(network, image)
        return fidelity(image, clean), fidelity(output, clean), *check

    return measure


def gray_quality(photo: Photo, sigma: int, network: nn.Module) -> tuple[float, ...]:
    """Measure the PSNR of a gray copy under white noise, restored as gray files are: in three equal channels."""
    gray = grayed(photo)
    clean = to_tensor(gray.pixels)
    noisy = distort(gray, parse_confounder(f"gaussian_noise:{sigma}", "level"), CONVENTION, 0, "cbsd68")
    output, *check = with_check(network, noisy.expand(-1, 3, -1, -1))
    return fidelity(noisy, clean), fidelity(output.mean(1, keepdim=True), clean), *check


def bfloat16(image: Tensor, clean: Tensor, network: nn.Module) -> tuple[float, ...]:
    """Measure the PSNR in float32 and in bfloat16; what the check leaves as it is loses nothing."""
    output, *check = with_check(network, image)
    return fidelity(output, clean), fidelity(restore_batch(network, image, "cpu", True), clean), *check


def moved_colours(sigma: int, network: nn.Module) -> tuple[float, float]:
    """Measure by how much noise and clipping move the mean of a flat colour at most, and restoring then."""
    moved = [(0.0, 0.0)]
    noise = parse_confounder(f"gaussian_noise:{sigma}", "level")
    for red in CUBE:
        flat = [
            Photo(f"{red},{green},{blue}", np.full((CUBE_SIDE, CUBE_SIDE, 3), (red, green, blue), np.uint8))
            for green in CUBE
            for blue in CUBE
        ]
        clean = torch.cat([to_tensor(photo.pixels) for photo in flat])
        noisy = torch.cat([distort(photo, noise, CONVENTION, 0, "cube") for photo in flat])
        before, after = (
            float((means(image, (2, 3)) - means(clean, (2, 3))).abs().max())
            for image in (noisy, restored(network, noisy))
        )
        moved.append((before, after))
    return max(before for before, _ in moved), max(after for _, after in moved)


def moved_mean(photo: Photo, photons: int, network: nn.Module) -> tuple[float, ...]:
    """Measure by how much photon noise moves the mean of a frame, and restoring then."""
    noisy = distort(photo, parse_confounder(f"poisson_noise:{photons}", "level"), CONVENTION, 0, "frames")
    clean = to_tensor(photo.pixels)
    output, *check = with_check(network, noisy)
    before, after = (float(means(image, (0, 1, 2, 3)) - means(clean, (0, 1, 2, 3))) for image in (noisy, output))
    return before, after, *check


def restored(network: nn.Module, image: Tensor) -> Tensor:
    """What the network makes of (B, 3, H, W), clipped and rounded to 8 bits."""
    return as_levels(restore_batch(network, image, "cpu")) / 255


def with_check(network: nn.Module, image: Tensor) -> tuple[Tensor, float, float]:
    """What the network makes of an image, as `restored`, and what the harm check goes by (`Row`)."""
    output = restore_batch(network, image, "cpu")
    change, noise = 255 * float((output - image).square().mean().sqrt()), noise_of(image[0])
    return as_levels(output) / 255, change, 0.0 if math.isnan(noise) else noise


def fidelity(image: Tensor, clean: Tensor) -> float:
    """PSNR of 8 bits over RGB, at most `LARGEST`."""
    return min(LARGEST, float(psnr(image, clean, CONVENTION)))


def means(image: Tensor, sides: tuple[int, ...]) -> Tensor:
    """Means in gray levels."""
    return 255 * image.double().mean(sides)
