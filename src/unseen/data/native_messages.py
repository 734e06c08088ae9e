"""Keep what the C libraries beneath Pillow and libvips print from standard error, which is for messages to the user.

A file that is broken is reported by an exception all the same.
"""

from __future__ import annotations

import atexit
import ctypes
import re
from contextlib import suppress
from functools import cache
from pathlib import Path

_GLIB_DOMAINS = (b"GLib", b"GLib-GObject", b"GLib-GIO", b"GModule")
_EVERY_LEVEL = -1


@cache
def silence_libtiff() -> None:
    """Take from the libtiff of Pillow's wheels the function that prints errors; on Linux only, where it is found."""
    with suppress(OSError, AttributeError):
        libraries = re.findall(r"/\S*pillow\.libs/libtiff\S*", Path("/proc/self/maps").read_text())
        for path in set(libraries):
            ctypes.CDLL(path).TIFFSetErrorHandler(None)
            ctypes.CDLL(path).TIFFSetWarningHandler(None)


@cache
def silence_glib() -> None:
    """Send the messages of GLib where pyvips sends those of libvips: into Python's logging, where nobody listens."""
    import pyvips

    handler = getattr(pyvips, "_log_handler_cb", None)
    if handler is None:
        return
    glib = pyvips.glib_lib
    for domain in _GLIB_DOMAINS:
        number = glib.g_log_set_handler(domain, _EVERY_LEVEL, handler, pyvips.ffi.NULL)
        atexit.register(glib.g_log_remove_handler, domain, number)  # no Python function may be called after the end
