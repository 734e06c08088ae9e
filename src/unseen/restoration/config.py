"""Options of `unseen restore`: the model, its memory, and the outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from annotated_types import Ge, Le

from ..core.config import Machine, check_values
from ..core.errors import UserError
from ..core.precision import Precision
from ..core.trust import Names
from ..core.units import ValueRange, parse_bytes

Format: TypeAlias = Literal["input", "png", "jpeg", "tiff", "webp", "bmp"]

MODEL = (
    "a shipped model (unseen models), a run or its checkpoint, an .onnx, or what spandrel loads (.pth, .safetensors)"
)


@dataclass(frozen=True, kw_only=True)
class ModelOptions(Machine):
    """The options of a model that restores: its file, its memory, and its tiles."""

    model: Annotated[str, MODEL] = "denoiser"
    backbone: Annotated[str, Names(), "the network, needed only for one of your own: my.module.Net"] = ""
    range: Annotated[ValueRange, "values of another program's model; auto finds them by trials on flat images"] = "auto"
    precision: Annotated[
        Precision,
        "type in which the network multiplies; auto: bf16 where the device has it and the model's card says that it "
        "loses at most 0.05 dB",
    ] = "auto"
    memory: Annotated[str, "what the tiles may take beside the loaded program: 512MiB, 2GiB"] = "1GiB"
    tile: Annotated[int, Ge(0), "side of a tile in pixels; 0 takes the largest that memory allows"] = 0

    @property
    def bytes(self) -> int:
        """The memory in bytes. Raises UserError if `memory` is not an amount of memory."""
        return parse_bytes(self.memory, "memory")

    def check(self) -> None:
        """Raise UserError, naming the field, for a value that does not fit."""
        check_values(self)
        _ = self.bytes


@dataclass(frozen=True, kw_only=True)
class RestoreConfig(ModelOptions):
    """Options of the restoration of photographs."""

    strength: Annotated[
        float,
        Ge(0),
        Le(2),
        "how strong the noise is taken for, times what the network reads itself; 0 returns the photos as they are",
    ] = 1.0
    format: Annotated[Format, "what to write; input keeps the format of each file"] = "input"
    out: Annotated[str, "folder for the restored files, or for a single photo a file; -o for short"] = ""

    def check(self) -> None:
        """Raise UserError, naming the field, for a value that does not fit, or if `out` is empty."""
        super().check()
        if not self.out:
            raise UserError("out: none given; say where restored files go, -o FOLDER")
