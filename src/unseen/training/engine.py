"""Engines: how a step's gradient is computed, operation by operation or by replaying a captured graph."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from ..core.randomness import generator
from ..methods import Episode, Method, Objective, Params
from ..methods.objective import Tally
from ..methods.params import laid_out_as
from .config import TrainConfig
from .episode_source import DrawnEpisode, EpisodeSource, Key, Numbers, on_device

Capture: TypeAlias = Callable[[Callable[[], None]], Callable[[], None]]
"""A way to record the operations of a function without arguments: it returns the function that repeats them."""

ALIGNMENT = 16
"""Bytes to a multiple of which every tensor of the static inputs begins; a GPU reads no float64 at odd places."""

AHEAD = 2
"""Steps that the CPU may draw before the GPU has taken them."""

WARM_UP = 3
"""Steps before a capture: libraries choose their kernels, and allocate, in the first ones."""


class Engine(ABC):
    """A way to draw episodes, and to compute the method's gradient on them.

    Args:
        method: the training method.
        objective: the loss of the network.
        parameters: the parameters that are trained, by name; they stay where they are in memory.
        episodes: the source of the episodes.
    """

    def __init__(self, method: Method, objective: Objective, parameters: Params, episodes: EpisodeSource) -> None:
        self.method, self.objective, self.parameters, self.episodes = method, objective, parameters, episodes

    @property
    @abstractmethod
    def description(self) -> str:
        """How steps are taken, in a few words."""

    @abstractmethod
    def episode(self, key: Key, progress: float) -> Episode:
        """Draw the episode of a step, as far as that is not left until the method asks for it."""

    @abstractmethod
    def gradient(self, episode: Episode) -> Params:
        """The method's gradient on an episode, by parameter name; the objective's tally and the notes are added to."""


class EagerEngine(Engine):
    """The method itself, operation by operation."""

    description = "operation by operation"

    def episode(self, key: Key, progress: float) -> Episode:
        """The episode of a step, drawn batch by batch as the method asks for them."""
        source = self.episodes
        if source.photographs is None:
            episode = source.drawn(key, source.device)
            episode.progress = progress
            return episode
        numbers = source.numbers(key)
        seed, rank, step = key
        episode = source.episode(on_device(numbers, source.device), numbers, progress)
        episode.generator = generator(seed, "method", rank, step)
        return episode

    def gradient(self, episode: Episode) -> Params:
        """The method's gradient on an episode."""
        return self.method.gradient(self.objective, self.parameters, episode)


class GraphEngine(Engine):
    """One captured graph, replayed for every step: making the batches, the method, its inner optimiser.

    The graph is recorded at the first episode. It reads the numbers of an episode from one buffer, and writes the
    gradient, the notes and the sum of the losses into tensors of its own. The step of the outer optimiser is not in it.

    Args:
        method: the training method, one that is `capturable`.
        objective: the loss of the network.
        parameters: the parameters that are trained, by name; they stay where they are in memory.
        episodes: the source of the episodes.
        capture: the way to record: `cuda_graph`, or a double in tests.
    """

    description = "as a captured graph"

    def __init__(
        self, method: Method, objective: Objective, parameters: Params, episodes: EpisodeSource, capture: Capture
    ) -> None:
        super().__init__(method, objective, parameters, episodes)
        self.capture = capture
        self.inputs: StaticInputs | None = None
        self.replay: Callable[[], None] = lambda: None
        self.output: tuple[Params, Mapping[str, float | Tensor], Tally] = ({}, {}, Tally())

    def episode(self, key: Key, progress: float) -> Episode:
        """The episode of a step, of which nothing is drawn yet."""
        numbers = self.episodes.numbers(key)
        return self.episodes.episode(on_device(numbers, self.episodes.device), numbers, progress)

    def gradient(self, episode: Episode) -> Params:
        """The method's gradient on an episode, in tensors that the next step writes over."""
        assert isinstance(episode, DrawnEpisode)
        inputs = self.inputs or self._record(episode)
        started = time.perf_counter()
        parts = {part: episode.numbers(part) for part in inputs.views}
        episode.seconds_drawing += time.perf_counter() - started
        inputs.load(parts)
        self.replay()
        gradient, notes, tally = self.output
        episode.notes |= notes
        self.objective.add_to_tally(tally)
        return gradient

    def _record(self, episode: DrawnEpisode) -> StaticInputs:
        """Record the graph, and leave the method as it was: a capture is no step.

        Args:
            episode: any episode; the parts of it that the method asks for are the inputs of the graph.
        """
        device, method = self.episodes.device, self.method
        state = {name: value.clone() for name, value in method.state_dict().items()}
        parts: dict[str, Numbers] = {}

        def asked(part: str) -> Numbers:
            parts.setdefault(part, episode.numbers(part))
            return {name: values.to(device) for name, values in parts[part].items()}

        method.gradient(self.objective, self.parameters, self.episodes.episode(asked, episode.numbers))
        self.inputs = inputs = StaticInputs(parts, device)
        inputs.load(parts)
        self.objective.take_tally()

        def step() -> None:
            made = self.episodes.episode(inputs.views.__getitem__, episode.numbers)
            slopes = method.gradient(self.objective, self.parameters, made)
            # Here a copy into the layout of the parameters costs no time of the CPU; the outer step would make it.
            gradient = {name: laid_out_as(value, slopes[name]) for name, value in self.parameters.items()}
            self.output = gradient, made.notes, self.objective.take_tally()

        self.replay = self.capture(step)
        for name, value in method.state_dict().items():
            value.copy_(state.get(name, torch.zeros_like(value)))
        return inputs


