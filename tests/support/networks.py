"""Networks that tests share, and batches and sizes of images for them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch import nn

from support.gradients import episode_of
from unseen.core.registry import build
from unseen.methods import Batch
from unseen.models.backbones import BACKBONES
from unseen.models.backbones.normalised import Normalised
from unseen.models.card import Card
from unseen.models.checkpoint import save_checkpoint
from unseen.training.config import TrainConfig

SHAPE = (1, 3, 8, 8)
ODD = [(1, 3, 33, 29), (2, 3, 7, 5), (1, 3, 1, 1)]
SWINIR = "swinir:embed_dim=4,depths=[2],num_heads=[2],window_size=4"
NAFNET = "nafnet:width=4,enc_blk_nums=[1],middle_blk_num=1,dec_blk_nums=[1]"


def backbone(spec: str) -> nn.Module:
    if spec.partition(":")[0] not in ("plain", "rrdb_small"):
        pytest.importorskip("spandrel")
    torch.manual_seed(0)
    return build(spec, BACKBONES, "backbone", nn.Module)


def redrawn(spec: str) -> Normalised:
    """A network within a wrapper, with all parameters drawn anew, so that biases matter."""
    torch.manual_seed(0)
    network = build(spec, BACKBONES, "backbone", nn.Module)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.05, 0.2)
    assert isinstance(network, Normalised)
    return network.eval()


def batch_of(dtype: torch.dtype = torch.float32, size: int = 16, n: int = 2) -> Batch:
    made = episode_of(1, shape=(n, 3, size, size)).query
    return Batch(made.distorted.to(dtype), made.clean.to(dtype))


def smooth_convolutions() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.GELU(), nn.Conv2d(16, 3, 3, padding=1))


def save_noise_reader(spec: str, path: Path) -> None:
    """Save a network that reads noise as a checkpoint, with weights by which it changes much."""
    torch.manual_seed(0)
    network = build(spec, BACKBONES, "backbone", nn.Module)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("last.weight"):
                parameter.normal_(0, 0.05)
    save_checkpoint(path, network.state_dict(), Card("0.1.0", asdict(TrainConfig(backbone=spec)), "hash", 5))
