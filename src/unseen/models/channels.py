"""The channels of the images that a network restores: gray, or RGB."""

from __future__ import annotations

from torch import nn

from ..core.errors import UserError
from ..protocols.protocol import Protocol
from .backbones.normalised import Normalised
from .backbones.wne import WNE
from .spandrel_weights import Adapted


def channels_of(network: nn.Module) -> int | None:
    """The number of channels of the images that a network restores, as it states it (`channels`); None if it does not.

    A `Normalised` network has that of the network which it wraps.
    """
    stated = getattr(network.network if isinstance(network, Normalised) else network, "channels", None)
    return stated if isinstance(stated, int) else None


def require_channels(network: nn.Module, spec: str, protocol: Protocol) -> None:
    """Check that a network restores photographs of a protocol, gray or RGB; one that states no channels passes.

    Args:
        network: the network.
        spec: the network as the user gave it, for the message.
        protocol: the protocol of the photographs.

    Raises:
        UserError: it restores images of another number of channels.
    """
    channels = channels_of(network)
    if channels in (None, protocol.channels):
        return
    gray = "gray photographs; give a network of one channel, such as plain:channels=1 or rrdb:channels=1"
    photographs = gray if protocol.gray else "colour photographs; leave channels=1 out"
    images = f"images of {channels} channel{'s' * (channels != 1)}"
    raise UserError(f"backbone: {spec!r:.100} restores {images}, and {protocol.name} is of {photographs}")


def in_colour(network: nn.Module) -> nn.Module:
    """A network for RGB images that restores each channel by a network for gray ones; any other network itself.

    A `WNE` stays one, whose mean and deviation are over all channels: its tiles are given those of the whole image.
    """
    if channels_of(network) != 1:
        return network
    if isinstance(network, WNE):
        return type(network)(in_colour(network.network)).eval()
    return Adapted(network, gray=True, singly=False).eval()


def restores_by_channel(network: nn.Module) -> bool:
    """Whether a network for RGB images is one for gray ones within, which gets each channel by itself."""
    return any(isinstance(module, Adapted) and module.gray for module in network.modules())
