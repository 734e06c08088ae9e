"""What a run's folder keeps beside its configuration, so that the folder alone is enough to repeat the run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from ..core.atomic import write_text
from ..core.config import CONFIG, load_config
from ..core.errors import UserError
from ..core.provenance import surroundings
from ..core.terminal import tell
from ..core.text_file import read_text
from ..protocols.loading import protocol_text
from .run import TrainingRun

PROTOCOL = "protocol.yaml"
"""The text of the protocol that a run was trained under."""

PROVENANCE = "provenance.json"
"""Digests of what a run was trained on, the machine, and the versions of packages."""


def save_provenance(run: TrainingRun) -> None:
    """Write the protocol's text into the folder of a training that begins, and what else its bits depend on."""
    write_text(run.config.folder / PROTOCOL, protocol_text(run.config.protocol))
    write_text(run.config.folder / PROVENANCE, json.dumps(_provenance(run), indent=1) + "\n")


def require_same(run: TrainingRun, folder: Path) -> None:
    """Refuse to repeat a run whose protocol or photographs have changed; say where machine or versions differ.

    What the new run names otherwise than the old one, such as other photographs, is no repetition of it.

    Args:
        run: the training that is about to begin.
        folder: the folder that its configuration was read from; one without a run asks for nothing.

    Raises:
        UserError: the same names stand for another protocol, or for other photographs.
    """
    path = folder / PROVENANCE
    if not (path.exists() and (folder / CONFIG).exists()):
        return
    try:
        before = json.loads(read_text(path, "the provenance of a run"))
        differences = {name: (str(before[name]), now) for name, now in _provenance(run).items() if before[name] != now}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: not the provenance of a run; remove it to train without it") from error
    saved, config = load_config(folder / CONFIG), asdict(run.config)
    if "protocol_hash" in differences and saved.get("protocol") == config["protocol"]:
        raise UserError(
            f"protocol: {config['protocol']} has changed since {folder}, which keeps what it was: "
            f"give --protocol {folder / PROTOCOL}"
        )
    if "data" in differences and all(saved.get(name) == config[name] for name in ("data", "pairs")):
        raise UserError(
            f"data: what is in {', '.join([*config['data'], *config['pairs']])} has changed since {folder}; "
            f"to train on it as it is now, give a copy of {CONFIG} from elsewhere"
        )
    if "processes" in differences and config["sync"] == saved.get("sync") == "meta":
        was, now = differences["processes"]
        raise UserError(f"sync: {folder} was trained by {was} processes, each on its share; start as many, not {now}")
    for name in differences.keys() - {"protocol_hash", "data"}:
        was, now = differences[name]
        tell(f"{folder} was trained with {name} {was:.200}, here it is {now}: last bits may differ")


def machine_of(folder: Path) -> str:
    """The machine on which the run in a folder was begun, in words; empty where the folder does not say.

    Raises:
        UserError: the file that says it is damaged.
    """
    path = folder / PROVENANCE
    if not path.exists():
        return ""
    try:
        return str(json.loads(read_text(path, "the provenance of a run"))["machine"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: not the provenance of a run; remove it to do without it") from error


def _provenance(run: TrainingRun) -> dict[str, str]:
    own = {"protocol_hash": run.protocol.hash(), "data": run.data, "processes": str(run.ranks.world)}
    return own | surroundings(run.config)
