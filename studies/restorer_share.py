"""How much of the denoiser's first training its weights keep: the table of shares, and the share that the rule takes.

    python studies/restorer_share.py runs/shipped/denoiser-first runs/shipped/denoiser    # five minutes on one core

The first training knows photographs without traces of JPEG and noise, and removes what it takes for such traces; the
second learned to leave them. A share lies between the weights of both. The rule is the project's: the highest mean PSNR
on held-out kinds of noise (speckle and Poisson), on the photographs that validate the second training. Seen noise, and
how many photographs come out with less than 54.95 dB when they are given as they are, stand beside it and decide
nothing. `--write` makes the second run's checkpoint that of the share; its own weights are kept as whole.safetensors.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import torch
from pages import table
from restorer import HARM, INVISIBLE
from restorer_measures import CONVENTION, fidelity, restored
from safetensors.torch import load_file
from torch import Tensor, nn

from unseen.core.config import load_config
from unseen.core.jsonl import write_lines
from unseen.core.number_text import number
from unseen.core.progress import progress_bars, track
from unseen.core.registry import build
from unseen.data.photo import Photo
from unseen.data.tensors import to_tensor
from unseen.evaluation.inputs import distort
from unseen.methods import METHODS, Method
from unseen.models.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from unseen.models.inference import on_device
from unseen.protocols.confounder import parse_confounder
from unseen.training.config import TrainConfig
from unseen.training.training_data import TrainingData, protocol_of

ROWS = Path(__file__).with_name("restorer-choice") / "shares.jsonl"
SHARES = tuple(i / 10 for i in range(10))
SIDE = 144
HELD_OUT = ("speckle", "Poisson")

NOISES = {
    "speckle": ("speckle_noise:10", "speckle_noise:25", "speckle_noise:50"),
    "Poisson": ("poisson_noise:300", "poisson_noise:100", "poisson_noise:30"),
    "white": ("gaussian_noise:5", "gaussian_noise:25"),
    "camera": ("camera_noise:python,0.005,0.0001,gamma=2.2,errors=false > jpeg:90",),
}
"""Kind of noise → its levels, as confounders."""


@dataclass(frozen=True)
class Row:
    """What one share reached on the validation photographs.

    Attributes:
        share: of the first training's weights.
        photographs: how many there are.
        changed: how many came out with less than 54.95 dB, given as they are.
        psnr: kind of noise → mean PSNR, dB.
    """

    share: float
    photographs: int
    changed: int
    psnr: dict[str, float]


def chosen(rows: Sequence[Row]) -> Row:
    """The row of the highest mean PSNR on held-out noise."""
    return max(rows, key=lambda row: fmean(row.psnr[kind] for kind in HELD_OUT))


def shares_table(rows: Sequence[Row]) -> str:
    """The table of all shares, that of the rule in bold, as Markdown."""
    taken = chosen(rows).share
    headings = ["share of the first", *(f"{kind}, dB" for kind in NOISES), "clean ones changed"]
    lines = [
        [
            f"**{row.share:g}**" if row.share == taken else f"{row.share:g}",
            *(number(row.psnr[kind]) for kind in NOISES),
            f"{row.changed} of {row.photographs}",
        ]
        for row in rows
    ]
    return table(headings, lines)


def validation_photos(second: Path) -> list[Photo]:
    """Centres of the photographs that validate the second training."""
    config = TrainConfig(**load_config(second / "config.yaml"))
    data = TrainingData.of(config, protocol_of(config), build(config.method, METHODS, "method", Method))
    return [photo.centre(SIDE) for photo in data.split.validation]


def measured(network: nn.Module, share: float, photos: Sequence[Photo]) -> Row:
    """Measure the network of one share."""
    changed = sum(psnr_under("", photo, network) < INVISIBLE - HARM for photo in photos)
    psnr = {
        kind: fmean(psnr_under(noise, photo, network) for photo in photos[::8] for noise in noises)
        for kind, noises in NOISES.items()
    }
    return Row(share, len(photos), changed, psnr)


def psnr_under(noise: str, photo: Photo, network: nn.Module) -> float:
    """PSNR of what the network makes of a photograph under noise, or of the photograph as it is."""
    clean = to_tensor(photo.pixels)
    image = distort(photo, parse_confounder(noise, "level"), CONVENTION, 0, "validation") if noise else clean
    return fidelity(restored(network, image), clean)


def mixed(first: Mapping[str, Tensor], second: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """The weights at a share of the first, as `init_share` of a training has it."""
    return {name: torch.lerp(second[name], first[name], share) for name in second}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("first", type=Path, help="folder of the first training")
    parser.add_argument("second", type=Path, help="folder of the second, whose init_share is 0")
    parser.add_argument("--write", action="store_true", help="mix the chosen weights into the second run's checkpoint")
    parser.add_argument("--rows", type=Path, default=ROWS, help="file of the kept rows")
    given = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    whole = given.second / "whole.safetensors"
    network, card = load_checkpoint(given.second)
    on_device(network.eval(), "cpu")
    first = load_file(given.first / CHECKPOINT)
    second = load_file(whole if whole.exists() else given.second / CHECKPOINT)
    photos = validation_photos(given.second)
    rows = []
    with progress_bars():
        for share in track(SHARES, "shares", len(SHARES)):
            network.load_state_dict(mixed(first, second, share))
            rows.append(measured(network, share, photos))
    write_lines(given.rows, rows)
    print(shares_table(rows))
    if given.write:
        share = chosen(rows).share
        if not whole.exists():
            shutil.copyfile(given.second / CHECKPOINT, whole)
        card = replace(card, config={**card.config, "init_share": share}, quality=())
        save_checkpoint(given.second / CHECKPOINT, mixed(first, second, share), card)


if __name__ == "__main__":
    main()
