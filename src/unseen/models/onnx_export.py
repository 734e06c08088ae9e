"""Export of a network to ONNX, for images of any number and size; the file is kept only if it agrees with PyTorch."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ..core.atomic import replacing
from ..core.errors import UserError
from ..core.installation import install_command
from ..core.version import __version__
from .backbones.normalised import Normalised
from .backbones.padded import Padded, next_multiple
from .backbones.shared import ReadsNoise
from .backbones.wne import WNE
from .card import Card
from .loading import load_network, model_of
from .onnx_file import CARD, RECEPTIVE_FIELD, SMALLEST, STRENGTH, onnx_runtime, open_onnx
from .receptive_field import ReceptiveField

Size = tuple[int, int, int]
"""Images, height, width."""

STRENGTHS = (0.5, 1.0, 1.5)
"""Strengths at which the file of a network that reads the noise itself is compared with PyTorch."""

SIZES: tuple[Size, ...] = ((1, 8, 8), (2, 16, 23), (1, 61, 47), (1, 64, 96), (1, 157, 131))
"""Sizes at which an exported file is compared with PyTorch."""

TOLERANCE = 1e-4
"""The largest allowed difference from PyTorch at any pixel of images of `SIZES`, in units of white."""

OPSET = 18
"""Version of ONNX's operators: the oldest that PyTorch writes, so that most other programs can read the files."""


def export_checkpoint(spec: str, path: Path, backbone: str = "") -> dict[Size, float]:
    """Write a model as ONNX, and compare it with PyTorch.

    The file has one input `image`, float32 (batch, 3, height, width) in [0, 1], and one output `restored`, (batch, 3,
    scale·height, scale·width), not clipped; batch, height and width are free. That of a network which reads the noise
    itself (`ReadsNoise`) has a second input `strength`, float32 (1,), which is 1 where it is left out. The metadata of
    the file hold, as JSON, the card (`unseen`, if the model has one), the receptive field (`unseen.reach`), the
    smallest height and width that the network takes (`unseen.smallest`; `open_onnx` pads smaller images) and the
    version (`unseen.version`).

    Args:
        spec: as for `load_network`.
        path: the file to write; its name ends in .onnx.
        backbone: as for `load_network`.

    Returns:
        Size → largest difference over all pixels, in units of white.

    Raises:
        UserError: where the network cannot be exported, differs by more than `TOLERANCE` anywhere, or the extra `onnx`
            is not installed. An earlier file at `path` then stays as it was.
    """
    if path.suffix.lower() != ".onnx":
        raise UserError(f"{path}: an ONNX file ends in .onnx")
    try:
        import onnxscript  # noqa: F401

        onnx_runtime()
    except ImportError as error:
        raise UserError(f"{path}: needs ONNX: {install_command('onnx')} ({error})") from error
    network, card = load_network(spec, backbone)
    return export_network(network, path, model_of(network, spec).receptive_field, card)


def export_network(
    network: nn.Module, path: Path, receptive_field: ReceptiveField, card: Card | None = None
) -> dict[Size, float]:
    """Export a network in memory, on the CPU and in evaluation mode, as `export_checkpoint` does.

    The graph of a `WNE` computes mean and deviation of its input, so that the file has the whole image as its field.
    """
    wrapped = network.network if isinstance(network, Normalised) else network
    if isinstance(network, WNE):
        receptive_field = replace(receptive_field, radius=None)
    if isinstance(wrapped, Padded):
        least = next_multiple(wrapped.smallest, wrapped.multiple)
    else:
        least = int(getattr(wrapped, "stride", 1))
    program = traced(network, path, least)
    if receptive_field.scale == 1:  # said plainly: tracing may find a formula that is the same
        program.model.graph.outputs[0].shape = program.model.graph.inputs[0].shape
    metadata = {"unseen.version": json.dumps(__version__), RECEPTIVE_FIELD: json.dumps(asdict(receptive_field))}
    if card is not None:
        metadata[CARD] = card.to_json()
    with replacing(path) as temporary:
        for smallest in (least, 2 * least):  # mirroring needs two pixels
            program.model.metadata_props.update(metadata | {SMALLEST: json.dumps(smallest)})
            program.save(temporary, external_data=False)
            if largest_difference(network, temporary, (1, smallest, smallest)) <= TOLERANCE:
                break
        differences = {size: largest_difference(network, temporary, size) for size in SIZES}
        worst = max(differences, key=lambda size: differences[size])
        if not differences[worst] <= TOLERANCE:
            raise UserError(
                f"{path}: not written: at {size_in_words(worst)} it differs from PyTorch by {differences[worst]:.1e}, "
                f"more than {TOLERANCE:g}; this network cannot be exported for all sizes"
            )
    return differences


