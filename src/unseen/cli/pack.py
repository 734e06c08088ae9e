"""The command `unseen pack`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from ..core.errors import UserError
from ..core.folder_lock import sole_use
from ..core.outputs import require_folder_name
from ..core.terminal import show, tell
from .exit_codes import ExitCode
from .options import OVERWRITE, Argument, Command


def pack(config: None, flags: Namespace) -> ExitCode:
    """Decode photographs, or recorded pairs, once into a pack."""
    if not flags.out:
        raise UserError("out: no pack named; give one such as -o photos.pack")
    require_folder_name(flags.out, "the pack")
    from ..data.finding import require_folder  # after what is checked without numpy
    from ..data.packing import pack_folders, require_apart

    for folder in pack_folders(flags.photos):
        if not folder.is_file():
            require_folder(folder)
        require_apart(folder, Path(flags.out))
    with sole_use(Path(flags.out), "unseen pack"):
        return _pack(flags)


def _pack(flags: Namespace) -> ExitCode:
    from ..core.interruption import interruptible
    from ..core.progress import progress_bars
    from ..core.units import bytes_in_words
    from ..data.packing import Packing, PackSource

    out = Path(flags.out)
    packing = Packing(out, overwrite=flags.overwrite)
    with interruptible() as stop, progress_bars():
        packing.write(PackSource.of(flags.photos), flags.licence, stop)
    for skipped in packing.skipped:
        tell(f"skipped {skipped.name}: {skipped.reason}")
    shards = [out / name for name in {record.shard for record in packing.records}]
    size = bytes_in_words(sum(shard.stat().st_size for shard in shards) or 1)
    files = "1 shard" if len(shards) == 1 else f"{len(shards)} shards"
    show(f"{out}: {len(packing.records)} photographs, {size} in {files}")
    if packing.interrupted:
        show("interrupted: the same command goes on from here")
        return ExitCode.INTERRUPTED
    return ExitCode.PARTLY if packing.skipped else ExitCode.DONE


PACK = Command(
    "pack",
    pack,
    "decode photos or recorded pairs once into a pack, from which training takes no memory and starts at once",
    arguments=[
        Argument("photos", "a folder of photos, or INPUT_DIR:TARGET_DIR, recorded pairs", metavar="PHOTOS"),
        Argument("--out", "folder of the pack, such as photos.pack", default=""),
        Argument("--licence", "licence of all the photos; if left out, what manifest.tsv beside them says", default=""),
    ],
    switches=OVERWRITE,
)
