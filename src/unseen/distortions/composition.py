"""Distortions made of distortions: in order, in an order drawn for every image, or one of several."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from itertools import chain, permutations, product

import torch
from torch import Tensor

from .distortion import Distortion, Parameters, degree_in_words


def prefixed(prefix: str, parameters: Parameters) -> Parameters:
    """Rename one component's parameters to the names in the whole composition: prefix, dot, name."""
    return {f"{prefix}.{name}": values for name, values in parameters.items()}


def unprefixed(prefix: str, parameters: Parameters) -> Parameters:
    """Select one component's parameters from the whole composition's, and remove the prefix from their names."""
    start = f"{prefix}."
    return {name.removeprefix(start): v for name, v in parameters.items() if name.startswith(start)}


@dataclass(frozen=True)
class Composition(Distortion):
    """Base of the three compositions, with the parameters of every component under its position.

    A draw holds the parameters of every component for every image (`0.sigma`, `1.quality`), used or not, so that what
    one image gets depends on no other image.

    Attributes:
        parts: the components, at least one.

    Raises:
        ValueError: where there are no components.
    """

    parts: tuple[Distortion, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError("parts: at least one distortion is needed")

    @property
    @abstractmethod
    def sign(self) -> str:
        """The sign between the components where the composition is written down."""

    @property
    def degree(self) -> str:
        """The components' degrees, such as `2 > 10 > 40`; a composition within a composition in brackets."""
        return f" {self.sign} ".join(_component_degree(component) for component in self.parts)

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw the parameters of every component, named by its position."""
        drawn: Parameters = {}
        for i, component in enumerate(self.parts):
            drawn |= prefixed(str(i), component.sample(generator, n))
        return drawn

    def apply_component(self, i: int, images: Tensor, parameters: Parameters) -> Tensor:
        """Apply component `i` to images (n, C, H, W), by its own among the composition's parameters."""
        return self.parts[i].apply(images, unprefixed(str(i), parameters))

    def apply_each(self, picks: Tensor, images: Tensor, parameters: Parameters) -> Tensor:
        """Apply component picks[j] to image j; all images of one component form one batch. picks: int64 (n,)."""
        indices, pieces = [], []
        for i in sorted(set(picks.tolist())):
            chosen = (picks == i).nonzero().flatten()
            own = {name: values[chosen.to(values.device)] for name, values in parameters.items()}
            pieces.append(self.apply_component(i, images[chosen.to(images.device)], own))
            indices.append(chosen)
        return torch.cat(pieces)[torch.cat(indices).argsort().to(images.device)]


@dataclass(frozen=True)
class Sequence(Composition):
    """One distortion after the other, in the order given (multiple degradations: Yu et al. 2018, RL-Restore)."""

    @property
    def sign(self) -> str:
        """`>`."""
        return ">"

    @property
    def scale(self) -> int:
        """The product of the components' scales."""
        return math.prod(component.scale for component in self.parts)

    @property
    def alternatives(self) -> list[tuple[Distortion, ...]]:
        """One alternative of every component, in each combination."""
        return [tuple(chain(*links)) for links in product(*(component.alternatives for component in self.parts))]

    @property
    def on_device(self) -> bool:
        """Whether all components are."""
        return all(component.on_device for component in self.parts)

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Apply the components one after the other."""
        for i in range(len(self.parts)):
            clean = self.apply_component(i, clean, parameters)
        return clean


@dataclass(frozen=True)
class RandomOrder(Composition):
    """All of the distortions, in an order drawn evenly for every image (shuffling: Zhang et al. 2021, BSRGAN).

    Raises:
        ValueError: for a component that changes the size, since the images of a batch would differ in size on the way.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if resizing := [component.scale for component in self.parts if component.scale != 1]:
            raise ValueError(f"parts in random order must keep the size, and one divides it by {resizing[0]}")

    @property
    def sign(self) -> str:
        """`&`."""
        return "&"

    @property
    def alternatives(self) -> list[tuple[Distortion, ...]]:
        """The alternatives of the sequence, for every order."""
        return [links for order in permutations(self.parts) for links in Sequence(order).alternatives]

    def overlaps(self, other: Distortion) -> bool:
        """Compare as any distortion does; with another random order, one order of this distortion is enough."""
        return other.overlaps(Sequence(self.parts)) if isinstance(other, RandomOrder) else super().overlaps(other)

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw an order for each image, `order`, and the parameters of every component."""
        order = torch.rand(n, len(self.parts), generator=generator, dtype=torch.float64).argsort(dim=1)
        return {"order": order, **super().sample(generator, n)}

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Apply the components to each image in the image's own order."""
        for picks in parameters["order"].unbind(dim=1):  # by step, so that a batch makes few groups
            clean = self.apply_each(picks, clean, parameters)
        return clean


@dataclass(frozen=True)
class Choice(Composition):
    """One of the distortions, drawn for every image, evenly or by weight (as kernels in Wang et al. 2021).

    Attributes:
        weights: one for each component, at least 0, of any sum above 0. None: equal weights.

    Raises:
        ValueError: for weights that do not fit, and for components that change the size differently.
    """

    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        scales = sorted({component.scale for component in self.parts})
        if len(scales) > 1:
            raise ValueError(f"parts to choose from must be of one scale, not of {', '.join(map(str, scales))}")
        if self.weights is None:
            return
        if len(self.weights) != len(self.parts):
            raise ValueError(f"weights {self.weights} are {len(self.weights)}, for {len(self.parts)} parts")
        if not (all(w >= 0 for w in self.weights) and 0 < sum(self.weights) < math.inf):
            raise ValueError(f"weights {self.weights} are not finite, at least 0 and one of them above it")

    @property
    def sign(self) -> str:
        """`|`."""
        return "|"

    @property
    def scale(self) -> int:
        """The scale that all components share."""
        return self.parts[0].scale

    @property
    def alternatives(self) -> list[tuple[Distortion, ...]]:
        """The alternatives of every component."""
        return [links for component in self.parts for links in component.alternatives]

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw a component for each image, `choice`, and the parameters of every component."""
        weights = torch.tensor(self.weights or [1.0] * len(self.parts), dtype=torch.float64)
        choice = torch.multinomial(weights, n, replacement=True, generator=generator)
        return {"choice": choice, **super().sample(generator, n)}

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Apply to each image the component that was drawn for it."""
        return self.apply_each(parameters["choice"], clean, parameters)


def _component_degree(component: Distortion) -> str:
    """Format a component's degree within a composition's."""
    degree = degree_in_words(component.degree)
    return f"({degree})" if isinstance(component, Composition) and len(component.parts) > 1 else degree