def largest_difference(network: nn.Module, path: Path, size: Size) -> float:
    """Compare PyTorch with ONNX Runtime on random images of a size; infinite where ONNX Runtime fails.

    A network that takes a strength is compared without one, and at all of `STRENGTHS`.
    """
    count, height, width = size
    images = torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))
    settings: list[dict[str, Tensor]] = [{}]
    if isinstance(network, ReadsNoise):
        settings += [{STRENGTH: torch.tensor([strength])} for strength in STRENGTHS]
    largest = 0.0
    with torch.inference_mode():
        exported = open_onnx(path).network
        for setting in settings:
            expected: Tensor = network(images, **setting)
            try:
                restored: Tensor = exported(images, **setting)
            except UserError:
                raise
            except Exception:  # ONNX Runtime has an exception for each of its states, and no common one
                return float("inf")
            if restored.shape != expected.shape:
                return float("inf")
            largest = max(largest, float((restored - expected).abs().max()))
    return largest


def traced(network: nn.Module, path: Path, least: int) -> torch.onnx.ONNXProgram:
    """Trace a network into a graph with free batch, height and width, on images of odd sides above `least`.

    Raises:
        UserError: naming `path`, where PyTorch cannot export the network.
    """
    image = torch.rand(2, 3, 2 * least + 65, 2 * least + 39, generator=torch.Generator().manual_seed(0))
    inputs, shapes = {"image": image}, [{0: "batch", 2: "height", 3: "width"}]
    if isinstance(network, ReadsNoise):
        inputs, shapes = inputs | {STRENGTH: torch.ones(1)}, [*shapes, {}]
    try:
        with silence():
            program = torch.onnx.export(
                network,
                tuple(inputs.values()),
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                input_names=list(inputs),
                output_names=["restored"],
                dynamic_shapes=tuple(shapes),
            )
    except Exception as error:  # the exporter may raise any error
        reason = " ".join(str(error.__cause__ or error).split())[:200]
        raise UserError(f"{path}: not written: PyTorch cannot export this network for all sizes: {reason}") from error
    assert program is not None  # with dynamo there always is one
    import onnx_ir  # comes with PyTorch's exporter

    for value in program.model.graph.inputs[1:]:  # may be left out, as it has a value of its own
        value.const_value = onnx_ir.tensor(inputs[STRENGTH].numpy(), name=STRENGTH)
        program.model.graph.register_initializer(value)
    return program


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Silence the exporter's prints, warnings and logs: the comparison with PyTorch decides, not its messages."""
    before = logging.root.manager.disable
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(before)


def size_in_words(size: Size) -> str:
    """A size in words, such as `2 images of 23×16 pixels`."""
    count, height, width = size
    return f"{count} image{'s' * (count > 1)} of {width}×{height} pixels"


def lines(differences: Mapping[Size, float]) -> list[str]:
    """The differences that an export returned, as lines of text, one for each size."""
    return [
        f"{size_in_words(size)}: differs from PyTorch by {value:.1e} at most" for size, value in differences.items()
    ]
