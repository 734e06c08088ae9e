"""What happens when something on the page is touched. Nothing is kept here: what a visitor has open, gradio holds."""

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
from .repair import Ended, Restored, restore_to_file
from .specimen import SeverityPoint, Specimen, panels_of, points_of, specimen_of

REDRAWN = 0.7
"""Seconds after which a curve that is not finished is drawn again."""
ON_THE_WAY = 4
"""Files of pictures that were replaced, but may not have reached the browser yet."""
SORRY = "This cannot be used: {}."

PageState = tuple[str, ...]
"""Files of the pictures of the slider, the latest last."""


def put(pixels: Pixels, folder: Path) -> str:
    """A new PNG file."""
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".png", delete=False) as file:
        Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.name


def forget(files: Sequence[str]) -> None:
    for file in files:
        Path(file).unlink(missing_ok=True)


@dataclass(frozen=True)
class Limits:
    """The actions of the first tab.

    candidates: the networks to compare. folder: for pictures. stop: set once the page is to end.
    """

    candidates: Sequence[Candidate]
    folder: Path
    stop: Event

    def take(self, upload: str | None) -> tuple[Any, ...]:
        """A photograph was dropped: (specimen, what it is, what is wrong with it, an empty field for the next)."""
        if upload is None:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        try:
            specimen = specimen_of(Path(upload))
        except UnreadableImage as error:
            return gr.skip(), gr.skip(), views.notice(SORRY.format(f"{Path(upload).name}: {error.reason}")), None
        finally:
            Path(upload).unlink(missing_ok=True)
        return specimen, views.about(specimen), "", None

    def choose(self, name: str) -> tuple[Any, str]:
        """Another distortion: its slider, and what of it each network saw."""
        return slider(kind := kind_named(name)), views.strip(kind, self.candidates)

    def show(
        self, specimen: Specimen | None, name: str, wanted: float | None, left: int, right: int, shown: PageState
    ) -> Iterator[tuple[Any, ...]]:
        """The pictures at one strength: (pair, caption, cards, pointer, files shown), again after each restoration."""
        if specimen is None or wanted is None:
            return
        kind = kind_named(name)
        strength = kind.nearest(wanted)
        pointer = views.pointer(curve.share(strength, kind))
        compared = False
        for panels in panels_of(specimen, kind, strength, self.candidates, (left, right)):
            pair = caption = gr.skip()
            sides = panels[left], panels[right]
            ready = [panel.pixels for panel in sides if panel.pixels is not None]
            if len(ready) == 2 and not compared:
                files = tuple(put(pixels, self.folder) for pixels in ready)
                pair, caption, compared = files, views.caption(*sides, strength), True
                forget(shown[:-ON_THE_WAY])
                shown = (*shown[-ON_THE_WAY:], *files)
            yield pair, caption, views.cards(panels), pointer, shown

    def draw(self, specimen: Specimen | None, name: str) -> Iterator[Markup]:
        """The curve over all strengths, again and again until it is whole."""
        if specimen is None:
            return
        yield views.measuring()
        kind, points, drawn = kind_named(name), list[SeverityPoint](), monotonic()
        for point in points_of(specimen, kind, self.candidates):
            if self.stop.is_set():
                return
            points.append(point)
            if monotonic() - drawn > REDRAWN:
                yield curve.chart(points, kind, self.candidates)
                drawn = monotonic()
        yield curve.chart(points, kind, self.candidates)


def slider(kind: SliderKind) -> gr.Slider:
    """How strong, for one kind."""
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
class Repair:
    """The actions of the second tab.

    tiling_of: how a photograph is cut for a model. folder: for results. stop: set once the page is to end.
    """

    models: Mapping[str, Model]
    tiling_of: Callable[[Model], Tiling]
    folder: Path
    stop: Event

    def take(self, upload: str | None, kept: str) -> tuple[Any, Any]:
        """A photograph was dropped: (its file, an empty field for the next)."""
        if upload is None:
            return gr.skip(), gr.skip()
        forget([kept] if kept else [])
        return upload, None

    def restore(self, upload: str, name: str, close: bool, progress: gr.Progress = gr.Progress()) -> tuple[Any, ...]:  # noqa: B008 (how gradio hands it in)
        """(result, pair, what to know, the file to download)."""
        if not upload:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        path = Path(upload)
        try:
            model = self.models[name]
            result = restore_to_file(path, model, self.tiling_of(model), self.folder, self.stop, progress)
        except UnreadableImage as error:
            return None, None, views.notice(SORRY.format(f"{path.name}: {error.reason}")), nothing_to_download()
        except UserError as error:
            return None, None, views.notice(f"{error}."), nothing_to_download()
        except Ended:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        return result, self.look(result, close), views.outcome(path.name, result), download(result)

    def look(self, result: Restored | None, close: bool) -> Any:
        """Before and after: the middle pixel by pixel, or the whole made small."""
        if result is None:
            return None
        return tuple(put(pixels, self.folder) for pixels in (result.close if close else result.whole))


def download(result: Restored) -> gr.DownloadButton:
    return gr.DownloadButton(f"Download {result.file.name}", value=str(result.file), interactive=True)


def nothing_to_download() -> gr.DownloadButton:
    return gr.DownloadButton("Download", value=None, interactive=False)
