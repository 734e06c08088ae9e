"""Episodes whose drawing is apart from their making: numbers on the CPU, then batches on the device.

The numbers are what is left to chance: places of patches, degrees, Philox keys, the order of the confounders. The
batches follow from the numbers by operations on the device alone, which a graph can capture. Where a distortion cannot
be made so (a codec, recorded pairs), its images are among the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise

import torch
from torch import Tensor

from ..core.randomness import generator
from ..core.shares import ALONE, Shares
from ..data.device_patches import DevicePatches
from ..data.patches import Patches
from ..distortions.composition import prefixed, unprefixed
from ..distortions.distortion import Parameters
from ..distortions.philox import keys_of
from ..methods import Batch, Episode
from ..protocols.confounder import Confounder, Synthetic
from .episodes import Content, draw_episode, mixture_name

Numbers = dict[str, Tensor]
"""The numbers of one part of an episode, by name. Parts: `content.P`, `confounder.I`, `query`, `query.I`, `order`."""

Source = Callable[[str], Numbers]
"""A function from the name of a part of an episode to its numbers."""

Key = tuple[int, int, int]
"""(seed, rank, step), from which every random draw descends."""


class DrawnEpisode(Episode):
    """An episode made from numbers.

    Args:
        batches: functions that make the batch under each confounder.
        mixed: a function that makes the i-th mixture batch, i from 0, the query.
        order: a function that returns the random order of the confounders, int64 (n,), on the device.
        numbers: the source of the numbers, on the CPU.
        progress: the share of the training's budget that was spent before this step, in [0, 1).

    Attributes:
        seconds_drawing: the time that drawing numbers took beyond the making of batches, which a graph does.
    """

    def __init__(
        self,
        batches: Sequence[Callable[[], Batch]],
        mixed: Callable[[int], Batch],
        order: Callable[[], Tensor],
        numbers: Source,
        progress: float,
    ):
        super().__init__(batches, partial(mixed, 0), None, progress, mixed)
        self.order = order
        self.numbers = numbers
        self.seconds_drawing = 0.0

    @property
    def seconds(self) -> float:
        """The seconds that drawing and making this episode's batches took so far."""
        return super().seconds + self.seconds_drawing

    def in_random_order(self) -> Iterator[Batch]:
        """The confounders' batches in random order, picked on the device, so that the order need not be known here."""
        distorted, clean = (
            torch.stack(images)[self.order()]
            for images in zip(*((batch.distorted, batch.clean) for batch in self.confounders), strict=True)
        )
        return (Batch(*pair) for pair in zip(distorted, clean, strict=True))


