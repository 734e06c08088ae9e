"""Fields by Philox: known answers, moments, independence of the batch, and the kernel against torch's operations."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch
from support.tape import tape
from torch import Tensor

from unseen.distortions import DISTORTIONS, Distortion, Parameters, normal_fields, sample_seeds, uniform_fields
from unseen.distortions.philox import _words, keys_of, philox_fields
from unseen.distortions.spec import parse_distortion

SINGLE = [
    "gaussian_noise:25",
    "speckle_noise:25",
    "salt_and_pepper:0.1",
    "correlated_noise:15",
    "camera_noise:python,[1e-4,0.012],[1e-6,2e-4],gamma=[1.8,2.6],errors=false",
    "jpeg_transform:[40,95],subsampling=any",
    "film_grain:8,size=[0.5,1.2]",
]
ON_DEVICE = [
    *SINGLE,
    "correlated_noise:[1,9],blur=[0.4,1.2],spread=log",
    "gaussian_noise:5 > salt_and_pepper:0.2",
    "camera_noise:matlab,0.1,0.03",
]


def seeds(n: int) -> Tensor:
    return sample_seeds(torch.Generator().manual_seed(3), n)


def test_the_words_are_those_of_the_reference() -> None:
    # The known answer for counter 0 under key 0 that the authors publish with their library, Random123.
    first, second = _words(torch.zeros(1, 2, dtype=torch.int64), 1)
    assert [hex(int(first)), hex(int(second))] == ["0x6627e8d5", "0xe169c58d"]


def test_keys_hold_all_bits_of_a_seed() -> None:
    low, high = keys_of(torch.tensor([2**62 + 5])).unbind(dim=1)
    assert (int(low), int(high)) == (5, 2**30)


def test_normal_values_have_the_moments_of_the_normal_distribution() -> None:
    field = normal_fields(keys_of(seeds(4)), torch.empty(4, 3, 256, 256, dtype=torch.float64)).double()
    n = field.numel()
    for power, moment, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert float((field**power).mean()) == pytest.approx(moment, abs=4 * (spread / n) ** 0.5)
    correlation = (field[:, :, :, 1:] * field[:, :, :, :-1]).mean()
    assert abs(float(correlation)) < 4 / n**0.5


def test_uniform_values_are_even_in_the_half_open_interval() -> None:
    field = uniform_fields(keys_of(seeds(4)), torch.empty(4, 1, 256, 256))
    assert float(field.min()) >= 0
    assert float(field.max()) < 1
    counts = torch.histc(field, bins=16, min=0, max=1)
    expected = field.numel() / 16
    assert float(((counts - expected) ** 2 / expected).sum()) < 45  # chi-square of 15 degrees: once in 10 000


@pytest.mark.parametrize("spec", ON_DEVICE)
def test_an_image_is_the_same_alone_and_in_a_batch_in_any_layout(spec: str) -> None:
    distortion = parse_distortion(spec, "test")
    assert distortion.on_device
    clean = torch.rand(3, 3, 17, 19, generator=torch.Generator().manual_seed(1))
    drawn = distortion.sample(torch.Generator().manual_seed(2), 3)
    keys = {name: keys_of(values) if name.endswith("seed") else values for name, values in drawn.items()}
    batch = distortion.apply(clean, keys)
    again = distortion.apply(clean.contiguous(memory_format=torch.channels_last), keys)
    torch.testing.assert_close(batch, again, rtol=0, atol=1e-6)
    for i in range(3):
        single = distortion.apply(clean[i : i + 1], {name: values[i : i + 1] for name, values in keys.items()})
        torch.testing.assert_close(single, batch[i : i + 1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("spec", ON_DEVICE)
def test_a_graph_can_hold_it(spec: str) -> None:
    distortion = parse_distortion(spec, "test")
    clean = torch.rand(3, 3, 17, 19, generator=torch.Generator().manual_seed(1))

    def drawn(seed: int) -> Parameters:
        parameters = distortion.sample(torch.Generator().manual_seed(seed), 3)
        return {name: keys_of(values) if name.endswith("seed") else values for name, values in parameters.items()}

    parameters, made = drawn(1), []
    replay = tape(lambda: made.append(distortion.apply(clean, parameters)))
    for name, values in drawn(2).items():
        parameters[name].copy_(values)
    replay()
    assert torch.equal(made[-1], distortion.apply(clean, drawn(2)))


@pytest.mark.parametrize("spec", ON_DEVICE)
def test_it_stays_on_its_device_and_reads_no_value(spec: str) -> None:
    """Tensors of the device `meta` have no values."""
    distortion = parse_distortion(spec, "test")
    drawn = distortion.sample(torch.Generator().manual_seed(1), 3)
    keys = {name: keys_of(values) if name.endswith("seed") else values for name, values in drawn.items()}
    clean = torch.empty(3, 3, 17, 19, device="meta")
    assert distortion.apply(clean, {name: values.to("meta") for name, values in keys.items()}).device == clean.device


def test_every_distortion_that_a_device_makes_is_tested_here() -> None:
    own = Distortion.on_device
    on_device = {name for name, built in DISTORTIONS.items() if getattr(built, "on_device", own) is not own}
    assert on_device == {spec.partition(":")[0] for spec in SINGLE}


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton comes with torch's CUDA build alone")
def test_the_kernel_makes_the_same_values() -> None:
    program = """
import torch
from unseen.distortions.philox import keys_of, philox_fields
from unseen.distortions.philox_kernel import fill
keys = keys_of(torch.tensor([5, 2**62 + 3]))
for kind, most in (("normal", 1e-6), ("uniform", 0)):
    for layout in (torch.contiguous_format, torch.channels_last):
        like = torch.empty(2, 3, 33, 35).contiguous(memory_format=layout)
        made = torch.empty_like(like)
        fill(made, keys, kind == "normal")
        assert (made - philox_fields(keys, like, kind)).abs().max() <= most, (kind, layout)
"""
    environment = os.environ | {"TRITON_INTERPRET": "1"}  # the kernel's own source, run by NumPy
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=120)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_gpu_makes_the_values_of_the_cpu(layout: torch.memory_format) -> None:
    like = torch.empty(5, 3, 65, 67).contiguous(memory_format=layout)
    keys = keys_of(seeds(5))
    for kind in ("normal", "uniform"):
        made = philox_fields(keys.cuda(), like.cuda(), kind).cpu()
        torch.testing.assert_close(made, philox_fields(keys, like, kind), rtol=0, atol=1e-5)
