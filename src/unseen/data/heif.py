"""Reading of AVIF and HEIC by libvips, as far as the libvips of this machine has the decoders."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from .native_messages import silence_glib

if TYPE_CHECKING:  # libvips takes a moment to load
    import pyvips

KINDS = ("avif", "heic")
"""The kinds of files (`kind_of`) that may be readable here."""

# Gray pictures of 16×16 pixels.
_SAMPLES = {
    "heic": (
        "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAXxtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJp"
        "bG9jAAAAAERAAAEAAQAAAAABoAABAAAAAAAAABwAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAAB"
        "AAAA/GlwcnAAAADcaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEA"
        "AQApQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPBiQAAABNjb2xybmNseAABAA0ABoAAAAAU"
        "aXNwZQAAAAAAAABAAAAAQAAAAChjbGFwAAAAEAAAAAEAAAAQAAAAAf///9AAAAAC////0AAAAAIAAAAQcGl4aQAAAAADCAgIAAAAGGlw"
        "bWEAAAAAAAAAAQABBYECAwWEAAAAJG1kYXQAAAAYKAGvBBI43PiVoJIwrOcvPKFe3uCR8IqA"
    ),
    "avif": (
        "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUIAAADrbWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAAAAAA"
        "AAAOcGl0bQAAAAAAAQAAAB5pbG9jAAAAAEQAAAEAAQAAAAEAAAETAAAAHwAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAAAAEAAGF2MDFD"
        "b2xvcgAAAABqaXBycAAAAEtpcGNvAAAAFGlzcGUAAAAAAAAAEAAAABAAAAAQcGl4aQAAAAADCAgIAAAADGF2MUOBAAwAAAAAE2NvbHJu"
        "Y2x4AAEADQAGgAAAABdpcG1hAAAAAAAAAAEAAQQBAoMEAAAAJ21kYXQSAAoJGAz/2iAhoNCAMhAZR4eGIYeeeeaAAAB1hlQc"
    ),
}


@cache
def is_readable(kind: str) -> bool:
    """Whether the libvips of this machine decodes files of a kind, AVIF or HEIC; found out on a small picture."""
    import pyvips

    silence_glib()
    try:
        pyvips.Image.new_from_buffer(base64.b64decode(_SAMPLES[kind]), "").avg()
    except pyvips.Error:
        return False
    return True


def open_heif(path: Path, access: Literal["sequential", "random"] = "sequential") -> pyvips.Image:
    """Open a pipeline that decodes the primary picture of an AVIF or HEIC file, upright.

    Raises:
        OSError: the file cannot be opened.
        pyvips.Error: the file is broken.
    """
    import pyvips

    silence_glib()
    pyvips.cache_set_max(0)  # else libvips would keep the files of its last hundred operations open
    with path.open("rb") as file:  # by descriptor, as a name need not be UTF-8
        source = pyvips.Source.new_from_descriptor(file.fileno())
        image: pyvips.Image = pyvips.Image.heifload_source(source, access=access, fail_on="error")
        if image.get("heif-primary"):
            image = pyvips.Image.heifload_source(source, page=image.get("heif-primary"), access=access, fail_on="error")
    return image


def is_hdr(path: Path) -> bool:
    """Whether an AVIF or HEIC file says that its values follow a curve for HDR, PQ or HLG (ITU-T H.273: 16, 18)."""
    return colour_codes(path)[1] in (16, 18)


def colour_codes(path: Path) -> tuple[int, int]:
    """The numbers of primaries and of transfer (ITU-T H.273) that an AVIF or HEIC file states; 2, unknown, for none."""
    with path.open("rb") as file:
        boxes = file.read(2**16)
    _, _, colours = boxes.partition(b"colrnclx")
    return (colours[0] << 8 | colours[1], colours[2] << 8 | colours[3]) if len(colours) >= 4 else (2, 2)


def read_heif(path: Path) -> Image.Image:
    """Decode an AVIF or HEIC file with 8 bits a channel; the arguments and errors are those of `open_heif`."""
    image = open_heif(path)
    values = image.numpy()
    if values.dtype == np.uint16:
        values = ((values.astype(np.int64) + 128) // 257).astype(np.uint8)
    return Image.fromarray(values[..., 0] if image.bands == 1 else values)
