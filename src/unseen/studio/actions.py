"""The reactions to a visitor's actions. They hold no state: gradio holds the state of each visitor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import gradio as gr
from markupsafe import Markup

from ..core.errors import UserError
from ..data.photo import Pixels
from ..data.reading import UnreadableImage
from ..models.loading import Model
from ..restoration.tiles import Tiling
from . import curve, views
from .excerpt import MIDDLE, Excerpt, Place, at_strength, open_usable, read_excerpt, read_overview
from .kinds import Candidate, SliderKind, kind_named
from .repair import PageClosed, RestoredPhoto, describe_input, restore_to_file
from .specimen import SeverityPoint, Specimen, read_specimen, restored_panels, severity_points

REDRAW_AFTER = 0.7
"""Seconds after which an unfinished curve is drawn again."""
UNUSABLE = "This cannot be used: {}."
UNASKED = "This page did not ask for that."
SIDES = "before", "after"


def delete_files(files: Sequence[str]) -> None:
    """Delete files, if they still exist."""
    for file in files:
        Path(file).unlink(missing_ok=True)


@dataclass(frozen=True)
class CompareActions:
    """The actions of the first tab, which compares networks over the strength of a distortion.

    Attributes:
        candidates: the networks to compare.
        stop: event that is set when the page is to end.
    """

    candidates: Sequence[Candidate]
    stop: Event

    def accept(self, upload: str | None) -> tuple[Any, ...]:
        """Take a dropped photograph: (specimen, its description, an error message, an empty field for the next one)."""
        if upload is None:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        try:
            specimen = read_specimen(Path(upload))
        except UnreadableImage as error:
            return gr.skip(), gr.skip(), views.notice(UNUSABLE.format(f"{Path(upload).name}: {error.reason}")), None
        finally:
            Path(upload).unlink(missing_ok=True)
        return specimen, views.specimen_description(specimen), "", None

    def choose_kind(self, name: str) -> tuple[Any, str]:
        """Change the distortion: (its slider, the strengths that each network saw)."""
        return slider(kind := kind_named(name)), views.training_strip(kind, self.candidates)

    def show_strength(
        self, specimen: Specimen | None, name: str, typed: float | None, left: int, right: int
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the pictures at one strength, again after each restoration: (pair, caption, cards, pointer)."""
        if specimen is None or typed is None:
            return
        kind = kind_named(name)
        strength = kind.nearest(typed)
        pointer = views.chart_pointer(curve.chart_position(strength, kind))
        compared = False
        for panels in restored_panels(specimen, kind, strength, self.candidates, (left, right)):
            pair = caption = gr.skip()
            one, other = panels[left], panels[right]
            if one.pixels is not None and other.pixels is not None and not compared:
                pair = views.pair(one.pixels, other.pixels, one.title, other.title)
                caption, compared = views.pair_caption(one, other, strength), True
            yield pair, caption, views.panel_cards(panels), pointer

    def draw_curve(self, specimen: Specimen | None, name: str) -> Iterator[Markup]:
        """Yield the chart over all strengths, again and again until it is complete."""
        if specimen is None:
            return
        yield views.waiting_chart()
        kind, points, drawn = kind_named(name), list[SeverityPoint](), monotonic()
        for point in severity_points(specimen, kind, self.candidates):
            if self.stop.is_set():
                return
            points.append(point)
            if monotonic() - drawn > REDRAW_AFTER:
                yield curve.severity_chart(points, kind, self.candidates)
                drawn = monotonic()
        yield curve.severity_chart(points, kind, self.candidates)


def slider(kind: SliderKind) -> gr.Slider:
    """The slider for the strength of one kind of distortion."""
    return gr.Slider(
        kind.lowest,
        kind.highest,
        value=kind.first,
        step=kind.step,
        label=f"How strong: {kind.unit}",
        buttons=[],
        elem_id="strength",
    )


