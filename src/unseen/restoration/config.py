"""What restores, and in how much memory: what `unseen restore` can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from ..core.config import Machine
from ..core.errors import UserError
from ..core.units import parse_bytes

Format: TypeAlias = Literal["input", "png", "jpeg", "tiff", "webp", "bmp"]

MODEL = (
    "a shipped model (unseen models), a run or its checkpoint, an .onnx, or what spandrel loads (.pth, .safetensors)"
)


@dataclass(frozen=True, kw_only=True)
class ModelOptions(Machine):
    """What restores, and in how much memory."""

    model: Annotated[str, MODEL] = "denoiser"
    backbone: Annotated[str, "the network, needed only for one of your own: my.module.Net"] = ""
    memory: Annotated[str, "what the tiles may take beside the loaded program: 512MiB, 2GiB"] = "1GiB"
    tile: Annotated[int, "side of a tile in pixels; 0 takes the largest that memory allows"] = 0

    @property
    def bytes(self) -> int:
        """The memory in bytes. Raises UserError for what is none."""
        return parse_bytes(self.memory, "memory")

    def check(self) -> None:
        """Raises UserError, naming the field, for what cannot be."""
        _ = self.bytes
        if self.tile < 0:
            raise UserError(f"tile: {self.tile} is below 0")


@dataclass(frozen=True, kw_only=True)
class RestoreConfig(ModelOptions):
    """Photographs to restore."""

    format: Annotated[Format, "what to write; input keeps the format of each file"] = "input"
    out: Annotated[str, "folder for the restored files, or for a single photo a file; -o for short"] = ""

    def check(self) -> None:
        """Also for a run without a place to write to."""
        super().check()
        if not self.out:
            raise UserError("out: none given; say where restored files go, -o FOLDER")
