"""What the page says beside its pictures, as HTML. Every text of others is escaped."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO

from markupsafe import Markup
from PIL import Image

from ..data.photo import Pixels
from ..study.report.drawing import printable
from .kinds import Candidate, SliderKind
from .repair import Restored
from .specimen import Specimen, SpecimenPanel, middle

DETAIL = 176
"""The longest side of the small pictures: the middle, pixel by pixel."""
UNKNOWN = "what it saw is not known"
STANDINGS = {
    "seen": ("seen", "seen in training"),
    "unseen": ("unseen", "unseen: another strength"),
    "unseen kind": ("unseen", "unseen: another distortion"),
    "not known": ("", UNKNOWN),
}
"""The class and the words of what a network's training has to do with an input."""


def notice(text: str) -> Markup:
    """Something went wrong, and what to do."""
    return Markup('<p class="notice" role="alert">{}</p>').format(printable(text))


def about(specimen: Specimen) -> Markup:
    """What is on the bench."""
    width, height = specimen.size
    whole = Markup("{}×{} pixels").format(*specimen.whole)
    if specimen.size != specimen.whole:
        whole += f", made smaller to {width}×{height}: quick to restore, and rid of the camera's own noise"
    return Markup('<p class="about"><b>{}</b> {}</p>').format(printable(specimen.name), whole)


def strip(kind: SliderKind, candidates: Sequence[Candidate]) -> Markup:
    """Beneath the slider: which strengths each network saw."""
    row = Markup(
        '<li><b>{}</b> <span>{}</span><div class="bar"><i style="left: {:.1f}%; width: {:.1f}%"></i></div></li>'
    )
    rows = []
    for one in candidates:
        span = None if one.learnt is None else kind.span(one.learnt)
        low, high = (kind.lowest, kind.lowest) if span is None else span
        low, high = (min(max(end, kind.lowest), kind.highest) for end in (low, high))
        left, right = (100 * (end - kind.lowest) / (kind.highest - kind.lowest) for end in (low, high))
        words = f"saw {span[0]:g} to {span[1]:g}" if span else UNKNOWN if one.learnt is None else "never saw this"
        rows.append(row.format(printable(one.name), words, left, right - left))
    return Markup('<ul class="strip" aria-label="What each network saw in training">{}</ul>').format(
        Markup("").join(rows)
    )


def cards(panels: Sequence[SpecimenPanel]) -> Markup:
    """Every picture in small, with its numbers."""
    card = Markup('<figure class="card">{}<figcaption><b>{}</b>{}{}</figcaption></figure>')
    given = next(panel for panel in panels if panel.standing == "input")
    made = (card.format(picture(one.pixels), printable(one.title), numbers(one, given), tag(one)) for one in panels)
    return Markup('<div class="cards">{}</div>').format(Markup("").join(made))


def picture(pixels: Pixels | None) -> Markup:
    if pixels is None:
        return Markup('<span class="waiting" role="img" aria-label="being restored"></span>')
    with BytesIO() as file:
        Image.fromarray(middle(pixels, DETAIL)).save(file, "PNG", compress_level=1)
        return Markup('<img alt="" src="data:image/png;base64,{}">').format(b64encode(file.getvalue()).decode())


def numbers(panel: SpecimenPanel, given: SpecimenPanel) -> Markup:
    """PSNR, and for a restoration what it gained."""
    if panel.standing == "original":
        return Markup("<span>what it should be</span>")
    if panel.pixels is None:
        return Markup("<span>…</span>")
    text = Markup("<span>{}</span>").format(decibels(panel.psnr))
    gain = panel.psnr - given.psnr
    if panel is not given and math.isfinite(gain):
        better = gain >= 0
        text += Markup('<span class="{}">{:.2f} dB {} than the input</span>').format(
            "gain" if better else "loss", abs(gain), "better" if better else "worse"
        )
    return text


def measuring() -> Markup:
    """In place of a curve of which there is no point yet."""
    return Markup('<span class="waiting wide" role="img" aria-label="being measured"></span>')


def decibels(value: float) -> str:
    """PSNR for people."""
    return f"{value:.2f} dB" if math.isfinite(value) else "the same" if value > 0 else "no number"


def tag(panel: SpecimenPanel) -> Markup:
    if panel.standing not in STANDINGS:
        return Markup("")
    return Markup('<span class="tag {}">{}</span>').format(*STANDINGS[panel.standing])


def pointer(share: float) -> Markup:
    """Where the slider stands, over the chart."""
    return Markup('<i style="left: {:.2f}%"></i>').format(100 * share)


def caption(left: SpecimenPanel, right: SpecimenPanel, strength: float) -> Markup:
    """What is on either side of the divider, and between them at what strength."""
    side = Markup("<span><b>{}</b> {}</span>")
    sides = [
        side.format(printable(panel.title), "" if panel.standing == "original" else decibels(panel.psnr))
        for panel in (left, right)
    ]
    return Markup('<p class="caption">{}<span>at {:g}</span>{}</p>').format(sides[0], strength, sides[1])


def outcome(name: str, result: Restored) -> Markup:
    """What became of a photograph, and what to be careful about."""
    remarks = Markup("").join(Markup("<li>{}</li>").format(printable(remark)) for remark in result.remarks)
    return Markup('<p class="about"><b>{}</b> {}</p><ul class="remarks">{}</ul>').format(
        printable(name), printable(result.facts), remarks
    )
