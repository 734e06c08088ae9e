"""The data that a method learns from: the protocol, the photographs and the recorded pairs that the options name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from ..core.errors import UserError
from ..core.registry import build, name_of
from ..core.units import parse_bytes
from ..data.gray import grayed
from ..data.patches import Patches
from ..data.photo import Photo
from ..data.sources import PhotoSplit, recorded_pairs, training_photos, without_copies_of
from ..methods import METHODS, Method
from ..methods.method import TrainsOn
from ..models.card import Card
from ..protocols.confounder import Confounder, Recorded
from ..protocols.files import protocol_names
from ..protocols.loading import load_protocol
from ..protocols.protocol import Protocol
from .config import TrainingOptions


def protocol_of(config: TrainingOptions) -> Protocol:
    """The protocol that the options name, at scale 1 with enlarged inputs if `enlarge` is set.

    Raises:
        UserError: there is no such protocol, or `enlarge` is set and the protocol keeps sizes.
    """
    protocol = load_protocol(config.protocol)
    if config.enlarge and protocol.scale == 1:
        raise UserError(f"enlarge: {protocol.name} keeps sizes, there is nothing to enlarge; leave it out")
    return protocol.enlarged() if config.enlarge else protocol


@dataclass(frozen=True)
class TrainingData:
    """The photographs and confounders that a method learns from under a protocol.

    Attributes:
        split: the clean photographs, for training and for validation.
        pairs: the recorded pairs, for training and for validation, by the name of their set.
        trained: the confounders that the method trains on, recorded ones without their patches.
    """

    split: PhotoSplit
    pairs: dict[str, PhotoSplit]
    trained: tuple[Confounder, ...]

    @classmethod
    def of(cls, config: TrainingOptions, protocol: Protocol, method: Method) -> TrainingData:
        """Load all that the options name and the method may see; no photograph is on both sides of the split.

        Raises:
            UserError: a folder cannot be used, or pairs that the protocol needs are missing; names the field.
        """
        trained = protocol.training_confounders(method.trains_on)
        wanted = dict.fromkeys(c.degree for c in (*trained, *protocol.held_out) if isinstance(c, Recorded))
        sets = protocol.recorded()
        memory = parse_bytes(config.memory, "memory")
        pairs = recorded_pairs(config.pairs, list(wanted), sets, protocol.scale, protocol.enlarged_by, memory)
        clean = training_photos(config.data, memory, config.shrink)
        if protocol.gray:
            clean, pairs = _in_gray(clean, protocol), {name: _in_gray(split, protocol) for name, split in pairs.items()}
        held = [photo for split in (clean, *pairs.values()) for photo in split.validation]
        apart = {name: replace(split, train=without_copies_of(split.train, held)) for name, split in pairs.items()}
        return cls(replace(clean, train=without_copies_of(clean.train, held)), apart, trained)

    def splits(self) -> list[PhotoSplit]:
        """The clean photographs, then every set of pairs."""
        return [self.split, *self.pairs.values()]

    def photos(self) -> list[Photo]:
        """All photographs that are trained or validated on."""
        return [photo for split in self.splits() for photo in (*split.train, *split.validation)]

    def digest(self) -> str:
        """A digest that changes with any photograph, its name, or its side of the split."""
        return "-".join(split.digest() for split in self.splits())

    def confounders(self, patch: int) -> tuple[Confounder, ...]:
        """The confounders that are trained on, recorded ones with patches of side `patch` pixels."""
        return tuple(
            replace(c, patches=Patches(self.pairs[c.degree].train, patch)) if isinstance(c, Recorded) else c
            for c in self.trained
        )


def _in_gray(split: PhotoSplit, protocol: Protocol) -> PhotoSplit:
    """The photographs of a split in gray. Raises UserError for those of a pack, which holds them in colour."""
    if any(photo.announce for photo in (*split.train, *split.validation)):
        raise UserError(f"data: a pack holds photographs in colour, and {protocol.name} is of gray ones; give folders")
    return replace(split, train=[*map(grayed, split.train)], validation=[*map(grayed, split.validation)])


def training_data_by_view(
    config: TrainingOptions, protocol: Protocol, methods: Sequence[Method]
) -> dict[TrainsOn, TrainingData]:
    """The training data of a study, by the `Method.trains_on` of its methods."""
    if not protocol.recorded():  # then all methods see the same photographs
        data = TrainingData.of(config, protocol, methods[0])
        return {m.trains_on: replace(data, trained=protocol.training_confounders(m.trains_on)) for m in methods}
    one_each = {method.trains_on: method for method in methods}
    return {view: TrainingData.of(config, protocol, method) for view, method in one_each.items()}


def trained_on(card: Card, protocol_confirmed: str, method_confirmed: str) -> list[Photo] | str:
    """The photographs that a network was trained on, or the reason why they cannot be determined.

    Nothing is opened or imported because a card names it: a protocol file must be the one that the user named, and a
    method of the user's own must be trusted (`core.trust`).

    Args:
        card: the card of the network.
        protocol_confirmed: the protocol that the user named; empty if none.
        method_confirmed: the method that the user named, with its settings; empty if none.

    Returns:
        The photographs; or a reason in words where they are not at hand, have changed, or need a confirmation.
    """
    options = {f.name: card.config[f.name] for f in fields(TrainingOptions) if f.name in card.config}
    named = card.config["method"]
    if name_of(named) not in METHODS and method_confirmed not in ("", named):
        return f"it was trained by {named}, and not by {method_confirmed}"
    if options["protocol"] not in (*protocol_names(), protocol_confirmed):
        return f"it was trained under a file, {options['protocol']}; confirm it with --protocol"
    if card.config.get("init"):
        return f"it began with the weights of {card.config['init']}, which were trained before"
    try:
        config = TrainingOptions(**options)
        data = TrainingData.of(config, protocol_of(config), build(named, METHODS, "method", Method))
    except (UserError, TypeError) as error:
        return f"they are not at hand here ({error})"
    return data.photos() if data.digest() == card.data else "they are not at hand here, or have changed"
