"""What a recipe gives a method to learn from: its protocol, its photographs, its recorded pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from ..core.errors import UserError
from ..core.registry import build, name_of
from ..data.patches import Patches
from ..data.photo import Photo
from ..data.sources import PhotoSplit, recorded_pairs, training_photos, without
from ..methods import METHODS, Method
from ..models.card import Card
from ..protocols.confounder import Confounder, Recorded
from ..protocols.loading import load_protocol, protocol_names
from ..protocols.protocol import Protocol
from .config import TrainingOptions


def protocol_of(config: TrainingOptions) -> Protocol:
    """The protocol that a recipe names; enlarged beforehand where it says so.

    Raises UserError where it says so of a protocol that does not enlarge.
    """
    protocol = load_protocol(config.protocol)
    if config.enlarge and protocol.scale == 1:
        raise UserError(f"enlarge: {protocol.name} keeps sizes, there is nothing to enlarge; leave it out")
    return protocol.enlarged() if config.enlarge else protocol


@dataclass(frozen=True)
class TrainingData:
    """What a method learns from under a protocol: clean photographs, and recorded pairs by the name of their set."""

    split: PhotoSplit
    pairs: dict[str, PhotoSplit]
    trained: tuple[Confounder, ...]

    @classmethod
    def of(cls, config: TrainingOptions, protocol: Protocol, method: Method) -> TrainingData:
        """Raises UserError, naming the field, for folders that cannot be used, and for pairs that are not given."""
        trained = protocol.training_confounders(method.sees_unseen)
        wanted = dict.fromkeys(c.degree for c in (*trained, *protocol.held_out) if isinstance(c, Recorded))
        known = protocol.recorded()
        pairs = recorded_pairs(config.pairs, list(wanted), known, protocol.scale, protocol.enlarged_by)
        clean = training_photos(config.data)
        held = [photo for part in (clean, *pairs.values()) for photo in part.validation]
        apart = {name: replace(part, train=without(part.train, held)) for name, part in pairs.items()}
        return cls(replace(clean, train=without(clean.train, held)), apart, trained)

    def splits(self) -> list[PhotoSplit]:
        return [self.split, *self.pairs.values()]

    def photos(self) -> list[Photo]:
        """All that is trained or validated on."""
        return [photo for part in self.splits() for photo in (*part.train, *part.validation)]

    def digest(self) -> str:
        """Changes with any photograph, its name, or its side of the split."""
        return "-".join(part.digest() for part in self.splits())

    def confounders(self, patch: int) -> tuple[Confounder, ...]:
        """Those that are trained on, the recorded ones with their patches."""
        return tuple(
            replace(c, patches=Patches(self.pairs[c.degree].train, patch)) if isinstance(c, Recorded) else c
            for c in self.trained
        )


def training_data_by_view(
    config: TrainingOptions, protocol: Protocol, methods: Sequence[Method]
) -> dict[bool, TrainingData]:
    """What is trained on, by whether a method sees the unseen levels too."""
    if not protocol.recorded():  # then all see the same photographs
        methods = [*methods][:1]
    found = {method.sees_unseen: TrainingData.of(config, protocol, method) for method in methods}
    one = next(iter(found.values()))
    return {sees_unseen: found.get(sees_unseen, one) for sees_unseen in (False, True)}


def trained_on(card: Card, protocol_confirmed: str, method_confirmed: str) -> list[Photo] | str:
    """The photographs that a network was trained on; or in words why it is not known which these are.

    Code that a card names is not imported on its word: a method of the user's own, or a protocol file, must be the
    one confirmed.
    """
    known = {f.name: card.config[f.name] for f in fields(TrainingOptions) if f.name in card.config}
    named = card.config["method"]
    if name_of(named) not in METHODS and named != method_confirmed:
        return f"{named} is code of your own; confirm it with --method {named}"
    if known["protocol"] not in (*protocol_names(), protocol_confirmed):
        return f"it was trained under a file, {known['protocol']}; confirm it with --protocol"
    try:
        config = TrainingOptions(**known)
        material = TrainingData.of(config, protocol_of(config), build(named, METHODS, "method", Method))
    except (UserError, TypeError) as error:
        return f"they are not at hand here ({error})"
    return material.photos() if material.digest() == card.data else "they are not at hand here, or have changed"
