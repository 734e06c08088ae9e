"""Check every picture of a pack against the digests in its index."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from ..core.units import bytes_in_words
from .loading import map_in_threads
from .pack import PackedPhoto, read_pack, view_photos
from .photo import Fingerprint, digest_of

SHOWN = 10
"""The number of photographs that a problem names."""


def check_pack(pack: Path) -> tuple[str, list[str]]:
    """Read all of a pack, and compare it with its index.

    Returns:
        A line on what the pack holds, and the problems, a line each.

    Raises:
        UserError: where the pack cannot be opened (see `data.pack.load_pack`).
    """
    records, shards = read_pack(pack)
    photos = {photo.name: photo for photo in view_photos(pack, records, shards)}

    def fault(record: PackedPhoto) -> str:
        photo, shard = photos[record.name], shards[record.shard]
        whole = Fingerprint.of(shard.array(record.clean))
        if whole.digest != record.clean_digest:
            return "clean_digest"
        if not np.array_equal(whole.thumbnail, shard.array(record.thumbnail)):
            return "thumbnail"
        pictures = [photo.pixels] if photo.recorded is None else [photo.pixels, photo.recorded]
        return "" if digest_of(*pictures) == record.digest else "digest"

    sizes = [(record.height, record.width) for record in records]
    faults = dict(zip(records, map_in_threads(fault, records, "reading pictures", sizes), strict=True))
    problems = [f"{record.name}: {field}: is not that of its pixels" for record, field in faults.items() if field]
    if len(problems) > SHOWN:
        problems[SHOWN:] = [f"and {len(problems) - SHOWN} more"]
    licences = Counter(record.licence or "not stated" for record in records).most_common()
    kind = "pairs" if any(record.recorded for record in records) else "photographs"
    size = bytes_in_words(sum(shard.path.stat().st_size for shard in shards.values()))
    stated = ", ".join(f"{n} {licence:.60}" for licence, n in licences[:SHOWN])
    more = f" and {len(licences) - SHOWN} more" if len(licences) > SHOWN else ""
    agree = "all agree" if not problems else "not all agree"
    return f"{pack}: {len(records)} {kind}, {size}, digests {agree}; licences: {stated}{more}", problems
