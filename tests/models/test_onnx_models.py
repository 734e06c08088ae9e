"""ONNX files as models: others' and ours; those that restore no image, never end, or ask for other files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from support.networks import ODD
from torch import nn

from unseen.core.errors import UserError
from unseen.models import onnx_file as onnx_file_module
from unseen.models.loading import load_model, load_network
from unseen.models.receptive_field import ReceptiveField


def onnx_file(path: Path, nodes: list[Any], shape: list[Any], kind: int = TensorProto.FLOAT, **constants: Any) -> str:
    """A file of one input `x` and one output `y`."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, [None] * 4)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return str(path)


ANY = ["batch", 3, "height", "width"]
BLUR = [helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)]
SAME = [helper.make_node("Identity", ["x"], ["y"])]
DOUBLED = [
    helper.make_node("SpaceToDepth", ["x"], ["small"], blocksize=4),
    helper.make_node("DepthToSpace", ["small"], ["whole"], blocksize=4),
    helper.make_node("Resize", ["whole", "", "scales"], ["y"], mode="nearest"),
]


@pytest.mark.parametrize("channels", [3, 1, "channels"])
@pytest.mark.parametrize("batch", [1, "batch"])
def test_an_onnx_file_of_another_s_restores(tmp_path: Path, batch: Any, channels: Any) -> None:
    model = load_model(onnx_file(tmp_path / "a.onnx", BLUR, [batch, channels, "h", "w"]))
    assert (model.receptive_field, model.card) == (ReceptiveField(1), None)
    for size in ODD:
        images = torch.rand(size)
        torch.testing.assert_close(model.run(images), nn.functional.avg_pool2d(images, 3, 1, 1), rtol=0, atol=1e-6)


def test_an_onnx_file_tells_by_trial_which_sizes_it_takes_and_its_scale(tmp_path: Path) -> None:
    scales = np.array([1, 1, 2, 2], np.float32)
    model = load_model(onnx_file(tmp_path / "a.onnx", DOUBLED, ANY, scales=scales))
    assert (model.receptive_field.stride, model.receptive_field.scale) == (4, 2)
    images = torch.rand(1, 3, 67, 30)
    assert torch.equal(model.run(images), nn.functional.interpolate(images, scale_factor=2))


def test_an_onnx_file_keeps_its_precision(tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "a.onnx", BLUR, ANY)
    assert load_model(path, precision="auto").exact is None
    with pytest.raises(UserError, match=r"^precision: .*a\.onnx is an ONNX file, .*; give fp32 or auto$"):
        load_model(path, precision="bf16")


def test_an_onnx_file_in_half_precision_restores(tmp_path: Path) -> None:
    model = load_model(onnx_file(tmp_path / "a.onnx", BLUR, ANY, TensorProto.FLOAT16))
    images = torch.rand(1, 3, 66, 65)
    assert model.run(images).dtype == torch.float32
    torch.testing.assert_close(model.run(images), nn.functional.avg_pool2d(images, 3, 1, 1), rtol=0, atol=2e-3)


def ours(path: Path, field: Any, smallest: Any = 1) -> str:
    """A file that keeps sizes, and tells this as if we had written it."""
    model = onnx.load(onnx_file(path, BLUR, ANY))
    helper.set_model_props(model, {"unseen.reach": json.dumps(field), "unseen.smallest": json.dumps(smallest)})
    onnx.save(model, path)
    return str(path)


