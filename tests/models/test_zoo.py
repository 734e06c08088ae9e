"""The networks of spandrel by name: any size, any scale they have, every parameter trained, nothing random."""

from __future__ import annotations

import re
import subprocess
import sys
import typing
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from support.backbones_table import backbones_table
from support.docs_tables import DocsTables
from torch import Tensor, nn
from torch.func import functional_call

from unseen.core.errors import UserError
from unseen.core.installation import install_command
from unseen.core.registry import build
from unseen.models.backbones import BACKBONES, ZOO, Padded, UNet, small_form
from unseen.models.backbones.padded import extend
from unseen.models.card import Card
from unseen.models.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from unseen.models.inference import on_device
from unseen.training.config import TrainConfig

pytestmark = pytest.mark.zoo

UNTRAINED = {
    "craft": ".pos.",  # so narrow in small forms that normalisation leaves nothing of the input
    "dat": ".pos.",
    "rgt": ".pos.",
    "fdat": ".inter.",  # each block holds two gates and uses one
    "fftformer": ".reduce_chan_level2.",  # never called
    "seemore": ".experts.",  # those that were not chosen
    "span": ".eval_conv.",  # copies for evaluation
    "swiftsrgan": ".act.",  # of blocks without activation
}
"""Name → what the names of parameters contain that may get no gradient."""

EVERY = pytest.mark.parametrize("name", ZOO)


def made(name: str, seed: int = 0, **settings: int) -> Padded:
    spec = ",".join([*filter(None, [small_form(name)]), *(f"{key}={value}" for key, value in settings.items())])
    torch.manual_seed(seed)
    network = build(f"{name}:{spec}", ZOO, "backbone", Padded).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():  # residual weights, last layers: what they hide must show
                parameter.normal_(std=0.1)
    return network


def test_the_documents_list_every_backbone_with_its_small_form(docs_tables: DocsTables) -> None:
    documented = docs_tables.read("docs/backbones.md", "backbones")
    docs_tables.check("docs/backbones.md", "backbones", backbones_table(documented, measure=docs_tables.write))


@EVERY
def test_a_network_is_a_function_of_each_image_alone(name: str) -> None:
    network = made(name)
    images = torch.rand(2, 3, 33, 29)
    before = images.clone()
    with torch.no_grad():
        restored = network(images)
        again = network(images)
        singles = torch.cat([network(image[None]) for image in images])
    assert restored.shape == (2, 3, network.scale * 33, network.scale * 29)
    assert torch.equal(restored, again)
    assert torch.equal(images, before)
    # Sums in another order: float32 alone.
    torch.testing.assert_close(restored, singles, rtol=1e-3, atol=1e-4)
    assert (restored[0] - restored[1]).abs().max() > 1e-3


@EVERY
def test_gradients_reach_every_parameter_that_is_used(name: str) -> None:
    network = made(name)
    trained = {key: p for key, p in network.named_parameters() if p.requires_grad and p.numel()}
    loss = network(torch.rand(1, 3, 33, 29)).square().sum()
    slopes = torch.autograd.grad(loss, list(trained.values()), allow_unused=True)
    untouched = [key for key, slope in zip(trained, slopes, strict=True) if slope is None or not slope.any()]
    assert all(slope is None or slope.isfinite().all() for slope in slopes)
    assert all(UNTRAINED[name] in key for key in untouched) if name in UNTRAINED else not untouched
    assert len(untouched) < len(trained) / 2


@EVERY
def test_other_parameters_can_be_put_in_its_place(name: str) -> None:
    """In the memory format of training; and no tensor is left behind on the CPU, as it would be with a GPU."""
    network, other = made(name), made(name, seed=1)
    image = torch.rand(1, 3, 9, 12)
    with torch.no_grad():
        expected = other(image)
    network = typing.cast(Padded, on_device(network, "cpu"))
    with torch.no_grad():
        restored = functional_call(network, dict(other.named_parameters()), (image,))
    torch.testing.assert_close(restored, expected, rtol=1e-3, atol=1e-4)
    assert network.to("meta")(image.to("meta")).shape == expected.shape


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        (name, scale)
        for name, part in ZOO.items()
        for scale in typing.get_args(typing.get_type_hints(part).get("scale"))
    ],
)
def test_every_scale_at_tiny_sizes(name: str, scale: int) -> None:
    network = made(name, scale=scale)
    with torch.no_grad():
        for size in ((1, 1), (6, 5)):
            assert network(torch.rand(1, 3, *size)).shape == (1, 3, scale * size[0], scale * size[1])


def test_scales_are_refused_that_a_network_does_not_have() -> None:
    with pytest.raises(UserError, match=r"scale: '5' is none of "):
        build("swinir:scale=5", BACKBONES, "backbone", nn.Module)
    with pytest.raises(UserError, match=r"scale: '3' is none of "):
        build("swiftsrgan:scale=3", BACKBONES, "backbone", nn.Module)


@EVERY
def test_unknown_settings_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=rf"^backbone: '{name}:dimm=4': no setting 'dimm'"):
        build(f"{name}:dimm=4", BACKBONES, "backbone", nn.Module)


@EVERY
def test_it_says_what_it_is(name: str) -> None:
    summary = (ZOO[name].__doc__ or "").splitlines()[0]
    assert any(f" {year}, " in summary for year in range(2017, 2026))
    assert summary.endswith(").")


