"""The page: its layout, and the actions that follow its events. Importing this module loads gradio."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from threading import Event
from typing import Any

import gradio as gr

from ..core.html_page import shared_text
from ..models.loading import MOST_STRENGTH, Model
from ..restoration.tiles import Tiling
from . import curve, views
from .actions import SIDES, UNASKED, CompareActions, RepairActions, nothing_to_download, slider, zoom
from .excerpt import MIDDLE
from .kinds import SLIDER_KINDS, Candidate, training_confounders_of
from .specimen import CURVE_SIDE, MAX_MEGAPIXELS, example_specimen

PAGE_TITLE = "unseen studio"
FIRST_NETWORK = "denoiser"
"""The network that is chosen at first, if it is on the page."""
INTRODUCTION = (
    "A network that cleans photographs has learnt the damage that it was shown. Turn the damage up, from strengths it "
    'has <em class="seen">seen</em> in training to ones it has <em class="unseen">not seen</em>, and watch what is '
    "left of its skill."
)
ABOUT_CURVE = (
    "PSNR is the likeness to the original, in decibels: higher is better, and a difference of 1 dB can just be seen. "
    f"Measured on the middle of this photo ({CURVE_SIDE} pixels a side at most), so the numbers differ a little from "
    "those of the pictures. <b>Solid</b> where the network was trained, <b>dotted</b> where it was not."
)
ABOUT_REPAIR = (
    f"For one photo of up to {MAX_MEGAPIXELS} megapixels. It stays on this computer, and is deleted after an hour, or "
    "when the program ends. In a terminal, <code>unseen restore</code> does whole folders of any size, and keeps "
    "formats and metadata."
)
ABOUT_VIEW = (
    "Arrow keys move the divider; space shows one side alone, then the other. Press on the small picture, or use the "
    "arrow keys there, to look elsewhere."
)

PAIR = """<div class="divided" data-left="{left}" data-right="{right}"><div>${{value}}</div>\
<span class="handle"></span><input type="range" min="0" max="100" step="1" value="50" \
aria-label="how much of {left} is shown: arrow keys move the divider, space changes sides"></div>"""
"""Template of a pair of pictures, for `divider.js`."""
PAIR_CHANGED = """
watch("value", () => element.querySelector(".divided input").dispatchEvent(new Event("input")));
"""
"""Script that keeps the divider where it is when the pictures change."""
OVERVIEW = """<button type="button" aria-label="The part that is shown: press where to look, or use the arrow keys">\
${value}</button>"""
"""Template of the whole photograph made small, for `overview.js`."""


class Page(gr.Blocks):
    """A page of gradio that shows an error instead of printing a traceback where a request does not fit its fields."""

    async def preprocess_data(self, *arguments: Any, **named: Any) -> Any:
        """Convert the inputs of an action as gradio does. Raises gr.Error, as the page itself sends only what fits."""
        try:
            return await super().preprocess_data(*arguments, **named)
        except Exception as error:
            raise gr.Error(UNASKED, print_exception=False) from error


def build_page(
    models: Mapping[str, Model], tiling_of: Callable[[Model], Tiling], folder: Path, stop: Event
) -> gr.Blocks:
    """Build the page, without serving it.

    Args:
        models: the models by the names to show, at least one.
        tiling_of: function that chooses the tiles for a model.
        folder: folder for pictures and results, within gradio's own.
        stop: event that is set when the page is to end, so that all work stops.
    """
    candidates = [
        Candidate(name, model, training_confounders_of(model.card))
        for name, model in models.items()
        if model.receptive_field.scale == 1
    ]
    page = Page(title=PAGE_TITLE, analytics_enabled=False)
    with page:
        gr.HTML(f"<h1>{PAGE_TITLE}</h1>")
        with gr.Tab("Seen to unseen"):
            _compare_tab(page, CompareActions(candidates, stop))
        with gr.Tab("Restore a photo"):
            _repair_tab(RepairActions(models, tiling_of, folder, stop))
    return page


def _compare_tab(page: gr.Blocks, act: CompareActions) -> None:
    """Lay out the first tab: a clean photograph, a distortion, its strength, and the results of each network."""
    kind, names = SLIDER_KINDS[0], ["original", "input", *(one.name for one in act.candidates)]
    places = [(name, place) for place, name in enumerate(names)]
    first = names.index(FIRST_NETWORK, 2) if FIRST_NETWORK in names[2:] else min(2, len(names) - 1)
    specimen = gr.State()
    gr.HTML(f'<p class="introduction">{INTRODUCTION}</p>')
    with gr.Row(elem_classes="bench"):
        with gr.Column(scale=4, min_width=300):
            photo = _drop("Drop a clean photo here", "limits-photo")
            about, wrong = gr.HTML(elem_id="limits-about"), gr.HTML(elem_id="limits-wrong")
            with gr.Group():
                kinds = gr.Dropdown(
                    [(one.title, one.name) for one in SLIDER_KINDS], value=kind.name, label="Damage", elem_id="kind"
                )
                strength = slider(kind)
                strip = gr.HTML(views.training_strip(kind, act.candidates), elem_id="seen")
        with gr.Column(scale=7, min_width=300):
            with gr.Row(elem_classes="sides"):
                left = gr.Dropdown(places, value=1, label="Left", elem_id="left", min_width=120)
                right = gr.Dropdown(places, value=first, label="Right", elem_id="right", min_width=120)
            pair = _pair("pair", "left", "right")
            caption = gr.HTML(elem_id="caption")
    with gr.Row(elem_classes="bench"):
        with gr.Column(scale=7, min_width=300):
            gr.HTML("<h2>Side by side, pixel by pixel</h2>")
            cards = gr.HTML(elem_id="cards")
        with gr.Column(scale=6, min_width=300):
            gr.HTML("<h2>This photo over all strengths</h2>")
            with gr.Column(elem_id="chart-frame"):
                chart, pointer = gr.HTML(elem_id="chart"), gr.HTML(elem_id="pointer")
            gr.HTML(f'<ul class="keys">{curve.chart_legend(act.candidates)}</ul><p class="small">{ABOUT_CURVE}</p>')

    showing: dict[str, Any] = {
        "fn": act.show_strength,
        "inputs": [specimen, kinds, strength, left, right],
        "outputs": [pair, caption, cards, pointer],
        "show_progress": "hidden",
        "concurrency_limit": 1,
    }
    drawing: dict[str, Any] = {
        "fn": act.draw_curve,
        "inputs": [specimen, kinds],
        "outputs": chart,
        "show_progress": "hidden",
    }
    page.load(
        lambda: (example := example_specimen(), views.specimen_description(example)),
        outputs=[specimen, about],
        show_progress="hidden",
    )
    photo.upload(act.accept, photo, [specimen, about, wrong, photo], show_progress="hidden")
    specimen.change(**showing).then(**drawing)
    kinds.input(act.choose_kind, kinds, [strength, strip], show_progress="hidden").then(**showing).then(**drawing)
    gr.on([strength.input, left.input, right.input], trigger_mode="always_last", **showing)


def _repair_tab(act: RepairActions) -> None:
    """Lay out the second tab: a noisy photograph of the visitor, and the same photograph restored."""
    names, upload, place = list(act.models), gr.State(""), gr.State(MIDDLE)
    whole, excerpt, result = gr.State(), gr.State(), gr.State()
    first = FIRST_NETWORK if FIRST_NETWORK in names else names[0]
    gr.HTML(f'<p class="introduction">{ABOUT_REPAIR}</p>')
    with gr.Row(elem_classes="bench"):
        with gr.Column(scale=4, min_width=300):
            photo = _drop("Drop a noisy photo here", "repair-photo")
            model = gr.Dropdown(names, value=first, label="Network", elem_id="model")
            strength = _strength(act.models[first].takes_strength)
            about = gr.HTML(elem_id="repair-about")
            button = gr.Button("Restore the whole photo", variant="primary", elem_id="restore")
            saved = nothing_to_download()
        with gr.Column(scale=7, min_width=300):
            view = zoom(False)
            pair = _pair("repaired", *SIDES)
            gr.HTML(f'<p class="small">{ABOUT_VIEW}</p>')
            overview = gr.HTML(
                html_template=OVERVIEW, js_on_load=_text("overview.js"), apply_default_css=False, elem_id="overview"
            )
    showing: dict[str, Any] = {
        "fn": act.show_excerpt,
        "inputs": [upload, model, strength, place, whole],
        "outputs": [excerpt, pair, overview, about, view],
        "show_progress": "hidden",
        "concurrency_limit": 1,
    }
    describing: dict[str, Any] = {
        "fn": act.describe,
        "inputs": [upload, model],
        "outputs": [about, whole, result, saved, view],
        "show_progress": "hidden",
    }
    photo.upload(act.accept, [photo, upload], [upload, photo, place], show_progress="hidden").then(**describing).then(
        **showing
    )
    model.input(act.choose_network, model, strength, show_progress="hidden").then(**describing).then(**showing)
    overview.select(act.choose_place, None, place, show_progress="hidden", trigger_mode="always_last").then(**showing)
    strength.input(
        act.turn,
        [excerpt, strength],
        [pair, result, saved, view],
        show_progress="hidden",
        trigger_mode="always_last",
        concurrency_limit=1,
    )
    button.click(
        act.restore,
        [upload, model, strength],
        [result, about, saved, view],
        show_progress_on=[pair],
        concurrency_limit=1,
    )
    view.input(act.view, [result, excerpt, strength, view], pair, show_progress="hidden")


def _strength(visible: bool) -> gr.Slider:
    """The slider of the strength, for networks that take one."""
    label = "Strength: 1 is the noise as the network reads it, 0 the photo itself"
    return gr.Slider(0, MOST_STRENGTH, value=1, step=0.05, label=label, visible=visible, elem_id="repair-strength")


def _drop(label: str, name: str) -> gr.File:
    """A field to drop a photograph on."""
    return gr.File(label=label, file_count="single", height=150, elem_id=name)


def _pair(name: str, left: str, right: str) -> gr.HTML:
    """Two pictures, and a divider to drag across them; `left` and `right` say what its ends show."""
    return gr.HTML(
        html_template=PAIR.format(left=left, right=right),
        js_on_load=shared_text("divider.js") + PAIR_CHANGED,
        apply_default_css=False,
        elem_id=name,
    )


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")
