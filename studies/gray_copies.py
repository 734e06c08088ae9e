"""Copies of photographs without colour, to test the denoiser for black and white on.

python studies/gray_copies.py "$UNSEEN_TEST_DATA/test" runs/shipped/gray cbsd68 cc15
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of test sets")
    parser.add_argument("out", type=Path, help="folder of their copies: PNG files of one channel, of BT.601 luma")
    parser.add_argument("sets", nargs="+", help="the test sets: folders of PNG files, or of folders of them")
    given = parser.parse_args()
    for path in sorted(path for name in given.sets for path in (given.folder / name).rglob("*.png")):
        copy = given.out / path.relative_to(given.folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as photograph:
            photograph.convert("L").save(copy)


if __name__ == "__main__":
    main()
