"""Make the network of a finished training keep the brightness of its input: a setting without weights.

    python studies/kept_brightness.py runs/shipped/denoiser_gray

The weights of the checkpoint stay as they are; its card names the setting, and loses what was measured without it.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from unseen.models.backbones import DRUNetSmall
from unseen.models.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint

SETTING = "kept_brightness=true"


def keep_brightness(run: Path) -> str:
    """Name the setting in the card of a run's checkpoint, and return its backbone.

    Raises:
        SystemExit: for another network than `drunet_small`.
    """
    network, card = load_checkpoint(run)
    if not isinstance(network, DRUNetSmall):
        raise SystemExit(f"{run}: its network is no drunet_small")
    if not network.kept_brightness:
        backbone = card.config["backbone"].replace(",kept_brightness=false", "")
        backbone += ("," if ":" in backbone else ":") + SETTING
        card = replace(card, config={**card.config, "backbone": backbone}, quality=(), bf16=None)
        save_checkpoint(run / CHECKPOINT, network.state_dict(), card)
    return str(card.config["backbone"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of the training")
    run = parser.parse_args().run
    print(f"{run}: {keep_brightness(run)}")


if __name__ == "__main__":
    main()
