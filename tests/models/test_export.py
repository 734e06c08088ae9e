"""ONNX files: what PyTorch makes, at any size; or no file."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import onnxruntime
import pytest
import torch
from support.commandline import leftovers
from torch import Tensor, nn

from unseen.core.errors import UserError
from unseen.core.installation import install_command
from unseen.core.registry import build
from unseen.core.trust import trusting
from unseen.models.backbones import BACKBONES
from unseen.models.card import Card
from unseen.models.checkpoint import save_checkpoint
from unseen.models.loading import load_model
from unseen.models.onnx_export import SIZES, TOLERANCE, export_checkpoint, lines
from unseen.training.config import TrainConfig

SMALL = ["plain:features=4,depth=3", "plain_ne:features=4,depth=3", "unet:features=4,levels=3,bias=false"]
SMALL += [f"rrdb:features=4,growth=4,blocks=1,scale={scale},bias={bias}" for scale, bias in ((1, "false"), (4, "true"))]

SMALL += [
    "drunet_small:features=4,levels=2,bottom=1",
    "drunet_small:features=4,levels=2,kept_brightness=true",
    "wne:plain:features=4,depth=3",
    "unit_noise:plain:features=4,depth=3",
    "capped_noise:plain:features=4,depth=3",
]


def checkpoint(path: Path, backbone: str) -> str:
    torch.manual_seed(0)
    network = build(backbone, BACKBONES, "backbone", nn.Module)
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim == 4 and not weight.any():  # a network that starts as the identity shows nothing
                weight.normal_(0, 0.05)
    save_checkpoint(path, network.state_dict(), Card("0.1.0", asdict(TrainConfig(backbone=backbone)), "hash", 5))
    return str(path)


@pytest.mark.parametrize("backbone", SMALL)
@pytest.mark.slow
def test_an_exported_network_restores_as_pytorch_does(
    backbone: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    ours = load_model(checkpoint(tmp_path / "a.safetensors", backbone))
    differences = export_checkpoint(str(tmp_path / "a.safetensors"), tmp_path / "a.onnx")
    assert (*capfd.readouterr(), *recwarn.list) == ("", "")
    assert list(differences) == list(SIZES)
    assert max(differences.values()) <= TOLERANCE
    assert not leftovers(tmp_path)

    exported = load_model(str(tmp_path / "a.onnx"))
    radius = None if ours.takes_statistics else ours.receptive_field.radius  # the file takes its input for whole images
    assert exported.receptive_field == replace(ours.receptive_field, radius=radius)
    assert exported.card == ours.card
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx")  # as other programs see it
    (image,), (restored,) = session.get_inputs(), session.get_outputs()
    scale = f"{ours.receptive_field.scale}*" if ours.receptive_field.scale > 1 else ""
    assert (image.name, image.type, image.shape) == ("image", "tensor(float)", ["batch", 3, "height", "width"])
    assert (restored.name, restored.shape) == ("restored", ["batch", 3, f"{scale}height", f"{scale}width"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata.keys() == {"unseen", "unseen.reach", "unseen.smallest", "unseen.version"}

    assert [value.name for value in session.get_overridable_initializers()] == ["strength"] * ours.takes_strength
    assert exported.takes_strength == ours.takes_strength
    for strength in (0.5, 1.5) if ours.takes_strength else ():
        images = torch.rand(2, 3, 35, 50)
        restored, expected = (model.with_strength(strength).run(images) for model in (exported, ours))
        torch.testing.assert_close(restored, expected, rtol=0, atol=TOLERANCE)
        assert (restored - exported.run(images)).abs().max() > 10 * TOLERANCE

    # Others than those that the export has tried, from where a network's own mirroring begins.
    for size in [(1, 2, 3), (1, 5, 2), (3, 9, 31), (1, 33, 200), (2, 70, 15)]:
        images = torch.rand(size[0], 3, *size[1:])
        torch.testing.assert_close(exported.run(images), ours.run(images), rtol=0, atol=TOLERANCE)
    for size in [(1, 1, 1), (1, 1, 9), (2, 7, 1)]:
        images = torch.rand(size[0], 3, *size[1:])
        close = torch.allclose(exported.run(images), ours.run(images), rtol=0, atol=TOLERANCE)
        assert close or backbone.startswith("plain_ne")  # whose border differs on one row or column


class Brightens(nn.Module):
    """A network that treats wide images otherwise, which a graph of operations cannot tell."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        restored: Tensor = self.conv(x)
        return restored + (0.01 if x.shape[-1] > 90 else 0)


class Chooses(Brightens):
    """A network whose way depends on the values of the image."""

    def forward(self, x: Tensor) -> Tensor:
        restored: Tensor = self.conv(x)
        return restored if float(x.mean()) > 0.5 else x


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (Brightens, r"at 1 image of (96×64|131×157) pixels it differs from PyTorch by 1\.0e-02, more than 0\.0001"),
        (Chooses, "PyTorch cannot export this network for all sizes"),
    ],
)
def test_a_graph_that_is_not_right_at_all_sizes_is_not_kept(
    network: type[nn.Module], reason: str, tmp_path: Path
) -> None:
    spec = f"{__name__}.{network.__name__}"
    card = Card("0.1.0", asdict(TrainConfig(backbone=spec)), "hash", 5)
    save_checkpoint(tmp_path / "a.safetensors", network().state_dict(), card)
    (tmp_path / "a.onnx").write_text("an older one")
    with trusting(spec), pytest.raises(UserError, match=f"^{tmp_path / 'a.onnx'}: not written: {reason}") as error:
        export_checkpoint(str(tmp_path / "a.safetensors"), tmp_path / "a.onnx")
    assert "\n" not in str(error.value)
    assert (tmp_path / "a.onnx").read_text() == "an older one"
    assert not leftovers(tmp_path)


def test_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.pth: an ONNX file ends in \.onnx"):
        export_checkpoint("denoiser", tmp_path / "a.pth")


@pytest.mark.slow
def test_without_the_extra_nothing_is_written(tmp_path: Path) -> None:
    spec = checkpoint(tmp_path / "a.safetensors", SMALL[0])
    script = (
        "import sys; sys.modules['onnxscript'] = None\n"
        "from pathlib import Path; from unseen.core.errors import UserError\n"
        "from unseen.models.onnx_export import export_checkpoint\n"
        f"try: export_checkpoint({spec!r}, Path({str(tmp_path / 'a.onnx')!r}))\n"
        "except UserError as error: print(error)"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert install_command("onnx") in process.stdout, process
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_the_differences_are_told_by_size() -> None:
    assert lines({(1, 8, 9): 1.25e-7, (2, 16, 23): 0.0}) == [
        "1 image of 9×8 pixels: differs from PyTorch by 1.2e-07 at most",
        "2 images of 23×16 pixels: differs from PyTorch by 0.0e+00 at most",
    ]


@pytest.mark.slow
def test_onnx_runtime_reports_to_nobody(tmp_path: Path) -> None:
    script = (
        "from unseen.models.onnx_file import onnx_runtime; onnx_runtime(); print(len(os.listdir('/proc/self/task')))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    threads = subprocess.run(
        [sys.executable, "-c", f"import os; {script}"], env=environment, capture_output=True, text=True, check=True
    )
    assert threads.stdout == "1\n"  # none that waits to send
    assert not list(tmp_path.iterdir())
