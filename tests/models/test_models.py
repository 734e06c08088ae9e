"""Models by name and by path: ours and spandrel's; and what is none of these."""

from __future__ import annotations

import os
import pickle
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import spandrel
import torch
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact
from spandrel.architectures.DnCNN import DnCNN
from spandrel.architectures.DRUNet import DRUNet
from spandrel.architectures.LaMa import LaMa
from spandrel.architectures.SwinIR import SwinIR
from support.networks import ODD
from torch import Tensor, nn

from unseen.core.errors import UserError
from unseen.core.installation import install_command
from unseen.core.registry import build
from unseen.core.trust import trusting
from unseen.models.backbones import BACKBONES, PlainCNN
from unseen.models.card import Card
from unseen.models.checkpoint import CHECKPOINT, save_checkpoint, save_state
from unseen.models.files import shipped
from unseen.models.loading import load_model, load_network, model_of
from unseen.models.receptive_field import ReceptiveField
from unseen.restoration.restorer import Restorer
from unseen.training.config import TrainConfig


def checkpoint(path: Path, backbone: str = "plain:features=4,depth=2") -> nn.Module:
    """A checkpoint with random weights, and its network."""
    torch.manual_seed(0)
    network = build(backbone, BACKBONES, "backbone", nn.Module).eval()
    card = Card("0.1.0", asdict(TrainConfig(backbone=backbone)), "hash", 5)
    save_checkpoint(path, network.state_dict(), card)
    return network


def run(network: nn.Module, images: Tensor) -> Tensor:
    with torch.inference_mode():
        restored: Tensor = network(images)
    return restored


# --------------------------------------------------------------------------------- our own, by name


def test_a_checkpoint_and_its_folder_are_the_network(tmp_path: Path) -> None:
    network = checkpoint(tmp_path / "run" / CHECKPOINT)
    for spec in (tmp_path / "run", tmp_path / "run" / CHECKPOINT):
        model = load_model(str(spec))
        assert (model.name, model.receptive_field) == (str(spec), ReceptiveField(2))
        assert model.card is not None
        assert model.card.config["backbone"] == "plain:features=4,depth=2"
        for size in ODD:
            images = torch.rand(size)
            torch.testing.assert_close(model.run(images), run(network, images), rtol=0, atol=1e-6)


def test_a_shipped_name_goes_before_a_file_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoint(tmp_path / "shipped.safetensors")
    checkpoint(tmp_path / "denoiser", "plain:features=4,depth=3")
    monkeypatch.setattr("unseen.models.files.shipped", lambda: {"denoiser": tmp_path / "shipped.safetensors"})
    assert load_model("denoiser").receptive_field == ReceptiveField(2)
    assert load_model("./denoiser").receptive_field == ReceptiveField(3)
    with pytest.raises(UserError, match=r"'densoier' is no file and no shipped model \(denoiser\) \(did you mean"):
        load_model("densoier")
    with pytest.raises(UserError, match=r"'gone\.onnx' is no file"):
        load_model("gone.onnx")


def test_shipped_models_are_files_with_a_card() -> None:
    for name, path in shipped().items():
        assert path.name == f"{name}.safetensors"
        assert load_network(name)[1] is not None


def test_a_network_of_one_s_own_must_be_confirmed(tmp_path: Path) -> None:
    torch.manual_seed(0)
    spec = "torch.nn.Conv2d:3,3,kernel_size=3,padding=1"
    network = nn.Conv2d(3, 3, 3, padding=1)
    save_checkpoint(
        tmp_path / "a.safetensors", network.state_dict(), Card("0", asdict(TrainConfig(backbone=spec)), "h", 1)
    )
    for backbone in ("", spec):
        with pytest.raises(
            UserError, match=r"a\.safetensors: backbone: 'torch\.nn\.Conv2d' .* --trust torch\.nn\.Conv2d "
        ):
            load_model(str(tmp_path / "a.safetensors"), backbone=backbone)
    with trusting("torch.nn"):
        assert load_model(str(tmp_path / "a.safetensors"), backbone=spec).receptive_field == ReceptiveField(1)
        with pytest.raises(UserError, match=r"'torch\.nn\.Conv2d:.* was trained, and not 'torch\.nn\.Conv2d'"):
            load_model(str(tmp_path / "a.safetensors"), backbone="torch.nn.Conv2d")
    assert Restorer.load(str(tmp_path / "a.safetensors"), backbone=spec).model.receptive_field == ReceptiveField(1)


