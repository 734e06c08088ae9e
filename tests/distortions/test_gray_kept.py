"""Photographs in black and white under distortions that keep them so."""

from __future__ import annotations

import pytest
import torch

from unseen.core.randomness import generator
from unseen.distortions import CameraNoise, Distortion, GaussianNoise, GrayKept, Sequence
from unseen.distortions.jpeg_transform import JPEGTransform

NOISES: list[Distortion] = [
    GaussianNoise(30),
    Sequence((GaussianNoise((3, 40)), JPEGTransform((40, 95)))),
    CameraNoise("python", 0.01, 1e-4),
]


@pytest.mark.parametrize("noise", NOISES, ids=repr)
def test_gray_images_stay_gray_and_colour_is_distorted_as_ever(noise: Distortion) -> None:
    colour = torch.rand(3, 3, 32, 32, generator=generator(0))
    images = torch.cat((torch.full((2, 3, 32, 32), 0.4), colour))
    kept, drawn = GrayKept(noise), noise.sample(generator(1), 5)
    assert kept.sample(generator(1), 5).keys() == drawn.keys()
    found, plain = kept.apply(images, drawn), noise.apply(images, drawn)
    assert torch.equal(found[:2], plain[:2, 1:2].expand(-1, 3, -1, -1))
    assert torch.equal(found[2:], plain[2:])
    assert not torch.equal(plain[:2, 0], plain[:2, 1])


def test_one_pixel_of_colour_is_enough_and_one_channel_is_left_alone() -> None:
    noise = GaussianNoise(30)
    tinted = torch.full((1, 3, 16, 16), 0.5)
    tinted[0, 2, 3, 3] = 0.6
    for images in (tinted, torch.full((1, 1, 16, 16), 0.5)):
        drawn = noise.sample(generator(1), 1)
        assert torch.equal(GrayKept(noise).apply(images, drawn), noise.apply(images, drawn))


def test_what_overlaps_a_distortion_overlaps_it_in_black_and_white() -> None:
    kept = GrayKept(GaussianNoise((5, 50)))
    assert kept.overlaps(GaussianNoise(20))
    assert GaussianNoise(20).overlaps(kept)
    assert kept.overlaps(GrayKept(GaussianNoise(20)))
    assert not kept.overlaps(GrayKept(GaussianNoise(60)))
    assert (kept.degree, kept.scale, kept.on_device) == ((5, 50), 1, GaussianNoise(5).on_device)
