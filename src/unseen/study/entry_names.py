"""Names of a study's entries: a method, and its backbone where that is not the study's own."""

from __future__ import annotations

import re

SEPARATOR = " @ "
"""Separator between a method and the backbone that it trains."""


def entry_name(method: str, backbone: str, own: str) -> str:
    """Name an entry: `erm` on the study's own backbone, `erm @ unet`, `erm @ bias=false`, `erm @ wne` on another.

    Settings that both backbones have in the same words are left out, if all settings of the study's are among them; of
    the study's backbone within a wrapper, only the wrapper is named, and the settings beyond: `erm @ wne:bias=false`.

    Args:
        method: the method, with or without settings.
        backbone: the backbone that the method trains.
        own: the study's backbone.
    """
    wrapper, colon, within = backbone.partition(":")
    beyond = _settings_beyond(within, own) if colon else None
    if beyond is None:
        return entry_name_in_full(method, backbone, own)
    return f"{method}{SEPARATOR}{':'.join(filter(None, (wrapper.strip(), ','.join(beyond))))}"


def entry_name_in_full(method: str, backbone: str, own: str) -> str:
    """Name an entry as `entry_name` does, but with all that is within a wrapper: for the folders of its runs."""
    beyond = _settings_beyond(backbone, own)
    if beyond is not None:
        return f"{method}{SEPARATOR}{','.join(beyond)}" if beyond else method
    (name, settings), (_, own_settings) = _name_and_settings(backbone), _name_and_settings(own)
    others = settings
    if set(own_settings) <= set(settings):
        others = [setting for setting in settings if setting not in own_settings]
    return f"{method}{SEPARATOR}{name}:{','.join(others)}" if others else f"{method}{SEPARATOR}{name}"


def _settings_beyond(backbone: str, own: str) -> list[str] | None:
    """Settings of a backbone that the study's lacks; None where it is another network, or lacks one of the study's."""
    (name, settings), (own_name, own_settings) = _name_and_settings(backbone), _name_and_settings(own)
    if name != own_name or not set(own_settings) <= set(settings):
        return None
    return [setting for setting in settings if setting not in own_settings]


def _name_and_settings(spec: str) -> tuple[str, list[str]]:
    name, _, settings = spec.partition(":")
    return name.strip(), [item.strip() for item in re.split(r",(?![^\[]*\])", settings) if item.strip()]


BASELINE = "erm"

CEILING = "ceiling"

STOPPED = "stopped_erm"

WIDENED = ("widened_erm", "extrapolated_erm")

INPUT = "input (no restoration)"


def is_ceiling(entry: str) -> bool:
    """Whether an entry trained on the unseen levels too, on any backbone: it bounds the others and is no rival."""
    return entry.partition(SEPARATOR)[0].casefold() == CEILING


def is_stopped(entry: str) -> bool:
    """Whether an entry chose its weights on held-out levels by itself, whatever the study selects by."""
    return _method_name(entry) == STOPPED


def is_widened(entry: str) -> bool:
    """Whether an entry trained on degrees made of the seen ones, held-out and unseen ones perhaps among them."""
    return _method_name(entry) in WIDENED


def _method_name(entry: str) -> str:
    """The name of an entry's method, without settings and backbone, in small letters."""
    return entry.partition(SEPARATOR)[0].partition(":")[0].casefold()