class StaticInputs:
    """Tensors at fixed places in one buffer on the device, filled by one copy a step.

    Args:
        parts: the parts of an episode, whose names, shapes and types are those of every step.
        device: the device of the buffer.

    Attributes:
        views: the tensors in the buffer, by part and name.
    """

    def __init__(self, parts: Mapping[str, Numbers], device: torch.device) -> None:
        self.places: dict[str, dict[str, _Place]] = {}
        size = 0
        for part, numbers in parts.items():
            self.places[part] = {}
            for name, values in numbers.items():
                self.places[part][name] = _Place(size, values.dtype, values.shape, values.stride())
                size += math.ceil(values.nbytes / ALIGNMENT) * ALIGNMENT
        self.on_gpu = device.type == "cuda"
        self.buffer = torch.empty(size, dtype=torch.uint8, device=device)
        self.views = self._views(self.buffer)
        self.staged = [torch.empty(size, dtype=torch.uint8, pin_memory=self.on_gpu) for _ in range(AHEAD)]
        self.staged_views = [self._views(staged) for staged in self.staged]
        self.copied = [torch.cuda.Event() for _ in range(AHEAD if self.on_gpu else 0)]  # type: ignore[no-untyped-call]
        self.loads = 0

    def load(self, parts: Mapping[str, Numbers]) -> None:
        """Fill the buffer with the numbers of a step; waits only until the step before the last one has its own."""
        turn = self.loads % AHEAD
        self.loads += 1
        if self.on_gpu:
            self.copied[turn].synchronize()
        for part, numbers in parts.items():
            for name, values in numbers.items():
                self.staged_views[turn][part][name].copy_(values)
        self.buffer.copy_(self.staged[turn], non_blocking=True)
        if self.on_gpu:
            self.copied[turn].record()

    def _views(self, buffer: Tensor) -> dict[str, Numbers]:
        return {
            part: {name: place.of(buffer) for name, place in places.items()} for part, places in self.places.items()
        }


@dataclass(frozen=True)
class _Place:
    """The place of a tensor in a buffer of bytes.

    Attributes:
        start: the first byte.
        dtype: the type of the tensor.
        shape: the shape of the tensor.
        stride: the layout of the tensor, without gaps.
    """

    start: int
    dtype: torch.dtype
    shape: torch.Size
    stride: tuple[int, ...]

    def of(self, buffer: Tensor) -> Tensor:
        """The tensor in a buffer of bytes."""
        size = self.shape.numel() * self.dtype.itemsize
        return buffer[self.start : self.start + size].view(self.dtype).as_strided(self.shape, self.stride)


def cuda_graph(work: Callable[[], None]) -> Callable[[], None]:
    """Record a function as a CUDA graph, after some calls on a stream of their own, and return its replay."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        work()
    return graph.replay


def engine_for(
    config: TrainConfig, method: Method, objective: Objective, parameters: Params, episodes: EpisodeSource
) -> Engine:
    """The engine that the options name, `device` resolved; they were checked together with the method."""
    exchanges = objective.shares.world > 1  # in the middle of a step, which a graph does not hold
    if config.engine != "eager" and config.device.startswith("cuda") and method.capturable and not exchanges:
        return GraphEngine(method, objective, parameters, episodes, cuda_graph)
    return EagerEngine(method, objective, parameters, episodes)
