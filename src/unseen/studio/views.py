"""The texts of the page as HTML. Every text from users, such as a file name, is escaped."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO

from markupsafe import Markup
from PIL import Image

from ..data.photo import Pixels, central_crop
from ..study.report.drawing import printable
from .excerpt import Excerpt
from .kinds import Candidate, SliderKind
from .repair import RestoredPhoto
from .specimen import Specimen, SpecimenPanel

THUMBNAIL_SIDE = 176
"""The longest side of the small pictures, in pixels: the middle, pixel by pixel."""
UNKNOWN = "what it saw is not known"
FAMILIARITY_LABELS = {
    "seen": ("seen", "seen in training"),
    "unseen": ("unseen", "unseen: another strength"),
    "unseen kind": ("unseen", "unseen: another distortion"),
    "not known": ("", UNKNOWN),
}
"""Result of `Candidate.familiarity` → CSS class and words."""


def notice(text: str) -> Markup:
    """A message about an error."""
    return Markup('<p class="notice" role="alert">{}</p>').format(printable(text))


def specimen_description(specimen: Specimen) -> Markup:
    """The name and size of the photograph on the page."""
    width, height = specimen.size
    whole = Markup("{}×{} pixels").format(*specimen.original_size)
    if specimen.size != specimen.original_size:
        whole += f", made smaller to {width}×{height}: quick to restore, and rid of the camera's own noise"
    return Markup('<p class="about"><b>{}</b> {}</p>').format(printable(specimen.name), whole)


def training_strip(kind: SliderKind, candidates: Sequence[Candidate]) -> Markup:
    """The bars beneath the slider: the strengths that each network saw in training."""
    row = Markup(
        '<li><b>{}</b> <span>{}</span><div class="bar"><i style="left: {:.1f}%; width: {:.1f}%"></i></div></li>'
    )
    rows = []
    for one in candidates:
        trained = None if one.trained_on is None else kind.trained_range(one.trained_on)
        low, high = (kind.lowest, kind.lowest) if trained is None else trained
        low, high = (min(max(end, kind.lowest), kind.highest) for end in (low, high))
        left, right = (100 * (end - kind.lowest) / (kind.highest - kind.lowest) for end in (low, high))
        words = (
            f"saw {trained[0]:g} to {trained[1]:g}"
            if trained
            else UNKNOWN
            if one.trained_on is None
            else "never saw this"
        )
        rows.append(row.format(printable(one.name), words, left, right - left))
    return Markup('<ul class="strip" aria-label="What each network saw in training">{}</ul>').format(
        Markup("").join(rows)
    )


def panel_cards(panels: Sequence[SpecimenPanel]) -> Markup:
    """A small version of every picture, with its PSNR."""
    card = Markup('<figure class="card">{}<figcaption><b>{}</b>{}{}</figcaption></figure>')
    noisy = next(panel for panel in panels if panel.familiarity == "input")
    items = (
        card.format(thumbnail(one.pixels), printable(one.title), psnr_text(one, noisy), familiarity_tag(one))
        for one in panels
    )
    return Markup('<div class="cards">{}</div>').format(Markup("").join(items))


def thumbnail(pixels: Pixels | None) -> Markup:
    """The middle of a picture; a placeholder while the picture is being restored."""
    if pixels is None:
        return Markup('<span class="waiting" role="img" aria-label="being restored"></span>')
    return Markup('<img alt="" src="{}">').format(picture(central_crop(pixels, THUMBNAIL_SIDE)))


def picture(pixels: Pixels) -> str:
    """A picture as a data URI: PNG, compressed little, as it goes no farther than this machine."""
    with BytesIO() as file:
        Image.fromarray(pixels).save(file, "PNG", compress_level=1)
        return f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"


def pair(left: Pixels, right: Pixels, left_title: str, right_title: str, exact: bool = False) -> Markup:
    """The pictures on both sides of a divider, the right one first, as `divider.js` wants them.

    Args:
        left: picture on the left.
        right: picture on the right, as large.
        left_title: what the left picture shows.
        right_title: what the right picture shows.
        exact: whether a pixel of the pictures is a pixel of the page; else they are as wide as the page has room.
    """
    image = Markup('<img class="{}{}" src="{}" alt="{}" width="{}" height="{}">')
    height, width = left.shape[:2]
    return Markup("").join(
        image.format(side, " exact" * exact, picture(pixels), printable(title), width, height)
        for side, pixels, title in (("right", right, right_title), ("left", left, left_title))
    )


def overview(whole: Pixels, excerpt: Excerpt) -> Markup:
    """A small picture of a whole photograph, and a frame around the excerpt that is shown."""
    sides = ((excerpt.columns, excerpt.size[0]), (excerpt.rows, excerpt.size[1]))
    shares = (100 * number / length for span, length in sides for number in (span.first, span.last - span.first))
    frame = Markup('<i style="left: {:.3f}%; width: {:.3f}%; top: {:.3f}%; height: {:.3f}%"></i>').format(*shares)
    return Markup('<img alt="" src="{}">{}').format(picture(whole), frame)


def psnr_text(panel: SpecimenPanel, noisy: SpecimenPanel) -> Markup:
    """The PSNR of a picture, and for a restoration its gain over the input `noisy`."""
    if panel.familiarity == "original":
        return Markup("<span>what it should be</span>")
    if panel.pixels is None:
        return Markup("<span>…</span>")
    text = Markup("<span>{}</span>").format(decibels(panel.psnr))
    gain = panel.psnr - noisy.psnr
    if panel is not noisy and math.isfinite(gain):
        better = gain >= 0
        text += Markup('<span class="{}">{:.2f} dB {} than the input</span>').format(
            "gain" if better else "loss", abs(gain), "better" if better else "worse"
        )
    return text


def waiting_chart() -> Markup:
    """A placeholder for a chart that is being measured."""
    return Markup('<span class="waiting wide" role="img" aria-label="being measured"></span>')


def decibels(value: float) -> str:
    """A PSNR as text."""
    return f"{value:.2f} dB" if math.isfinite(value) else "the same" if value > 0 else "no number"


def familiarity_tag(panel: SpecimenPanel) -> Markup:
    """A label that says whether the network saw such inputs in training; empty for the original and the input."""
    if panel.familiarity not in FAMILIARITY_LABELS:
        return Markup("")
    return Markup('<span class="tag {}">{}</span>').format(*FAMILIARITY_LABELS[panel.familiarity])


def chart_pointer(share: float) -> Markup:
    """A mark on the chart at the slider's strength, at `share` of the chart's width from the left."""
    return Markup('<i style="left: {:.2f}%"></i>').format(100 * share)


def pair_caption(left: SpecimenPanel, right: SpecimenPanel, strength: float) -> Markup:
    """The caption under the pictures: the names on both sides of the divider, and the strength between them."""
    side = Markup("<span><b>{}</b> {}</span>")
    sides = [
        side.format(printable(panel.title), "" if panel.familiarity == "original" else decibels(panel.psnr))
        for panel in (left, right)
    ]
    return Markup('<p class="caption">{}<span>at {:g}</span>{}</p>').format(sides[0], strength, sides[1])


def photo_description(name: str, description: str) -> Markup:
    """The name of a photograph, and its format and size."""
    return Markup('<p class="about"><b>{}</b> {}</p>').format(printable(name), printable(description))


def restored_summary(name: str, result: RestoredPhoto) -> Markup:
    """The description of the input, and the notes on its restoration."""
    notes = Markup("").join(Markup("<li>{}</li>").format(printable(note)) for note in result.notes)
    return photo_description(name, result.description) + Markup('<ul class="notes">{}</ul>').format(notes)
