"""Weights that other programs wrote, opened by spandrel without executing any pickle."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ..core.errors import UserError, one_line
from ..core.installation import install_command
from .backbones.padded import Padded
from .limits import building_for, require_weights

WEIGHTS = (".pth", ".pt", ".ckpt", ".safetensors")
"""Suffixes of files of weights, in lower case."""

MOST_REPEATED = 2**28
"""Most bytes that the weights may have beyond those of their file, which can hold one number for a whole tensor."""

SINGLY = ("DRUNet", "DnCNN", "IPT", "SeemoRe")
"""Architectures that must get one image at a time: spandrel gives them a noise map for one image, or cuts images up
itself, or they take one image alone."""

DRAWING = ("AuraSR",)
"""Architectures whose output is drawn at random."""


class Adapted(nn.Module):
    """A wrapper of a network for single or gray images that takes colour batches, (B, 3, H, W) in [0, 1].

    Attributes:
        network: the network inside.
        gray: whether the network restores each colour channel separately, as a gray image.
        singly: whether the network gets the images of a batch one at a time.
    """

    def __init__(self, network: nn.Module, *, gray: bool, singly: bool) -> None:
        super().__init__()
        self.network = network
        self.gray = gray
        self.singly = singly

    def forward(self, x: Tensor, **settings: Tensor) -> Tensor:
        """Restore (B, 3, H, W); the network gets `settings` besides the images."""
        images = x.flatten(0, 1).unsqueeze(1) if self.gray else x
        batches = images.chunk(len(images)) if self.singly else (images,)
        restored = torch.cat([self.network(batch, **settings) for batch in batches])
        return restored.reshape(-1, 3, *restored.shape[-2:]) if self.gray else restored


class Called(nn.Module):
    """A network of spandrel with the steps that spandrel takes before and after the network.

    These steps add a noise map of σ 15/255, or convert ranges.

    Attributes:
        network: the network.
        call: spandrel's function of network and images.
    """

    def __init__(self, network: nn.Module, call: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.network = network
        self.call = call

    def forward(self, x: Tensor) -> Tensor:
        """Restore (B, C, H, W)."""
        return self.call(self.network, x)


def is_ours(path: Path) -> bool:
    """Whether a file is a checkpoint, or a saved state, of this package."""
    if path.suffix.lower() != ".safetensors":
        return False
    require_weights(path, safetensors=True)
    try:
        with safe_open(path, framework="pt") as file:
            return any(key.startswith("unseen") for key in file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def load_weights(path: Path) -> Padded:
    """Load the network of a file of weights, which spandrel recognises by their names and shapes.

    The network is in evaluation mode on the CPU: float (B, 3, H, W) in [0, 1] → (B, 3, scale·H, scale·W), any size from
    1×1; images of sizes that it cannot take are padded, and the output cut (`Padded`). A network for gray images
    restores each colour channel separately. A network that takes the noise level as an input gets σ 15/255, spandrel's
    choice. Outputs are not clipped.

    Args:
        path: a file with one of the suffixes `WEIGHTS`.

    Raises:
        UserError: where spandrel is not installed; for a file that is broken, holds more than weights, or is of no
            architecture that spandrel knows; and for networks that fill masks, make faces, draw at random, or take
            other channels than RGB or gray.
    """
    try:
        import spandrel
    except ImportError as error:
        raise UserError(f"{path}: needs spandrel: {install_command('zoo')} ({error})") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's, of coming changes of names
            state = spandrel.canonicalize_state_dict(read_tensors(path))
            with building_for(state):
                descriptor = spandrel.ModelLoader().load_from_state_dict(state)
    except UserError:
        raise
    except spandrel.UnsupportedModelError as error:
        raise UserError(f"{path}: of no architecture that spandrel {spandrel.__version__} knows") from error
    except Exception as error:  # weights that look like an architecture and do not fit it raise anything
        raise UserError(f"{path}: spandrel cannot make a network of it: {one_line(error):.200}") from error
    _refuse_others(path, descriptor)
    called = Called(descriptor.model, descriptor._call_fn)
    adapted = Adapted(called, gray=descriptor.input_channels == 1, singly=descriptor.architecture.id in SINGLY)
    sizes = descriptor.size_requirements
    return Padded(
        adapted, sizes.multiple_of, descriptor.scale, smallest=max(sizes.minimum, 1), square=sizes.square
    ).eval()


def read_tensors(path: Path) -> dict[str, Any]:
    """Read a file of weights, on the CPU. Raise UserError for a broken file, and for a file that would run code."""
    is_safetensors = path.suffix.lower() == ".safetensors"
    require_weights(path, safetensors=is_safetensors)
    try:
        if is_safetensors:
            return load_file(path)
        _refuse_packed(path)
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        stated = _stated_bytes(tensors)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"code ({named[1]})" if named else "more than weights, or is damaged"
        raise UserError(f"{path}: holds {what}; it is not run: ask for the weights as .safetensors") from error
    except Exception as error:  # broken archives raise nearly anything
        raise UserError(f"{path}: no weights, or damaged: {one_line(error):.200}") from error
    if not isinstance(tensors, dict):
        raise UserError(f"{path}: holds a {type(tensors).__name__} and no weights by name")
    if stated > path.stat().st_size + MOST_REPEATED:
        raise UserError(f"{path}: its weights have more numbers than the file holds")
    return tensors


def _stated_bytes(tensors: object) -> int:
    """The bytes of all tensors in nested dicts and lists, as their shapes state them; what occurs twice counts once."""
    distinct = {id(leaf): leaf for leaf in tree_leaves(tensors)}
    return sum(leaf.numel() * leaf.element_size() for leaf in distinct.values() if isinstance(leaf, Tensor))


def _refuse_packed(path: Path) -> None:
    """Raise ValueError for an archive that unpacks to more than it holds; PyTorch packs nothing."""
    if is_zipfile(path):
        with ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > 2 * path.stat().st_size:
            raise ValueError("it unpacks to more than it holds")


def _refuse_others(path: Path, descriptor: Any) -> None:
    """Raise UserError for a network that does not restore whole images."""
    name = descriptor.architecture.name
    if descriptor.purpose == "Inpainting":
        raise UserError(f"{path}: {name} fills masks; a model that restores whole images is needed")
    if descriptor.purpose == "FaceSR":
        raise UserError(f"{path}: {name} makes faces; a model that restores any image is needed")
    if descriptor.architecture.id in DRAWING:
        raise UserError(f"{path}: {name} draws its output at random; a model that restores is needed")
    channels = descriptor.input_channels, descriptor.output_channels
    if channels not in ((1, 1), (3, 3)):
        raise UserError(f"{path}: {name} makes {channels[1]} channels of {channels[0]}; RGB or gray is needed")
