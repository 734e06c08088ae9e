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
