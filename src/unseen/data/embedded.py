"""Photographs that need no download: those inside the scikit-image wheel, split by name."""

from __future__ import annotations

import importlib.util
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from ..core.errors import UserError
from .photo import Photo
from .reading import read_photo

Subset = Literal["train", "validation", "test"]

# The rest of the wheel's colour pictures teach a denoiser little: hubble_deep_field is itself noisy, ihc is
# tissue with halos of sharpening, retina and color are smooth nearly everywhere, motorcycle_right shows the
# scene of motorcycle_left once more, and the others are drawings, text or tiny. camera validates: gray, but a
# natural scene of its own.
EMBEDDED: dict[Subset, tuple[str, ...]] = {
    "train": ("rocket.jpg", "motorcycle_left.png"),
    "validation": ("camera.png",),
    "test": ("astronaut.png", "chelsea.png", "coffee.png"),
}
"""The split, as file names. No scene is in two subsets."""

_KNOWN_GOOD = "0.26.0"


def embedded_photos(subset: Subset) -> list[Photo]:
    """Read the photographs of one subset of the embedded split (see `EMBEDDED`), named without suffix.

    The photographs are read from the installed scikit-image, without internet. The validation photograph is gray,
    replicated to three channels.

    Raises:
        UserError: where a photograph is missing.
    """
    folder = _data_folder()
    return [_read(folder / name) for name in EMBEDDED[subset]]


def _data_folder() -> Path:
    # Without importing skimage, which takes longer than reading the pictures.
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"scikit-image is not installed: pip install scikit-image=={_KNOWN_GOOD}")
    return Path(spec.submodule_search_locations[0]) / "data"


def _read(path: Path) -> Photo:
    if not path.is_file():
        raise UserError(
            f"{path}: not in the installed scikit-image {version('scikit-image')}; "
            f"version {_KNOWN_GOOD} has it: pip install scikit-image=={_KNOWN_GOOD}"
        )
    return Photo(path.stem, read_photo(path))
