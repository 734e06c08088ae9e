"""Names after `--out`: whether a file or a folder is meant, before anything is written."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .errors import UserError

_PICTURES = "png jpg jpeg jpe jfif pjpeg bmp dib tif tiff webp avif heic heif gif jp2 jpx jxl psd svg eps exr hdr ppm"
_OTHERS = "pdf html htm json jsonl csv tex md txt log yaml yml pth pt ckpt safetensors onnx zip py"
FILE_SUFFIXES = frozenset(f".{name}" for name in f"{_PICTURES} {_OTHERS}".split())
"""Suffixes of files, which no one gives to a folder."""


def names_a_file(word: str, *, any_suffix: bool = False) -> bool:
    """Return whether a word names a file: it ends in a suffix of files, and neither in a slash nor is it a folder.

    Args:
        word: the word as the user gave it.
        any_suffix: whether every short suffix counts, such as .xyz, and not `FILE_SUFFIXES` alone. A number is none:
            `runs/lr-0.001` is a folder.
    """
    suffix = Path(word).suffix.lower()
    if word.endswith((os.sep, os.altsep or os.sep)) or os.path.isdir(word):
        return False
    return suffix in FILE_SUFFIXES or (any_suffix and re.fullmatch(r"\.[a-z][a-z0-9]{1,4}", suffix) is not None)


def require_folder_name(out: str, holds: str) -> None:
    """Refuse the name of a file where a folder will be made.

    Args:
        out: the word after `--out`.
        holds: what the folder will hold, with its article if it has one: `the study`, `copies`.

    Raises:
        UserError: naming the field.
    """
    if names_a_file(out):
        raise UserError(f"out: {out} is the name of a file, and a folder for {holds} is wanted; or end it with a slash")