def test_classes_of_unseen_itself_need_no_trust(tmp_path: Path) -> None:
    spec = "unseen.models.backbones.plain.PlainCNN"
    save_checkpoint(
        tmp_path / "a.safetensors", PlainCNN().state_dict(), Card("0", asdict(TrainConfig(backbone=spec)), "h", 1)
    )
    assert load_model(str(tmp_path / "a.safetensors")).receptive_field == ReceptiveField(6)


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth", "a.pt", "a.ckpt", "a.onnx", "a.txt"])
@pytest.mark.parametrize("content", [b"", b"no model at all, only text"])
def test_what_is_no_model_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"^{tmp_path / name}: ") as error:
        load_model(str(tmp_path / name))
    assert "\n" not in str(error.value)


def test_the_saved_state_of_a_run_is_no_model(tmp_path: Path) -> None:
    save_state(tmp_path / "state.safetensors", {"network": {"a": torch.zeros(2)}}, {"step": 1})
    with pytest.raises(UserError, match="not a checkpoint of unseen"):
        load_model(str(tmp_path / "state.safetensors"))


# ------------------------------------------------------------------------------ any network at all


def test_any_network_becomes_a_model() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 5, padding=2), nn.Dropout(), nn.Conv2d(4, 12, 3, padding=1))
    network.append(nn.PixelShuffle(2))
    model = model_of(network, "mine")
    assert model.receptive_field == ReceptiveField(3, 1, 2)
    images = torch.rand(2, 3, 9, 8)
    assert torch.equal(model.run(images), model.run(images))  # no dropout
    assert model.run(images).shape == (2, 3, 18, 16)


@pytest.mark.parametrize("network", [nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(1, 1, 3), nn.Linear(7, 7)])
def test_what_restores_no_colour_image_is_refused_by_name(network: nn.Module) -> None:
    with pytest.raises(UserError, match=r"^mine: "):
        model_of(network, "mine")


# --------------------------------------------------------------------------------- spandrel's files

WRAPPED: dict[str, Callable[[dict[str, Tensor], Path], None]] = {
    "a.pth": lambda state, path: torch.save({"params_ema": state}, path),
    "b.pth": lambda state, path: torch.save(state, path, _use_new_zipfile_serialization=False),
    "a.pt": lambda state, path: torch.save({"params": state, "iter": 7}, path),
    "a.ckpt": lambda state, path: torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, path),
    "a.safetensors": lambda state, path: save_file(state, path),
    "A.PTH": lambda state, path: torch.save(state, path),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_weights_that_spandrel_knows_restore_as_it_does(tmp_path: Path, name: str) -> None:
    torch.manual_seed(0)
    state = Compact(num_feat=8, num_conv=2, upscale=2).state_dict()
    WRAPPED[name](state, tmp_path / name)
    model = load_model(str(tmp_path / name))
    assert (model.receptive_field, model.card) == (ReceptiveField(4, 1, 2), None)
    descriptor: Any = spandrel.ModelLoader().load_from_state_dict(state)
    for size in ODD:
        images = torch.rand(size)
        expected = torch.cat([descriptor(image) for image in images.chunk(len(images))])
        torch.testing.assert_close(model.run(images).clamp(0, 1), expected, rtol=0, atol=1e-6)


