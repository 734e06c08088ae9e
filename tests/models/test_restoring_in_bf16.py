"""Restoring in bfloat16: what is rounded and what is not, what cards tell of it, and when `auto` takes it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from io import StringIO
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from support.commandline import MACHINE, TINY, CommandLine
from torch import Tensor, nn

from unseen.cli.card_text import card_text
from unseen.core.console import Console
from unseen.core.errors import UserError
from unseen.core.precision import Precision
from unseen.core.registry import build
from unseen.data.embedded import embedded_photos
from unseen.data.photo import Photo
from unseen.data.tensors import to_tensor
from unseen.evaluation import quality
from unseen.evaluation.inputs import inputs_of
from unseen.evaluation.metrics import psnr
from unseen.evaluation.quality import measured_bf16_loss
from unseen.models import loading
from unseen.models.backbones import BACKBONES
from unseen.models.card import MOST_LOST, Bf16Loss, Card
from unseen.models.checkpoint import CHECKPOINT, read_card, save_checkpoint, with_quality
from unseen.models.inference import on_device, restore_batch
from unseen.models.loading import load_model, model_of, prefers_bf16
from unseen.protocols.loading import load_protocol

CARD = Card("0", {"backbone": "plain", "method": "erm", "protocol": "denoise", "seed": 0, "budget": 1}, "", 1.0)
SMALL = Bf16Loss(0.01, "gaussian noise 5", "test", 9)
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")),
]


class Unrounded(nn.Module):
    """A network that leaves PyTorch after its first layer, for a library that has no bfloat16."""

    receptive_radius = 1

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(self.conv(x).numpy())


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every device multiplies bfloat16 by itself."""
    monkeypatch.setattr(loading, "native_bf16", lambda device: True)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    """A training for a moment."""
    from unseen.cli.main import main

    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", *TINY, "--data", str(photos), "--out", str(folder)]) == 0
    return folder


def drawn(backbone: str) -> nn.Module:
    torch.manual_seed(0)
    return build(backbone, BACKBONES, "backbone", nn.Module).eval()


# ------------------------------------------------------------------------------------------ networks


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "backbone", ["plain", "unet:features=24,bias=false", "rrdb_small", "rrdb_small:scale=2", "rrdb_small:bias=false"]
)
def test_every_convolution_is_in_bfloat16_and_the_image_stays_close(
    backbone: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, images = on_device(drawn(backbone), device), torch.rand(1, 3, 90, 101)
    exact, types = restore_batch(network, images, device), []
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    for convolution in convolutions:
        convolution.register_forward_hook(lambda module, inputs, output: types.append(output.dtype))
    with_relu = torch.ops.mkldnn._convolution_pointwise  # of which no module knows

    def recorded(x: Tensor, *operands: Any) -> Tensor:
        types.append(x.dtype)
        restored: Tensor = with_relu(x, *operands)
        return restored

    monkeypatch.setattr(torch.ops.mkldnn, "_convolution_pointwise", recorded)
    rounded = restore_batch(network, images, device, bf16=True)
    assert types == [torch.bfloat16] * len(convolutions)
    assert (rounded.dtype, rounded.device.type) == (torch.float32, "cpu")
    assert 0 < float((rounded - exact).abs().max()) < 0.02 * float(exact.abs().max())


@pytest.mark.parametrize("backbone", ["plain", "unet"])
def test_a_residual_network_adds_to_the_exact_image(backbone: str) -> None:
    network, images = drawn(backbone), torch.rand(2, 3, 20, 21)
    last = [m for m in network.modules() if isinstance(m, nn.Conv2d)][-1]
    for weights in last.parameters():
        nn.init.zeros_(weights)
    assert torch.equal(restore_batch(network, images, "cpu", bf16=True), images)


def test_restoring_in_bfloat16_leaves_the_network_and_what_follows_in_float32() -> None:
    network, images = drawn("plain"), torch.rand(1, 3, 40, 40)
    before = restore_batch(network, images, "cpu")
    restore_batch(network, images, "cpu", bf16=True)
    assert all(weights.dtype == torch.float32 for weights in network.parameters())
    assert torch.equal(restore_batch(network, images, "cpu"), before)


def test_a_network_that_fails_in_bfloat16_is_refused_with_advice() -> None:
    model_of(Unrounded(), "mine")
    with pytest.raises(UserError, match=r"^precision: mine fails in bfloat16: .*; give --precision fp32$"):
        model_of(Unrounded(), "mine", bf16=True)


# --------------------------------------------------------------------------------------------- auto


@pytest.mark.parametrize("loss", [-0.2, 0.0, MOST_LOST, 0.051, math.inf, math.nan])
def test_auto_wants_a_card_that_tells_of_a_small_loss(native: None, loss: float) -> None:
    assert prefers_bf16(replace(CARD, bf16=replace(SMALL, loss=loss)), "cpu") == (loss <= MOST_LOST)
    assert not prefers_bf16(CARD, "cpu")
    assert not prefers_bf16(None, "cpu")


def test_auto_wants_a_device_that_multiplies_bfloat16_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "native_bf16", lambda device: device == "cuda:1")
    carded = replace(CARD, bf16=SMALL)
    assert prefers_bf16(carded, "cuda:1")
    assert not prefers_bf16(carded, "cpu")