def test_settings_that_make_no_network_are_refused() -> None:
    with pytest.raises(UserError, match=r"^backbone: SwinIR cannot be made with these settings: "):
        build("swinir:depths=[2,2],num_heads=[2],embed_dim=12", BACKBONES, "backbone", nn.Module)
    with pytest.raises(UserError, match=r"^backbone: SwinIR: embed_dim 50 is no multiple of num_heads 6$"):
        build("swinir:embed_dim=50,depths=[2],num_heads=[6]", BACKBONES, "backbone", nn.Module)
    with pytest.raises(UserError, match=r"depths: expected whole numbers in brackets, got 'x'"):
        build("swinir:depths=x", BACKBONES, "backbone", nn.Module)


def test_without_spandrel_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spandrel.architectures.SwinIR", None)
    with pytest.raises(
        UserError, match=rf"^backbone: SwinIR is spandrel's: {re.escape(install_command('zoo'))} \(.*\)$"
    ):
        build("swinir", BACKBONES, "backbone", nn.Module)


def test_names_are_listed_without_spandrel_and_torchvision() -> None:
    code = (
        "import sys; sys.modules |= {'spandrel': None, 'torchvision': None}; "
        "from unseen.cli.main import main; raise SystemExit(main(['list', 'backbones']))"
    )
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert set(BACKBONES) <= set(re.findall(r"^\w+", listed, re.MULTILINE))


@pytest.mark.parametrize("name", ["plksr", "realplksr", "seemore", "span"])
def test_networks_kept_in_training_mode_compute_what_they_compute_in_evaluation(name: str) -> None:
    network = made(name)
    assert network.module.training
    assert not network.training
    image = torch.rand(1, 3, 20, 17)
    with torch.no_grad():
        kept = network(image)
        torch.testing.assert_close(kept, network.module.eval()(image.clone()), rtol=1e-3, atol=1e-4)
    assert network.eval().module.training


@pytest.mark.parametrize("name", ["swinir", "nafnet", "safmn"])
def test_spandrel_opens_our_checkpoints(name: str, tmp_path: Path) -> None:
    spandrel = pytest.importorskip("spandrel")
    network = made(name)
    config = TrainConfig(backbone=f"{name}:{small_form(name)}")
    save_checkpoint(tmp_path / CHECKPOINT, network.state_dict(), Card("1", asdict(config), "hash", 0))
    opened = spandrel.ModelLoader().load_from_file(tmp_path / CHECKPOINT)
    ours, _ = load_checkpoint(tmp_path)
    assert opened.architecture.id.lower() == name
    images = torch.rand(2, 3, 16, 24)
    with torch.no_grad():
        expected = network(images)
        assert torch.equal(ours(images), expected)
        torch.testing.assert_close(opened.model.eval()(images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "to"),
    [
        ((5, 7), (8, 8)),
        ((3, 8), (4, 8)),
        ((4, 4), (7, 4)),
        ((4, 4), (8, 4)),
        ((4, 4), (4, 8)),
        ((1, 1), (16, 16)),
        ((1, 9), (2, 17)),
        ((2, 2), (2, 2)),
    ],
)
def test_images_are_mirrored_and_their_last_pixel_repeated_where_that_cannot_be(
    size: tuple[int, int], to: tuple[int, int]
) -> None:
    image = np.random.default_rng(0).random((2, 3, *size))
    expected = image
    for axis in (3, 2):
        missing = to[axis - 2] - size[axis - 2]
        width = [(0, missing if i == axis else 0) for i in range(4)]
        expected = np.pad(expected, width, mode="reflect" if missing < size[axis - 2] else "edge")
    tensor = torch.from_numpy(image)
    extended = extend(tensor, *to)
    assert np.array_equal(extended.numpy(), expected)
    assert extended.data_ptr() != tensor.data_ptr()


class Recorder(nn.Module):
    """Enlarges by repeating pixels; keeps what it was given, and writes over it."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.sizes: list[tuple[int, int]] = []

    def forward(self, x: Tensor) -> tuple[Tensor, str]:
        self.sizes.append((x.shape[2], x.shape[3]))
        larger = x.repeat_interleave(self.scale, dim=2).repeat_interleave(self.scale, dim=3)
        x.zero_()
        return larger, "an estimate"


@pytest.mark.parametrize(
    ("padded", "sizes"),
    [
        (Padded(Recorder(1)), (5, 9)),
        (Padded(Recorder(2), 4, 2), (8, 12)),
        (Padded(Recorder(4), 4, 4, smallest=10), (12, 12)),
        (Padded(Recorder(1), smallest=7), (7, 9)),
        (Padded(Recorder(1), 8, square=True), (16, 16)),
    ],
)
def test_a_padded_network_gets_sizes_it_takes_and_its_output_is_cut(padded: Padded, sizes: tuple[int, int]) -> None:
    image = torch.rand(2, 3, 5, 9)
    before = image.clone()
    larger = padded(image)
    assert isinstance(padded.module, Recorder)
    assert padded.module.sizes == [sizes]
    assert torch.equal(image, before)
    assert torch.equal(larger, nn.functional.interpolate(image, scale_factor=padded.scale, mode="nearest"))


@pytest.mark.parametrize("size", [(1, 1), (9, 14)])
def test_a_padded_network_at_multiples_is_the_network(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = UNet(features=4, levels=1)
    image = torch.rand(1, 3, *size)
    assert torch.equal(Padded(network, 2)(image), network(image))
