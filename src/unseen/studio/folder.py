"""The studio's temporary folder: private, locked while the studio lives, and removed later if the studio was killed."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

from ..core.file_lock import LockAttempt, try_lock

PREFIX = "unseen-studio-"
"""Start of the folder's name."""
LIFETIME = 3600
"""The age in seconds from which a file is deleted while the studio runs."""
DELETION_INTERVAL = 60
"""Seconds between deletions of old files."""
VARIABLES = ("GRADIO_TEMP_DIR", "TMPDIR")
"""Environment variables that say where gradio and libvips put temporary files."""


@contextmanager
def private_folder() -> Iterator[Path]:
    """Yield a temporary folder that only this user can open, for all temporary files, and delete it afterwards.

    The folders of studios that were killed are deleted first.
    """
    temporary = Path(tempfile.gettempdir()).resolve()
    remove_abandoned_folders(temporary)
    made = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=temporary))
    descriptor = None
    with suppress(OSError):  # Windows opens no folders
        descriptor = os.open(made, os.O_RDONLY)
        try_lock(descriptor)  # until this process ends, however it does
    # Only a locked folder gets the name: without a lock it would look abandoned.
    folder = made.rename(made.with_name(made.name[1:]))
    before, default = {name: os.environ.get(name) for name in VARIABLES}, tempfile.tempdir
    os.environ.update(dict.fromkeys(VARIABLES, str(folder)))
    tempfile.tempdir = str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = default
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
        shutil.rmtree(folder, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


def delete_old_files(folder: Path, stop: Event) -> None:
    """Delete files older than `LIFETIME`, of uploads that broke off too, again and again until `stop` is set."""
    while not stop.wait(DELETION_INTERVAL):
        with suppress(OSError):  # others are deleted meanwhile
            for file in folder.rglob("*"):
                if file.is_file() and time.time() - file.stat().st_mtime > LIFETIME:
                    file.unlink()


def remove_abandoned_folders(temporary: Path) -> None:
    """Delete the folders in `temporary` of this user's studios that no longer run; not where folders have no locks."""
    for folder in temporary.glob(f"{PREFIX}*"):
        with suppress(OSError):
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
                continue
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                if try_lock(descriptor) is LockAttempt.TAKEN:
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
