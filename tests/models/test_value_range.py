"""Networks of other programs in other ranges: found by trials where it is plain which, else refused or set by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper, save
from PIL import Image
from spandrel.architectures.Compact import Compact
from support.commandline import CommandLine
from torch import Tensor, nn
from torch.nn import functional as F

from unseen.core.errors import UserError
from unseen.models.backbones.padded import Padded
from unseen.models.loading import load_model
from unseen.models.value_range import InRange, in_unit_range


class Does(nn.Module):
    """A network that is any function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def padded(function: Callable[[Tensor], Tensor], scale: int = 1) -> Padded:
    return Padded(Does(function), scale=scale).eval()


def soften(x: Tensor) -> Tensor:
    """A denoiser of any range: the mean over nine pixels."""
    return F.avg_pool2d(F.pad(x, [1] * 4, mode="replicate"), 3, 1)


def denoiser_of_bytes(x: Tensor) -> Tensor:
    """Softens what differs by some gray levels of 255, and keeps all else: in [0, 1] it does nothing at all."""
    return torch.where((soften(x) - x).abs() > 2, soften(x), x)


IN_UNIT = {
    "0-1": soften,
    "0-1, clipped": lambda x: soften(x).clamp(0, 1),
    "0-1, sharp": lambda x: (2 * x - soften(x)).clamp(0, 1),
    "residual of no range": lambda x: x - 0.9 * (x - soften(x)),
}
BYTES = {
    "rounded": lambda x: soften(x).round().clamp(0, 255),
    "with an offset of three levels": lambda x: soften(x).clamp(3, 252),
    "denoiser": denoiser_of_bytes,
}


@pytest.mark.parametrize("name", IN_UNIT)
def test_what_keeps_grays_in_0_to_1_is_left_as_it_is(name: str) -> None:
    network = in_unit_range(padded(IN_UNIT[name]), "mine")
    assert isinstance(network.module, Does)


@pytest.mark.parametrize("name", BYTES)
def test_networks_of_0_to_255_are_scaled(name: str) -> None:
    network = in_unit_range(padded(BYTES[name]), "mine")
    assert isinstance(network.module, InRange)
    assert (network.module.taken, network.module.made) == ("0-255", "0-255")
    image = torch.rand(1, 3, 20, 30)
    torch.testing.assert_close(network(image), BYTES[name](255 * image) / 255)


def test_a_network_may_take_one_range_and_make_another() -> None:
    image = torch.rand(1, 3, 20, 30)

    def generator(x: Tensor) -> Tensor:
        return soften((x + 1) / 2)

    network = in_unit_range(padded(generator), "mine")
    assert isinstance(network.module, InRange)
    assert (network.module.taken, network.module.made) == ("-1-1", "0-1")
    torch.testing.assert_close(network(image), soften(image))


@pytest.mark.parametrize("scale", [1, 2])
def test_bgr_is_turned(scale: int) -> None:
    def reversing(x: Tensor) -> Tensor:
        return F.interpolate(soften(x), scale_factor=scale).flip(1)

    image = torch.rand(1, 3, 12, 12)
    network = in_unit_range(padded(reversing, scale), "mine")
    torch.testing.assert_close(network(image), reversing(image).flip(1))


@pytest.mark.parametrize("change", [lambda x: x**0.3, lambda x: 1 - x, lambda x: x * 0 + 0.5, lambda x: x * torch.nan])
def test_what_keeps_grays_in_no_range_is_refused_and_taken_on_request(change: Callable[[Tensor], Tensor]) -> None:
    """Such as a network that lightens photographs of the night."""
    with pytest.raises(UserError, match=r"^night: makes .* of flat grays of 0.25, 0.5, 0.75.*--range 0-1") as error:
        in_unit_range(padded(change), "night")
    assert "\n" not in str(error.value)
    image = torch.rand(1, 3, 9, 9)
    assert torch.equal(in_unit_range(padded(change), "night", "0-1")(image).nan_to_num(), change(image).nan_to_num())
    scaled = in_unit_range(padded(change), "night", "0-255")(image)
    torch.testing.assert_close(scaled, change(255 * image) / 255, equal_nan=True)


def rounding_onnx(path: Path) -> str:
    """A file that works in 0 to 255, as many do: it rounds its output."""
    limits = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in (("low", 0), ("high", 255))]
    nodes = [
        helper.make_node("AveragePool", ["x"], ["soft"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Round", ["soft"], ["whole"]),
        helper.make_node("Clip", ["whole", "low", "high"], ["y"]),
    ]
    images = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, "h", "w"]) for name in "xy"]
    graph = helper.make_graph(nodes, "graph", images[:1], images[1:], limits)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return str(path)


def test_an_onnx_file_of_0_to_255_restores_photographs(tmp_path: Path) -> None:
    image = torch.rand(2, 3, 40, 50)
    restored = load_model(rounding_onnx(tmp_path / "bytes.onnx")).run(image)
    expected = F.avg_pool2d(255 * image, 3, 1, 1, count_include_pad=False).round() / 255
    torch.testing.assert_close(restored, expected, rtol=0, atol=1.01 / 255)
    forced = load_model(str(tmp_path / "bytes.onnx"), value_range="0-1").run(image)
    assert bool(((forced == 0) | (forced == 1)).all())


def test_weights_of_another_program_in_0_to_255_restore_photographs(tmp_path: Path) -> None:
    """The bias of the last layer is in gray levels."""
    network = Compact(num_feat=8, num_conv=1, upscale=1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        last = [module for module in network.modules() if isinstance(module, nn.Conv2d)][-1]
        assert last.bias is not None
        last.bias.fill_(2.0)
    torch.save({"params": network.state_dict()}, tmp_path / "bytes.pth")
    image = torch.rand(1, 3, 20, 20)
    torch.testing.assert_close(load_model(str(tmp_path / "bytes.pth")).run(image), image + 2 / 255)


@pytest.mark.parametrize("words", [["--range", "-1-1"], ["--range=-1-1"]])
def test_our_own_models_have_their_range(words: list[str], unseen: CommandLine, tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    refusal = unseen.refusal("restore", tmp_path / "a.png", "-o", tmp_path / "out", *words)
    assert "range: denoiser is a model of unseen, which works in 0-1, not in -1-1" in refusal
    with pytest.raises(UserError, match=r"^range: denoiser is a model of unseen"):
        load_model("denoiser", value_range="0-255")
