"""The picture of the README: one photograph under strong noise, and what the shipped networks make of it.

    python studies/picture.py        # writes docs/picture.png, the same bytes each time, in some seconds

The photograph is scikit-image's `chelsea`, which no network was trained on. The noise is that of the protocol `denoise`
at σ 50, drawn as every test image is. Three of the networks saw noise up to σ 20 alone; the fourth saw σ up to 75.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from unseen import Restorer
from unseen.core.atomic import replacing
from unseen.data.embedded import embedded_photos
from unseen.data.tensors import to_pixels, to_tensor
from unseen.evaluation.inputs import distort
from unseen.evaluation.metrics import psnr
from unseen.protocols.confounder import Synthetic
from unseen.protocols.loading import load_protocol

PICTURE = Path(__file__).parents[1] / "docs" / "picture.png"
PHOTO, LEVEL = "chelsea", "gaussian noise 50"
TOP, LEFT, HEIGHT, WIDTH = 66, 118, 142, 164
"""The part of the photograph that is shown, pixel by pixel."""

GAP, LINE = 5, 17
"""Pixels between panels; pixels that a line of the legend takes."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Panel:
    """One panel of the picture.

    Attributes:
        title: what is shown.
        note: what the network was trained on; empty where there is no network.
        pixels: uint8 (H, W, 3), the whole photograph.
        psnr: PSNR in dB of the whole photograph under the protocol's convention; None for the photograph itself.
    """

    title: str
    note: str
    pixels: Pixels
    psnr: float | None


def panels() -> list[Panel]:
    """The photograph, its noisy copy, and what each shipped network restores from the noisy copy."""
    photo = next(photo for photo in embedded_photos("test") if photo.name == PHOTO)
    protocol = load_protocol("denoise")
    (noise,) = (c for level, c in protocol.levels() if level.name == LEVEL and isinstance(c, Synthetic))
    noisy = distort(photo, noise, protocol.convention, seed=0, dataset="embedded")
    clean = to_tensor(photo.pixels)

    def panel(title: str, note: str, pixels: Pixels) -> Panel:
        return Panel(title, note, pixels, float(psnr(to_tensor(pixels), clean, protocol.convention)))

    def restored(model: str) -> Pixels:
        result: Pixels = Restorer.load(model, device="cpu").restore(to_pixels(noisy))
        return result

    return [
        panel("noisy, σ 50", "", to_pixels(noisy)),
        panel("erm", "saw σ 5 to 20", restored("erm")),
        panel("dil_sf", "saw σ 5 to 20", restored("dil_sf")),
        panel("unit_noise", "saw σ 5 to 20", restored("unit_noise")),
        panel("denoiser", "saw σ 0 to 75", restored("denoiser")),
        Panel("photograph", "", photo.pixels, None),
    ]


def draw(shown: list[Panel]) -> Image.Image:
    """The panels side by side, each above its legend."""
    step = WIDTH + GAP
    canvas = Image.new("RGB", (len(shown) * step - GAP, HEIGHT + 3 * LINE + 2 * GAP), "white")
    pen = ImageDraw.Draw(canvas)
    font = ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", 13)
    for i, panel in enumerate(shown):
        canvas.paste(Image.fromarray(panel.pixels[TOP : TOP + HEIGHT, LEFT : LEFT + WIDTH]), (i * step, 0))
        legend = [panel.title, "" if panel.psnr is None else f"{panel.psnr:.2f} dB", panel.note]
        for j, text in enumerate(legend):
            place = (i * step + WIDTH / 2, HEIGHT + GAP + j * LINE)
            pen.text(place, text, "#1b2026" if j < 2 else "#626c77", font, anchor="ma")
    return canvas


def main() -> None:
    """Write the picture, and print what its legend says."""
    shown = panels()
    with replacing(PICTURE) as temporary:
        draw(shown).save(temporary, "PNG", optimize=True)
    for panel in shown:
        print(panel.title, "" if panel.psnr is None else f"{panel.psnr:.2f} dB", panel.note)
    print(PICTURE)


if __name__ == "__main__":
    main()