@dataclass(frozen=True)
class EpisodeSource:
    """The source of a training's episodes, in two halves: `numbers` on the CPU and `episode` on the device.

    Attributes:
        confounders: the set D of the paper, n confounders.
        patches: the source of clean patches.
        photographs: the same photographs on the device; None to draw everything exactly on the CPU, as images.
        batch: the number of images in a batch.
        content: as in `episodes.draw_episode`.
        device: the device of the batches.
        shares: the share of each batch that is made here.
    """

    confounders: Sequence[Confounder]
    patches: Patches
    photographs: DevicePatches | None
    batch: int
    content: Content
    device: torch.device
    shares: Shares = ALONE

    def drawn(self, key: Key, device: torch.device) -> Episode:
        """The episode of one step, drawn exactly: on the CPU, batch by batch as the method asks for them."""
        return draw_episode(self.confounders, self.patches, self.batch, self.content, key, device, self.shares)

    def numbers(self, key: Key) -> Source:
        """The source of the numbers of the episode of one step, on the CPU; each part is drawn when it is asked for."""
        exact = self.drawn(key, torch.device("cpu"))
        seed, rank, step = key

        def draw(part: str) -> Numbers:
            kind, _, index = part.partition(".")
            if kind == "order":
                order = torch.randperm(len(self.confounders), generator=generator(seed, "method", rank, step))
                return {"order": order}
            if kind == "content":
                purpose = int(index) if index.isdecimal() else index
                picks = self.patches.picks(self.batch, generator(seed, "content", rank, step, purpose))
                return {"picks": self.shares.own(picks)}
            if kind == "query":
                if self.makes_query:
                    return self._mixture_numbers(generator(seed, "distortion", rank, step, part))
                batch = exact.mixtures(int(index or 0) + 1)[-1]
                return {"distorted": batch.distorted, "clean": batch.clean}
            i = int(index)
            if self.makes(i):
                return self._own(self._parameters(i, generator(seed, "distortion", rank, step, i), self.batch))
            return {"distorted": exact.confounders[i].distorted, "clean": exact.confounders[i].clean}

        return draw

    def episode(self, numbers: Source, source: Source, progress: float = 0.0) -> DrawnEpisode:
        """Make an episode, batch by batch as the method asks for them.

        Args:
            numbers: the source of the numbers, on the device.
            source: the source of the same numbers, on the CPU.
            progress: the share of the training's budget that was spent before this step, in [0, 1).
        """

        @cache
        def clean(purpose: str | int) -> Tensor:
            assert self.photographs is not None
            return self.photographs.gather(numbers(f"content.{purpose}")["picks"])

        def under(i: int) -> Batch:
            own = numbers(f"confounder.{i}")
            if not self.makes(i):
                return Batch(own["distorted"], own["clean"], self.confounders[i].name)
            images = clean(0 if self.content == "counterfactual" else i)
            return Batch(self._distorted(i, images, own), images, self.confounders[i].name)

        def mixed(number: int) -> Batch:
            own = numbers(mixture_name(number))
            if not self.makes_query:
                return Batch(own["distorted"], own["clean"])
            images = clean(mixture_name(number))
            if self.strata:
                makers = [
                    partial(self._distorted, i, images[place], unprefixed(str(i), own))
                    for i, place in self.strata.items()
                ]
                captured = images.is_cuda and torch.cuda.is_current_stream_capturing()
                return Batch(torch.cat(branches(makers) if captured else [make() for make in makers]), images)
            under_each = [self._distorted(i, images, unprefixed(str(i), own)) for i in range(len(self.confounders))]
            place = torch.arange(len(images), device=images.device)
            return Batch(torch.stack(under_each)[own["choice"], place], images)

        makers = [partial(under, i) for i in range(len(self.confounders))]
        return DrawnEpisode(makers, mixed, lambda: numbers("order")["order"], source, progress)

    def makes(self, i: int) -> bool:
        """Whether the device makes the images of confounder `i` from numbers."""
        confounder = self.confounders[i]
        return self.photographs is not None and isinstance(confounder, Synthetic) and confounder.distortion.on_device

    @property
    def strata(self) -> dict[int, slice]:
        """The places, in this process's share of a mixture batch, of the images under each confounder that has some.

        Confounder i of n has the images i·k to (i + 1)·k of the whole batch of n·k. Empty where n does not divide it.
        """
        k, rest = divmod(self.batch, len(self.confounders))
        here = self.batch // self.shares.world
        first = self.shares.rank * here
        ends = [min(max(i * k - first, 0), here) for i in range(len(self.confounders) + 1)]
        places = {i: slice(start, end) for i, (start, end) in enumerate(pairwise(ends)) if start < end}
        return {} if rest else places

    @property
    def makes_query(self) -> bool:
        """Whether the device makes the mixture batch from numbers."""
        return all(self.makes(i) for i in range(len(self.confounders)))

    def _distorted(self, i: int, images: Tensor, parameters: Parameters) -> Tensor:
        confounder = self.confounders[i]
        assert isinstance(confounder, Synthetic)
        return confounder.distortion.apply(images, parameters)

    def _parameters(self, i: int, draws: torch.Generator, n: int) -> Numbers:
        """A draw of confounder `i` for n images, with Philox keys for its seeds."""
        confounder = self.confounders[i]
        assert isinstance(confounder, Synthetic)
        drawn = confounder.distortion.sample(draws, n)
        return {name: keys_of(values) if name.endswith("seed") else values for name, values in drawn.items()}

    def _own(self, numbers: Numbers) -> Numbers:
        return {name: self.shares.own(values) for name, values in numbers.items()}

    def _mixture_numbers(self, draws: torch.Generator) -> Numbers:
        """Parameters of every confounder for its images; where shares are unequal, for all images, and a choice.

        The choice is the confounder of every image, drawn evenly.
        """
        n, numbers = len(self.confounders), Numbers()
        if strata := self.strata:
            k, first = self.batch // n, self.shares.rank * (self.batch // self.shares.world)
            for i in range(n):
                drawn = self._parameters(i, draws, k)
                if place := strata.get(i):
                    rows = slice(place.start + first - i * k, place.stop + first - i * k)
                    numbers |= prefixed(str(i), {name: values[rows] for name, values in drawn.items()})
            return numbers
        numbers["choice"] = torch.randint(n, (self.batch,), generator=draws)
        for i in range(n):
            numbers |= prefixed(str(i), self._parameters(i, draws, self.batch))
        return self._own(numbers)


def branches(makers: Sequence[Callable[[], Tensor]]) -> list[Tensor]:
    """Capture functions as branches of one CUDA graph, which replays their small kernels side by side.

    Only within a capture: there nothing else takes memory that a branch frees.

    Args:
        makers: functions of tensors that exist on the current stream.

    Returns:
        The tensor of each function, for use on the current stream.
    """
    trunk = torch.cuda.current_stream()
    tensors, streams = [], []
    for make in makers:
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(trunk)
        with torch.cuda.stream(stream):
            tensors.append(make())
        streams.append(stream)
    for stream in streams:
        trunk.wait_stream(stream)
    return tensors


def on_device(source: Source, device: torch.device) -> Source:
    """The source's numbers moved to a device, each part once, without waiting for the device."""

    @cache
    def moved(part: str) -> Numbers:
        return {name: values.to(device, non_blocking=True) for name, values in source(part).items()}

    return moved
