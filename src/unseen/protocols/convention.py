"""The convention by which images are compared."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import ClassVar, Literal

from ..core.errors import UserError


@dataclass(frozen=True)
class Convention:
    """The settings of image comparison. Two numbers are comparable only under equal conventions.

    Attributes:
        channels: "rgb" compares all channels together; "y" compares the BT.601 studio-range luma (16 to 235), on
            the scale where 255 is 1, so that the data range stays 1.
        border: pixels left out on every side, after everything else.
        round_output: both images are rounded to 8 bits first, as files would hold them.
        round_input: the *distorted* input is rounded to 8 bits before the network sees it. The metrics do not read this
            field; evaluation obeys it, and it stands here because it is part of the meaning of a number.
        round_y: Y itself is rounded to whole levels, as MATLAB's rgb2ycbcr does for 8-bit images. False is what BasicSR
            and scikit-image compute. Needs channels "y".

    Raises:
        UserError: naming the field that holds anything else.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}  # of files, where a misspelt name must not pass

    channels: Literal["rgb", "y"] = "rgb"
    border: int = 0
    round_output: bool = True
    round_input: bool = False
    round_y: bool = False

    def __post_init__(self) -> None:
        if self.channels not in ("rgb", "y"):
            raise UserError(f"convention.channels: {self.channels!r} is unknown, give rgb or y")
        # A bool is an int to Python, and `border: true` in a file is surely a slip.
        if not isinstance(self.border, int) or isinstance(self.border, bool) or self.border < 0:
            raise UserError(f"convention.border: {self.border!r} is no number of pixels, give 0 or more")
        for name in ("round_output", "round_input", "round_y"):
            if not isinstance(getattr(self, name), bool):
                raise UserError(f"convention.{name}: {getattr(self, name)!r} is neither true nor false")
        if self.round_y and self.channels != "y":
            raise UserError("convention.round_y: there is no Y to round, give channels: y as well")

    def hash(self) -> str:
        """Return the first twelve hexadecimal digits of the SHA-256 of the fields as sorted JSON."""
        fields = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(fields.encode()).hexdigest()[:12]
