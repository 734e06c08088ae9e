"""A convolution with its leaky ReLU in one operation: the same bits as in two."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unseen.core.registry import build
from unseen.models.backbones import BACKBONES
from unseen.models.inference import on_device, restore_batch


class Counted:
    """Counts the calls of oneDNN's operation."""

    def __init__(self) -> None:
        self.calls = 0
        self.operation = torch.ops.mkldnn._convolution_pointwise

    def __call__(self, *args: Any) -> Any:
        self.calls += 1
        return self.operation(*args)


@pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
    reason="PyTorch without oneDNN",
)
@pytest.mark.parametrize(
    "backbone", ["unet:features=24,bias=false", "plain", "rrdb_small:scale=4", "rrdb_small:bias=false"]
)
@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (1, 3, 90, 101), (2, 3, 32, 33)])
def test_a_network_restores_the_same_bits_with_and_without_gradients(
    backbone: str, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network = on_device(build(backbone, BACKBONES, "backbone", nn.Module), "cpu").eval()
    images = torch.rand(shape)
    counted = Counted()
    monkeypatch.setattr(torch.ops.mkldnn, "_convolution_pointwise", counted)
    with_gradients: Tensor = network(images)
    assert counted.calls == 0
    assert torch.equal(restore_batch(network, images, "cpu"), with_gradients.detach())
    assert counted.calls or shape == (1, 3, 8, 8)  # PyTorch computes small images itself


def test_a_network_of_bfloat16_restores_the_same_bits_with_and_without_gradients() -> None:
    torch.manual_seed(0)
    network = on_device(build("plain", BACKBONES, "backbone", nn.Module), "cpu").eval().bfloat16()
    images = torch.rand(1, 3, 90, 101, dtype=torch.bfloat16)
    assert torch.equal(restore_batch(network, images, "cpu"), network(images).detach())


@pytest.mark.skipif(not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="a processor without bfloat16")
@pytest.mark.parametrize("backbone", ["plain", "unet:features=24", "drunet_small:features=8"])
def test_under_autocast_one_operation_is_no_farther_from_float32_than_two(
    backbone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network = on_device(build(backbone, BACKBONES, "backbone", nn.Module), "cpu").eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.05)  # also where a network begins as the identity
    images = torch.rand(1, 3, 96, 104)
    exact = restore_batch(network, images, "cpu")
    counted = Counted()
    monkeypatch.setattr(torch.ops.mkldnn, "_convolution_pointwise", counted)
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        in_two = network(images).detach().float()
    assert counted.calls == 0
    in_one = restore_batch(network, images, "cpu", bf16=True)
    assert counted.calls
    assert 0 < (in_one - exact).square().mean() <= 1.1 * (in_two - exact).square().mean()