def test_sizes_that_a_network_cannot_take_are_continued(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = SwinIR(upscale=1, embed_dim=12, depths=[2], num_heads=[2], window_size=8, upsampler="")
    save_file(network.state_dict(), tmp_path / "a.safetensors")
    model = load_model(str(tmp_path / "a.safetensors"), value_range="0-1")  # random weights keep no gray
    for size in ODD:
        assert model.run(torch.rand(size)).shape == size
    images = torch.rand(1, 3, 32, 40)
    torch.testing.assert_close(model.run(images), run(network.eval(), images), rtol=0, atol=1e-6)


def test_a_network_for_gray_restores_each_channel_by_itself(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = DnCNN(in_nc=1, out_nc=1, nc=4, nb=17, act_mode="R").eval()
    torch.save(network.state_dict(), tmp_path / "a.pth")
    model = load_model(str(tmp_path / "a.pth"))
    images = torch.rand(2, 3, 12, 9)
    expected = torch.cat([run(network, images[:, i : i + 1]) for i in range(3)], dim=1)
    torch.testing.assert_close(model.run(images), expected, rtol=0, atol=1e-5)


def test_a_network_that_is_told_the_noise_level_gets_spandrel_s(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = DRUNet(in_nc=4, out_nc=3, nc=[4, 4, 4, 4], nb=2, act_mode="R").eval()
    torch.save(network.state_dict(), tmp_path / "a.pth")
    images = torch.rand(2, 3, 16, 24)
    expected = run(network, torch.cat((images, torch.full((2, 1, 16, 24), 15 / 255)), dim=1))
    model = load_model(str(tmp_path / "a.pth"), value_range="0-1")  # random weights keep no gray
    torch.testing.assert_close(model.run(images), expected, rtol=0, atol=1e-5)


def test_networks_that_do_something_else_are_refused(tmp_path: Path) -> None:
    blind = DRUNet(in_nc=3, out_nc=3, nc=[4, 4, 4, 4], nb=2, act_mode="R")
    torch.save(blind.state_dict(), tmp_path / "blind.pth")  # spandrel takes every DRUNet for one with a noise map
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in LaMa(in_nc=4, out_nc=3).state_dict().items()}
    torch.save({name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}, tmp_path / "lama.pth")
    torch.save({"some.weight": torch.zeros(3)}, tmp_path / "none.pth")
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    for name, reason in {
        "blind": "DRUNet makes 3 channels of 2; RGB or gray is needed",
        "lama": "LaMa fills masks",
        "none": "of no architecture that spandrel",
        "list": "holds a list and no weights by name",
    }.items():
        with pytest.raises(UserError, match=f"^{tmp_path / name}.pth: {reason}"):
            load_model(str(tmp_path / f"{name}.pth"))


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch '{self.mark}'",)


def test_no_pickle_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "it ran"
    state = {**Compact(num_feat=8, num_conv=2, upscale=1).state_dict(), "trap": Trap(mark)}
    for name in ("a.pth", "a.pt", "a.ckpt"):
        for new in (True, False):
            torch.save(state, tmp_path / name, _use_new_zipfile_serialization=new)
            with pytest.raises(UserError, match=r"a\.\w+: holds code \(\w+\.system\); it is not run"):
                load_model(str(tmp_path / name))
    for name in ("b.pth", "b.safetensors", "b.onnx"):
        (tmp_path / name).write_bytes(pickle.dumps(state))
        with pytest.raises(UserError, match=r"b\.\w+: "):
            load_model(str(tmp_path / name))
    assert not mark.exists()
    torch.load(tmp_path / "a.pth", weights_only=False)  # the trap is one
    assert mark.exists()


def test_torchscript_is_not_run(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(nn.Conv2d(3, 3, 1)), tmp_path / "a.pt")
    with pytest.raises(UserError, match=r"a\.pt: no weights, or damaged: .*TorchScript"):
        load_model(str(tmp_path / "a.pt"))


@pytest.mark.parametrize(("name", "module", "extra"), [("a.pth", "spandrel", "zoo"), ("a.onnx", "onnxruntime", "onnx")])
def test_a_missing_extra_is_named(
    tmp_path: Path, name: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).touch()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=re.escape(install_command(extra))):
        load_model(str(tmp_path / name))


# -------------------------------------------------------------------- our checkpoints, in spandrel

RECOGNISED = {
    "rrdb:blocks=1,features=8": "ESRGAN",
    "rrdb:blocks=1,features=8,bias=false": "ESRGAN",
    "rrdb:blocks=1,features=8,scale=2": "ESRGAN",
    "rrdb:blocks=1,features=8,scale=4,bias=false": "ESRGAN",
    "compact:num_feat=8,num_conv=2": "Compact",
    "nafnet:width=8,enc_blk_nums=[1,1],middle_blk_num=1,dec_blk_nums=[1,1]": "NAFNet",
    "swinir:embed_dim=12,depths=[2],num_heads=[2],scale=2": "SwinIR",
}


@pytest.mark.parametrize("backbone", RECOGNISED)
def test_our_checkpoints_open_in_spandrel(tmp_path: Path, backbone: str) -> None:
    network = checkpoint(tmp_path / CHECKPOINT, backbone)
    descriptor: Any = spandrel.ModelLoader().load_from_file(tmp_path / CHECKPOINT)
    images = torch.rand(1, 3, 32, 24)
    expected = run(network, images).clamp(0, 1)
    assert descriptor.architecture.id == RECOGNISED[backbone]
    assert descriptor.scale == expected.shape[-1] // 24
    torch.testing.assert_close(descriptor.eval()(images), expected, rtol=0, atol=1e-6)