@pytest.mark.parametrize(
    ("precision", "measured", "taken"),
    [("fp32", SMALL, False), ("auto", SMALL, True), ("auto", None, False), ("bf16", None, True)],
)
def test_a_loaded_model_multiplies_as_asked(
    native: None, tmp_path: Path, precision: Precision, measured: Bf16Loss | None, taken: bool
) -> None:
    path, network = tmp_path / "a.safetensors", on_device(drawn("plain"), "cpu")
    save_checkpoint(path, network.state_dict(), replace(CARD, bf16=measured))
    model, images = load_model(str(path), precision=precision), torch.rand(1, 3, 30, 30)
    assert torch.equal(model.run(images), restore_batch(network, images, "cpu", bf16=taken))
    assert (model.exact is not None) == taken
    if model.exact:
        assert torch.equal(model.exact(images), restore_batch(network, images, "cpu"))


# -------------------------------------------------------------------------------------------- cards


def test_the_loss_is_that_of_the_worst_level_clean_photographs_among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "native_bf16", lambda device: False)
    monkeypatch.setattr(quality, "EMULATED_IMAGES", 2)
    monkeypatch.setattr(quality, "EMULATED_SIDE", 32)
    protocol, network = load_protocol("denoise"), drawn("rrdb_small")
    photos = [("set", Photo(f"{i}", photo.centre(40).pixels)) for i, photo in enumerate(embedded_photos("test"))]
    losses: dict[Any, list[float]] = {}
    for name, whole in (photos[0], photos[len(photos) // 2]):
        photo = whole.centre(32)
        clean = to_tensor(photo.pixels)
        for level, image in inputs_of(photo, name, protocol, 7).items():
            exact, rounded = (
                float(psnr(restore_batch(network, image, "cpu", bf16), clean, protocol.convention))
                for bf16 in (False, True)
            )
            losses.setdefault(level, []).append(exact - rounded)
    worst = max(losses, key=lambda level: fmean(losses[level]))
    measured = measured_bf16_loss(network, photos, protocol, "cpu", seed=7)
    assert measured.loss == pytest.approx(fmean(losses[worst]))
    assert measured == Bf16Loss(measured.loss, worst.name, "set", 2, side=32)
    monkeypatch.setattr(quality, "native_bf16", lambda device: True)
    native = measured_bf16_loss(network, photos, protocol, "cpu", seed=7)
    assert (native.images, native.side) == (len(photos), 0)


def test_a_network_that_stays_exact_loses_nothing() -> None:
    photos = [("set", embedded_photos("test")[0].centre(24))]
    protocol = load_protocol("denoise")
    assert measured_bf16_loss(nn.Identity(), photos, protocol, "cpu").loss == 0


@pytest.mark.parametrize("loss", [0.02, math.inf])
def test_the_loss_is_in_the_card_and_one_that_was_not_measured_is_not(tmp_path: Path, loss: float) -> None:
    path, measured = tmp_path / "a.safetensors", replace(SMALL, loss=loss)
    save_checkpoint(path, drawn("plain").state_dict(), CARD)
    assert "bf16" not in json.loads(read_card(path).to_json())  # older versions refuse fields that they do not know
    assert read_card(path).bf16 is None
    assert with_quality(path, [], measured).bf16 == measured
    assert with_quality(path, []).bf16 == measured  # the weights are the same
    assert read_card(path).bf16 == measured


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (0.02, "loses 0.020 dB at most (gaussian noise 5, test, 9 images); --precision auto takes bf16 where"),
        (0.06, "loses 0.060 dB at most (gaussian noise 5, test, 9 images); --precision auto takes fp32"),
    ],
)
def test_the_card_in_words_says_what_auto_takes(loss: float, text: str) -> None:
    console = Console(width=200, file=StringIO())
    console.print(card_text(replace(CARD, bf16=replace(SMALL, loss=loss))))
    assert isinstance(console.file, StringIO)
    assert text in " ".join(console.file.getvalue().split())


# ----------------------------------------------------------------------------------------- commands


@pytest.mark.usefixtures("empty_page")
def test_evaluate_writes_the_loss_into_the_card_where_it_is_asked(
    unseen: CommandLine, run: Path, tests: Path, tmp_path: Path
) -> None:
    path = tmp_path / CHECKPOINT
    path.write_bytes((run / CHECKPOINT).read_bytes())
    words = ["evaluate", path, *MACHINE, "--test", f"q={tests}", "--out", tmp_path / "out", "--card", "true"]
    unseen(*words, "--precision", "fp32")
    assert read_card(path).bf16 is None
    unseen(*words, "--overwrite", "--precision", "both")
    measured = read_card(path).bf16
    assert measured is not None
    assert (measured.dataset, measured.images) == ("q", 2)
    assert "bfloat16" in unseen("card", path).out


def test_evaluate_refuses_both_without_the_card(unseen: CommandLine, run: Path) -> None:
    text = unseen.refusal("evaluate", run, "--precision", "both")
    assert "precision: both is measured for the card; give --card true" in text
