"""The distortions of the page, each from weak to strong, and the strengths that a model has seen in training."""

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
from ..protocols.files import protocol_names
from ..protocols.loading import load_protocol
from ..study.entry_names import is_ceiling, is_widened

StrengthRange = tuple[float, float]
"""The weakest and the strongest strength of a range."""


def unchanged(value: float) -> float:
    """The value itself, for a distortion whose strength is its degree."""
    return value


def complement_to_100(value: float) -> float:
    """Convert JPEG quality to strength of compression, and back."""
    return 100 - value


def photons_at_white(sigma: float) -> float:
    """The photon count at white for noise of standard deviation σ in gray levels: Var = 255² / photons."""
    return 255 * 255 / (sigma * sigma)


def sigma_at_white(photons: float) -> float:
    """The standard deviation in gray levels of the noise at white, for a photon count at white."""
    return 255 / math.sqrt(photons)


@dataclass(frozen=True)
class SliderKind:
    """A distortion with a slider for its strength, on which a higher value is stronger.

    Attributes:
        name: name of the distortion in `unseen.distortions`.
        title: name of the distortion on the page.
        unit: unit of the strength, on the page.
        highest: upper end of the slider, in `unit`.
        first: initial value of the slider.
        lowest: lower end of the slider.
        step: step of the slider.
        degree: function from strength to the distortion's own degree.
        strength: function from the distortion's own degree to strength.
    """

    name: str
    title: str
    unit: str
    highest: float
    first: float
    lowest: float = 0
    step: float = 1
    degree: Callable[[float], float] = unchanged
    strength: Callable[[float], float] = unchanged

    def nearest(self, strength: float) -> float:
        """Round a typed strength to the nearest value of the slider."""
        inside = min(max(strength, self.lowest), self.highest)
        return round(round(inside / self.step) * self.step, 6)

    def distortion(self, strength: float) -> Distortion:
        """The distortion at a strength of the slider."""
        return parse_distortion(f"{self.name}:{self.degree(strength):.6g}", "distortion")

    def trained_range(self, confounders: Iterable[Confounder]) -> StrengthRange | None:
        """The weakest and the strongest strength among the confounders that are this kind of distortion alone.

        None if there is no such confounder.
        """
        strengths = [
            self.strength(end)
            for confounder in confounders
            if isinstance(confounder, Synthetic) and confounder.kind == self.name
            if not isinstance(degree := confounder.distortion.degree, str)
            for end in ends(degree)
        ]
        return (min(strengths), max(strengths)) if strengths else None


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
        degree=photons_at_white,
        strength=sigma_at_white,
    ),
    SliderKind("speckle_noise", "Speckle", "σ at white, in gray levels of 255", highest=100, first=35),
    SliderKind("correlated_noise", "Blotchy noise (neighbours alike)", SIGMA, highest=40, first=15),
    SliderKind(
        "jpeg",
        "JPEG compression",
        "100 less the quality",
        highest=98,
        first=70,
        degree=complement_to_100,
        strength=complement_to_100,
    ),
    SliderKind("gaussian_blur", "Blur", "σ in pixels", highest=5, first=1.5, step=0.1),
)


def kind_named(name: str) -> SliderKind:
    """The one of `SLIDER_KINDS` with this name."""
    return next(kind for kind in SLIDER_KINDS if kind.name == name)


@dataclass(frozen=True)
class Candidate:
    """A model to compare on the page.

    Attributes:
        name: name of the model on the page.
        model: the model, which keeps sizes.
        trained_on: the confounders that it was trained on; None if that is not known.
    """

    name: str
    model: Model
    trained_on: tuple[Confounder, ...] | None

    def familiarity(self, kind: SliderKind, strength: float) -> str:
        """How training covered a strength: `seen`, `unseen` (another strength), `unseen kind`, or `not known`."""
        if self.trained_on is None:
            return "not known"
        trained = kind.trained_range(self.trained_on)
        if trained is None:
            return "unseen kind"
        return "seen" if trained[0] <= strength <= trained[1] else "unseen"


def training_confounders_of(card: Card | None) -> tuple[Confounder, ...] | None:
    """The confounders that a network was trained on, by its card.

    None without a card, if the card's protocol does not come with the package or has changed since, and for a network
    that was trained on degrees made of the seen ones, whose range no confounder states.
    """
    if card is None or (name := card.config["protocol"]) not in protocol_names():
        return None
    try:
        protocol = load_protocol(name)
    except UserError:
        return None
    protocol = protocol.enlarged() if card.config.get("enlarge") else protocol
    if protocol.hash() != card.protocol_hash or is_widened(card.config["method"]):
        return None
    return protocol.training_confounders("all" if is_ceiling(card.config["method"]) else "seen")
