"""The distortions of the page, each from weak to strong, and what of them a model has seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..core.errors import UserError
from ..distortions import Distortion, ends
from ..distortions.spec import parse_distortion
from ..models.card import Card
from ..models.loading import Model
from ..protocols.confounder import Confounder, Synthetic
from ..protocols.loading import load_protocol, protocol_names
from ..study.entry_names import is_ceiling

Span = tuple[float, float]


def same(value: float) -> float:
    return value


def of_hundred(value: float) -> float:
    """Quality as compression, and compression as quality."""
    return 100 - value


def photons(sigma: float) -> float:
    """Photons at white whose noise there has the standard deviation σ in gray levels: Var = 255² / photons."""
    return 255 * 255 / (sigma * sigma)


def sigma_at_white(count: float) -> float:
    return 255 / math.sqrt(count)


@dataclass(frozen=True)
class SliderKind:
    """A distortion whose strength can be turned up.

    name: in `unseen.distortions`. title, unit: for people. lowest, highest, step, first: of the slider, in `unit`; more
    is stronger. degree: the distortion's own degree of a strength; strength: the other way.
    """

    name: str
    title: str
    unit: str
    highest: float
    first: float
    lowest: float = 0
    step: float = 1
    degree: Callable[[float], float] = same
    strength: Callable[[float], float] = same

    def nearest(self, strength: float) -> float:
        """The strength that the slider has; a number may be typed, too."""
        inside = min(max(strength, self.lowest), self.highest)
        return round(round(inside / self.step) * self.step, 6)

    def at(self, strength: float) -> Distortion:
        """The distortion of a strength that the slider has."""
        return parse_distortion(f"{self.name}:{self.degree(strength):.6g}", "distortion")

    def span(self, confounders: Iterable[Confounder]) -> Span | None:
        """From the weakest to the strongest strength of this kind alone among confounders; None if it is not there."""
        found = [
            self.strength(end)
            for confounder in confounders
            if isinstance(confounder, Synthetic) and confounder.kind == self.name
            if not isinstance(degree := confounder.distortion.degree, str)
            for end in ends(degree)
        ]
        return (min(found), max(found)) if found else None


SIGMA = "σ in gray levels of 255"
SLIDER_KINDS = (
    SliderKind("gaussian_noise", "Gaussian noise", SIGMA, highest=75, first=15),
    SliderKind(
        "poisson_noise",
        "Photon noise (Poisson)",
        "σ at white, in gray levels of 255",
        highest=75,
        first=25,
        lowest=1,
        degree=photons,
        strength=sigma_at_white,
    ),
    SliderKind("speckle_noise", "Speckle", "σ at white, in gray levels of 255", highest=100, first=35),
    SliderKind("correlated_noise", "Blotchy noise (neighbours alike)", SIGMA, highest=40, first=15),
    SliderKind(
        "jpeg", "JPEG compression", "100 less the quality", highest=98, first=70, degree=of_hundred, strength=of_hundred
    ),
    SliderKind("gaussian_blur", "Blur", "σ in pixels", highest=5, first=1.5, step=0.1),
)


def kind_named(name: str) -> SliderKind:
    """One of `KINDS`."""
    return next(kind for kind in SLIDER_KINDS if kind.name == name)


@dataclass(frozen=True)
class Candidate:
    """A model on the page.

    learnt: the confounders that it was trained on; None where nothing tells.
    """

    name: str
    model: Model
    learnt: tuple[Confounder, ...] | None

    def standing(self, kind: SliderKind, strength: float) -> str:
        """`seen`, `unseen` (another degree), `unseen kind`, or `not known`."""
        if self.learnt is None:
            return "not known"
        span = kind.span(self.learnt)
        if span is None:
            return "unseen kind"
        return "seen" if span[0] <= strength <= span[1] else "unseen"


def learnt_by(card: Card | None) -> tuple[Confounder, ...] | None:
    """What the training showed a network, by its card; None where it has none, or names a protocol that is not ours."""
    if card is None or (name := card.config["protocol"]) not in protocol_names():
        return None
    try:
        protocol = load_protocol(name)
    except UserError:
        return None
    protocol = protocol.enlarged() if card.config.get("enlarge") else protocol
    if protocol.hash() != card.protocol_hash:
        return None
    return protocol.training_confounders(is_ceiling(card.config["method"]))
