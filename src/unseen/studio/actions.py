"""The reactions to a visitor's actions. They hold no state: gradio holds the state of each visitor."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import gradio as gr
from markupsafe import Markup
from PIL import Image

from ..core.errors import UserError
from ..data.photo import Pixels
from ..data.reading import UnreadableImage
from ..models.loading import Model
from ..restoration.tiles import Tiling
from . import curve, views
from .kinds import Candidate, SliderKind, kind_named
from .repair import PageClosed, RestoredPhoto, restore_to_file
from .specimen import SeverityPoint, Specimen, read_specimen, restored_panels, severity_points

REDRAW_AFTER = 0.7
"""Seconds after which an unfinished curve is drawn again."""
KEPT_FILES = 4
"""The number of replaced files to keep, as the browser may not have fetched them yet."""
UNUSABLE = "This cannot be used: {}."

PictureFiles = tuple[str, ...]
"""Files of the pictures on both sides of the divider, the latest last."""


def write_png(pixels: Pixels, folder: Path) -> str:
    """Write a new PNG file, and return its path."""
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".png", delete=False) as file:
        Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.name


def delete_files(files: Sequence[str]) -> None:
    """Delete files, if they still exist."""
    for file in files:
        Path(file).unlink(missing_ok=True)


@dataclass(frozen=True)
class CompareActions:
    """The actions of the first tab, which compares networks over the strength of a distortion.

    Attributes:
        candidates: the networks to compare.
        folder: folder for pictures.
        stop: event that is set when the page is to end.
    """

    candidates: Sequence[Candidate]
    folder: Path
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
        self, specimen: Specimen | None, name: str, typed: float | None, left: int, right: int, files: PictureFiles
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the pictures at one strength, again after each restoration: (pair, caption, cards, pointer, files)."""
        if specimen is None or typed is None:
            return
        kind = kind_named(name)
        strength = kind.nearest(typed)
        pointer = views.chart_pointer(curve.chart_position(strength, kind))
        compared = False
        for panels in restored_panels(specimen, kind, strength, self.candidates, (left, right)):
            pair = caption = gr.skip()
            sides = panels[left], panels[right]
            ready = [panel.pixels for panel in sides if panel.pixels is not None]
            if len(ready) == 2 and not compared:
                pair = tuple(write_png(pixels, self.folder) for pixels in ready)
                caption, compared = views.pair_caption(*sides, strength), True
                delete_files(files[:-KEPT_FILES])
                files = (*files[-KEPT_FILES:], *pair)
            yield pair, caption, views.panel_cards(panels), pointer, files

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

    def accept(self, upload: str | None, previous: str) -> tuple[Any, Any]:
        """Take a dropped photograph, and delete the previous one: (its file, an empty field for the next one)."""
        if upload is None:
            return gr.skip(), gr.skip()
        delete_files([previous] if previous else [])
        return upload, None

    def restore(self, upload: str, name: str, middle: bool, progress: gr.Progress = gr.Progress()) -> tuple[Any, ...]:  # noqa: B008 (how gradio hands it in)
        """Restore the photograph: (result, pair, notes, the button to download it)."""
        if not upload:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        path = Path(upload)
        try:
            model = self.models[name]
            result = restore_to_file(path, model, self.tiling_of(model), self.folder, self.stop, progress)
        except UnreadableImage as error:
            return None, None, views.notice(UNUSABLE.format(f"{path.name}: {error.reason}")), nothing_to_download()
        except UserError as error:
            return None, None, views.notice(f"{error}."), nothing_to_download()
        except PageClosed:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        return result, self.preview(result, middle), views.restored_summary(path.name, result), download(result)

    def preview(self, result: RestoredPhoto | None, middle: bool) -> Any:
        """The pictures before and after restoration: the middle pixel by pixel, or the whole made small."""
        if result is None:
            return None
        return tuple(write_png(pixels, self.folder) for pixels in (result.middle if middle else result.whole))


def download(result: RestoredPhoto) -> gr.DownloadButton:
    """The button to download a result."""
    return gr.DownloadButton(f"Download {result.file.name}", value=str(result.file), interactive=True)


def nothing_to_download() -> gr.DownloadButton:
    """The button without a result."""
    return gr.DownloadButton("Download", value=None, interactive=False)
