"""Named, versioned experiments: what is seen, held out and unseen, and how it is measured."""

from .protocol import Protocol, Reported
from .reading import load_protocol, protocol_names

__all__ = ["Protocol", "Reported", "load_protocol", "protocol_names"]
