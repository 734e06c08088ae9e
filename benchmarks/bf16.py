"""What a model loses in bfloat16 against float32, by level of Gaussian noise, in PSNR on photographs of a folder.

    python benchmarks/bf16.py FOLDER [--model denoiser] [--images 12] [--device cpu] [--threads 1]

The photographs are spread evenly over the names of the folder; noisy ones are clipped and rounded to 8 bits, as files
are. A processor without bfloat16 imitates it, slowly.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from unseen.models.loading import load_model

SIGMAS = (0, 5, 15, 25, 50)
"""Noise levels, gray levels of 255."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="denoiser")
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    files = sorted(file for file in words.folder.iterdir() if file.suffix in (".png", ".jpg"))
    photos = [to_image(files[i * len(files) // words.images]) for i in range(words.images)]
    model = load_model(words.model, words.device, precision="bf16")
    assert model.exact is not None
    for sigma in SIGMAS:
        losses, moved = [], 0.0
        for i, clean in enumerate(photos):
            noise = sigma / 255 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(i))
            noisy = ((clean + noise).clamp(0, 1) * 255).round() / 255
            exact, rounded = model.exact(noisy), model.run(noisy)
            losses.append(psnr(exact, clean) - psnr(rounded, clean))
            moved = max(moved, 255 * float((exact - rounded).abs().max()))
        interval = f"[{min(losses):.3f}, {max(losses):.3f}]"
        print(f"σ {sigma}: loses {fmean(losses):.3f} dB {interval}; a value moves by {moved:.1f}")


def to_image(file: Path) -> Tensor:
    pixels = np.asarray(Image.open(file).convert("RGB"), dtype=np.float32)
    return torch.from_numpy(pixels / 255).permute(2, 0, 1)[None]


def psnr(restored: Tensor, clean: Tensor) -> float:
    return float(-10 * (restored.clamp(0, 1) - clean).double().square().mean().log10())


if __name__ == "__main__":
    main()