def test_what_our_onnx_files_tell_is_believed_where_it_can_be(tmp_path: Path) -> None:
    assert load_model(
        ours(tmp_path / "a.onnx", {"radius": 3, "stride": 2, "scale": 1}, 8)
    ).receptive_field == ReceptiveField(3, 2)
    assert load_model(ours(tmp_path / "a.onnx", {"radius": None})).receptive_field == ReceptiveField(None)
    for field, smallest, reason in (
        ({"radius": 1, "stride": 0}, 1, "stride: 0 is no"),
        ({"radius": "x"}, 1, "radius: 'x' is no"),
        ({"radius": -5}, 1, "radius: -5 is no"),
        ({"radius": 1, "scale": 1.0}, 1, "scale: 1.0 is no"),
        ({"radius": 1, "scale": True}, 1, "scale: True is no"),
        ({"radius": 1, "scale": 2}, 1, "states a scale of 2, but enlarges by 1"),
        ({"radius": 1}, 10**9, "unseen.smallest: 1000000000 is no"),
        ({"radius": 1}, "8", "unseen.smallest: '8' is no"),
        ({"radius": 1, "colour": 1}, 1, "damaged"),
        ([1], 1, "damaged"),
    ):
        with pytest.raises(UserError, match=f"^{tmp_path / 'a.onnx'}: .*{reason}") as error:
            load_model(ours(tmp_path / "a.onnx", field, smallest))
        assert "\n" not in str(error.value)


def test_onnx_files_that_restore_no_image_are_refused(tmp_path: Path) -> None:
    mean = [helper.make_node("GlobalAveragePool", ["x"], ["y"])]
    for shape, nodes, kind, reason in (
        ([1, 3, 48, 64], BLUR, TensorProto.FLOAT, "takes images of 64×48 pixels alone"),
        ([8, 3, "h", "w"], BLUR, TensorProto.FLOAT, "takes 8 images at a time alone"),
        (["n", 4, "h", "w"], BLUR, TensorProto.FLOAT, "takes images of 4 channels"),
        (ANY, SAME, TensorProto.DOUBLE, r"takes tensor\(double\) of 4 dimensions"),
        (ANY, mean, TensorProto.FLOAT, "it makes 1 × 3 × 1 × 1 of 1 × 3"),
    ):
        with pytest.raises(UserError, match=f"{tmp_path / 'a.onnx'}: .*{reason}") as error:
            load_model(onnx_file(tmp_path / "a.onnx", nodes, shape, kind))
        assert "\n" not in str(error.value)
    path = onnx_file(tmp_path / "a.onnx", BLUR, ANY)
    with pytest.raises(UserError, match="ONNX Runtime has no mps here"):
        load_model(path, "mps")
    with pytest.raises(UserError, match="is ONNX already"):
        load_network(path)


def endless(path: Path, trips: list[Any]) -> str:
    """A file with a loop whose number of trips the nodes `trips` make, as `n`."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["v"], ["w"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, None),
        ],
    )
    loop = helper.make_node("Loop", ["n", "true", "x"], ["y"], body=body)
    constants: dict[str, Any] = {"true": np.array(True), "most": np.array(2**62, dtype=np.int64)}
    return onnx_file(path, [*trips, loop], ANY, **constants)


def test_a_loop_without_end_is_ended_when_the_file_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file_module, "PATIENCE", 0.3)
    path = endless(tmp_path / "a.onnx", [helper.make_node("Identity", ["most"], ["n"])])
    with pytest.raises(UserError, match=r"a\.onnx: does not end within 0 s on 67×65 pixels"):
        load_model(path)


def test_a_loop_that_only_some_images_start_is_ended_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file_module, "PATIENCE", 0.5)
    monkeypatch.setattr(onnx_file_module, "MARGIN", 0.0)
    trips = [
        helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0),
        helper.make_node("Floor", ["largest"], ["white"]),  # 1 for an image with white in it, else 0
        helper.make_node("Cast", ["white"], ["one"], to=TensorProto.INT64),
        helper.make_node("Mul", ["one", "most"], ["n"]),
    ]
    model = load_model(endless(tmp_path / "a.onnx", trips))
    gray = torch.full((1, 3, 8, 8), 0.5)
    assert torch.equal(model.run(gray), gray)
    with pytest.raises(UserError, match="does not end within"):
        model.run(torch.ones(1, 3, 8, 8))


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "sub/../../secret"])
def test_an_onnx_file_reads_no_other_folder(location: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(4))
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    add = helper.make_node("Add", ["x", "c"], ["y"])
    model = onnx.load(onnx_file(folder / "a.onnx", [add], ANY, c=np.zeros(1, dtype=np.float32)))
    (tensor,) = model.graph.initializer
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    (folder / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match="no ONNX file that ONNX Runtime can open"):
        load_model(str(folder / "a.onnx"))
