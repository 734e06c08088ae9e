"""What tiles cost: pixels a second in tiles of several sizes, as a share of those of the whole image at once.

    python benchmarks/tiles.py [--backbone NAME:... ...] [--side 1024] [--tile 32 64 ...] [--rounds 3] [--threads 1]
    python benchmarks/tiles.py --reach

The sizes are run in turn in one process, and the median over rounds is taken, so that the ratios hold whatever else the
machine does. The most memory taken by any round stands beside them, as far as the system tells it. `--batch` restores
so many images of one tile's size at once instead, to see what a batch gains.

With `--reach`: what `reach_of` finds of every backbone in its small form, with random
weights even where they start from zero, and how far tiles are from the whole image in gray levels of 255, at odd sizes.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Mapping

import torch
from torch import nn

from unseen.core.memory import Memory
from unseen.core.registry import build
from unseen.models.backbones import BACKBONES, small_form
from unseen.models.inference import on_device, restore_batch
from unseen.models.loading import Model
from unseen.models.receptive_field import receptive_field_of
from unseen.restoration.tiles import restore_tiled, tiling_for

SUBJECTS = ["plain_ne:features=32,depth=10", "unet:features=24,levels=2,bias=false"]
TILES = [32, 64, 128, 256, 384, 512, 768]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--backbone", nargs="+", default=SUBJECTS)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--tile", type=int, nargs="+", default=TILES)
    parser.add_argument("--batch", type=int, nargs="+", default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--reach", action="store_true")
    told = parser.parse_args()
    torch.set_num_threads(told.threads)
    if told.reach:
        show_reaches()
        return
    for backbone in told.backbone:
        model = made(backbone)
        field = model.receptive_field
        print(f"{backbone}: radius {field.radius}, stride {field.stride}, {told.threads} threads")
        if told.batch:
            show_batches(model, told.tile, told.batch, told.rounds)
        else:
            show_tiles(model, told.side, told.tile, told.rounds)


def made(backbone: str) -> Model:
    torch.manual_seed(0)
    network = build(backbone, BACKBONES, "backbone", nn.Module).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():  # residual weights that start from zero, and hide what they are multiplied with
                parameter.normal_(std=0.1)
    reach = receptive_field_of(network)
    network = on_device(network, "cpu")
    return Model(backbone, lambda images: restore_batch(network, images, "cpu"), reach)


def show_tiles(model: Model, side: int, tiles: list[int], rounds: int) -> None:
    image = torch.rand(1, 3, side, side).contiguous(memory_format=torch.channels_last)
    tilings = [tiling_for(model, 0, tile) for tile in tiles]
    ways: dict[str, Callable[[], object]] = {"whole": lambda: model.run(image)}
    for tiling in tilings:
        ways[f"{tiling.tile}"] = lambda tiling=tiling: restore_tiled(model, image, tiling)  # type: ignore[misc]
    measured = timed(ways, rounds)
    floor, _ = measured["whole"]
    print(f"{side}×{side} pixels")
    print("| tile | pixels a second | of the whole image's | memory |\n| ---: | ---: | ---: | ---: |")
    for name, (seconds, peak) in measured.items():
        print(f"| {name} | {side * side / seconds:,.0f} | {floor / seconds:.2f} | {peak:.0f} MiB |", flush=True)


def show_batches(model: Model, sides: list[int], batches: list[int], rounds: int) -> None:
    print("| images | batch | pixels a second | of single images' |\n| ---: | ---: | ---: | ---: |")
    for side in sides:
        images = torch.rand(max(batches), 3, side, side).contiguous(memory_format=torch.channels_last)
        parts = {str(batch): torch.split(images, batch) for batch in sorted({1, *batches})}
        ways = {name: lambda of=of: [model.run(part) for part in of] for name, of in parts.items()}
        measured = timed(ways, rounds)
        single, _ = measured["1"]
        for name, (seconds, _) in measured.items():
            speed = images[:, 0].numel() / seconds
            print(f"| {side}×{side} | {name} | {speed:,.0f} | {single / seconds:.2f} |", flush=True)


def timed(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """Name → median seconds and most MiB."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    peaks: dict[str, float] = dict.fromkeys(ways, 0.0)
    for _ in range(rounds):
        for name, way in ways.items():
            meter = Memory(torch.device("cpu"))
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
            peaks[name] = max(peaks[name], meter.peak())
    return {name: (statistics.median(seconds[name]), peaks[name]) for name in ways}


def show_reaches() -> None:
    warnings.filterwarnings("ignore", category=UserWarning)
    print("| name | radius | stride | tiles against the whole image |\n| :--- | ---: | ---: | ---: |")
    for name in BACKBONES:
        model = made(f"{name}:{small_form(name)}")
        tiling = tiling_for(model, 0, 32)
        height, width = (2 * tiling.overlap + size * tiling.tile + odd for size, odd in ((1, 5), (2, 11)))
        image = torch.rand(1, 3, height, width)
        off = 255 * (restore_tiled(model, image, tiling) - model.run(image)).abs().max()
        radius = "whole image" if model.receptive_field.radius is None else model.receptive_field.radius
        print(f"| `{name}` | {radius} | {model.receptive_field.stride} | {off:.2g} levels |", flush=True)


if __name__ == "__main__":
    main()