@dataclass(frozen=True)
class RepairActions:
    """The actions of the second tab, which restores a photograph of the visitor.

    Attributes:
        models: the models by their names on the page.
        tiling_of: function that chooses the tiles for a model.
        folder: folder for results.
        stop: event that is set when the page is to end.
    """

    models: Mapping[str, Model]
    tiling_of: Callable[[Model], Tiling]
    folder: Path
    stop: Event

    def accept(self, upload: str | None, previous: str) -> tuple[Any, Any, Any]:
        """Take a dropped photograph, and delete the previous one: (its file, an empty field, the middle to look at)."""
        if upload is None:
            return gr.skip(), gr.skip(), gr.skip()
        delete_files([previous] if previous else [])
        return upload, None, MIDDLE

    def choose_network(self, name: str) -> Any:
        """Change the network: its slider, for one that takes a strength."""
        return gr.Slider(visible=self.models[name].takes_strength)

    def choose_place(self, event: gr.EventData) -> Place:
        """Change the place that is shown, to where the visitor pressed."""
        try:
            across, down = float(event.x), float(event.y)
        except (AttributeError, TypeError, ValueError) as error:
            raise gr.Error(UNASKED, print_exception=False) from error
        if not (0 <= across <= 1 and 0 <= down <= 1):
            raise gr.Error(UNASKED, print_exception=False)
        return across, down

    def describe(self, upload: str, name: str) -> tuple[Any, ...]:
        """Begin anew: (description, small picture of the whole, result: none, nothing to download, no whole view)."""
        if not upload:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip(), gr.skip()
        path = Path(upload)
        try:
            source = open_usable(path, self.models[name])
            about, whole = views.photo_description(path.name, describe_input(source)), read_overview(source)
        except UnreadableImage as error:
            about, whole = unusable(path, error), None
        return about, whole, None, nothing_to_download(), zoom(False)

    def show_excerpt(
        self, upload: str, name: str, strength: float, place: Place, whole: Pixels | None
    ) -> tuple[Any, ...]:
        """Restore the excerpt at a place: (excerpt, pair, overview, a message of failure, the view pixel by pixel)."""
        exact = gr.Radio(value=True)
        if not upload or whole is None:
            return None, None, None, gr.skip(), exact
        path, model = Path(upload), self.models[name]
        try:
            excerpt = read_excerpt(path, model, self.tiling_of(model).overlap, place)
            return excerpt, excerpt_pair(excerpt, strength), views.overview(whole, excerpt), gr.skip(), exact
        except UnreadableImage as error:
            return None, None, None, unusable(path, error), exact
        except UserError as error:
            return None, None, None, views.notice(f"{error}."), exact

    def turn(self, excerpt: Excerpt | None, strength: float) -> tuple[Any, ...]:
        """Restore the excerpt at another strength: (pair, result: none, nothing to download, no whole view)."""
        if excerpt is None:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        try:
            return excerpt_pair(excerpt, strength), None, nothing_to_download(), zoom(False)
        except UserError as error:
            raise gr.Error(f"{error}.", print_exception=False) from error

    def restore(
        self,
        upload: str,
        name: str,
        strength: float,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 (how gradio hands it in)
    ) -> tuple[Any, ...]:
        """Restore the whole photograph: (result, notes, the button to download it, the choice of the view)."""
        if not upload:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        path, model = Path(upload), self.models[name]
        try:
            model = at_strength(model, strength)
            result = restore_to_file(path, model, self.tiling_of(self.models[name]), self.folder, self.stop, progress)
        except UnreadableImage as error:
            return None, unusable(path, error), nothing_to_download(), zoom(False)
        except UserError as error:
            return None, views.notice(f"{error}."), nothing_to_download(), zoom(False)
        except PageClosed:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        return result, views.restored_summary(path.name, result), download(result), gr.Radio(interactive=True)

    def view(self, result: RestoredPhoto | None, excerpt: Excerpt | None, strength: float, exact: bool) -> Any:
        """The pictures before and after restoration: the excerpt pixel by pixel, or the whole made small."""
        if excerpt is None or (result is None and not exact):
            return gr.skip()
        return excerpt_pair(excerpt, strength) if exact or result is None else views.pair(*result.whole, *SIDES)


def excerpt_pair(excerpt: Excerpt, strength: float) -> Markup:
    """An excerpt before and after its restoration, pixel by pixel. Raises UserError if the model fails."""
    return views.pair(excerpt.before, excerpt.restored(strength), *SIDES, exact=True)


def unusable(path: Path, error: UnreadableImage) -> Markup:
    """A message about a file that is no photograph for this page."""
    return views.notice(UNUSABLE.format(f"{path.name}: {error.reason}"))


def zoom(whole: bool) -> gr.Radio:
    """The choice of the view, back at the one pixel by pixel; `whole`: whether the other one can be chosen."""
    return gr.Radio(
        [("1:1, pixel by pixel", True), ("Whole photo, once it is restored", False)],
        value=True,
        show_label=False,
        interactive=whole,
        elem_id="view",
    )


def download(result: RestoredPhoto) -> gr.DownloadButton:
    """The button to download a result."""
    return gr.DownloadButton(f"Download {result.file.name}", value=str(result.file), interactive=True)


def nothing_to_download() -> gr.DownloadButton:
    """The button without a result."""
    return gr.DownloadButton("Download", value=None, interactive=False, elem_id="download")
