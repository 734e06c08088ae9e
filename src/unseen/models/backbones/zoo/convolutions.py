"""Networks of convolutions at one resolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ..padded import Padded
from .source import Scale, spandrel


def compact(scale: Scale = 1, num_feat: int = 64, num_conv: int = 16) -> Padded:
    """A plain stack with PReLU, all at the input's resolution (Wang et al. 2021, Real-ESRGAN's compact network)."""
    return Padded(spandrel("Compact.Compact", upscale=scale, num_feat=num_feat, num_conv=num_conv), scale=scale)


def dncnn(nc: int = 64, nb: int = 20) -> Padded:
    """The plain residual denoiser, its batch normalisation merged into the convolutions (Zhang et al. 2017, DnCNN)."""
    return Padded(spandrel("DnCNN.DnCNN", in_nc=3, out_nc=3, nc=nc, nb=nb, act_mode="R"))


def mmrealsr(
    num_feat: int = 64,
    num_block: int = 23,
    num_grow_ch: int = 32,
    num_feats: Sequence[int] = (64, 128, 256, 512),
    num_blocks: Sequence[int] = (2, 2, 2, 2),
) -> Padded:
    """RRDB for ×4, modulated by its own estimate of the degradation (Mou et al. 2022, MM-RealSR)."""
    network = spandrel(
        "MMRealSR.MMRealSR",
        num_in_ch=3,
        num_out_ch=3,
        num_feat=num_feat,
        num_block=num_block,
        num_grow_ch=num_grow_ch,
        num_feats=list(num_feats),
        num_blocks=list(num_blocks),
    )
    return Padded(network, scale=4, smallest=16)


def moesr(scale: Scale = 1, dim: int = 64, n_blocks: int = 9, n_block: int = 4) -> Padded:
    """Gated convolutions and large kernels, published as code alone (umzi 2024, MoESR)."""
    network = spandrel("MoESR.MoESR", scale=scale, dim=dim, n_blocks=n_blocks, n_block=n_block)
    return Padded(network, 2, scale)


def mosr(scale: Scale = 1, dim: int = 64, n_block: int = 24, kernel_size: int = 7) -> Padded:
    """Gated convolutions after MambaOut, published as code alone (umzi 2024, MoSR)."""
    network = spandrel("MoSR.MoSR", upscale=scale, dim=dim, n_block=n_block, kernel_size=kernel_size)
    return Padded(network, scale=scale)


def plksr(scale: Scale = 1, dim: int = 64, n_blocks: int = 28, kernel_size: int = 17) -> Padded:
    """Large kernels on a part of the channels (Lee et al. 2024, PLKSR)."""
    network = spandrel("PLKSR.PLKSR", upscaling_factor=scale, dim=dim, n_blocks=n_blocks, kernel_size=kernel_size)
    return Padded(network, scale=scale, as_in_training=True)  # in evaluation it writes in place


def realplksr(scale: Scale = 1, dim: int = 64, n_blocks: int = 28, kernel_size: int = 17) -> Padded:
    """PLKSR with group normalisation, for real photographs (after Lee et al. 2024, PLKSR)."""
    network = spandrel("PLKSR.RealPLKSR", upscaling_factor=scale, dim=dim, n_blocks=n_blocks, kernel_size=kernel_size)
    return Padded(network, scale=scale, as_in_training=True)  # in evaluation it writes in place


def rcan(
    scale: Scale = 1, n_feats: int = 64, n_resgroups: int = 10, n_resblocks: int = 20, reduction: int = 16
) -> Padded:
    """Residual groups with attention over channels (Zhang et al. 2018, RCAN)."""
    network = spandrel(
        "RCAN.RCAN",
        scale=scale,
        n_feats=n_feats,
        n_resgroups=n_resgroups,
        n_resblocks=n_resblocks,
        reduction=reduction,
    )
    return Padded(network, scale=scale)


def realcugan(scale: Literal[2, 3, 4] = 2) -> Padded:
    """Two small U-Nets in cascade, of one size, published as code alone (bilibili 2022, Real-CUGAN)."""
    return Padded(spandrel(f"RealCUGAN.UpCunet{scale}x"), 4, scale, smallest=40)


def safmn(scale: Scale = 1, dim: int = 36, n_blocks: int = 8) -> Padded:
    """Gates of features at several resolutions (Sun et al. 2023, SAFMN)."""
    return Padded(spandrel("SAFMN.SAFMN", upscaling_factor=scale, dim=dim, n_blocks=n_blocks), 8, scale)


def safmnbcie(dim: int = 36, n_blocks: int = 6, num_layers: int = 6) -> Padded:
    """SAFMN at half the resolution, for compressed images (after Sun et al. 2023, SAFMN)."""
    return Padded(spandrel("SAFMNBCIE.SAFMNBCIE", dim=dim, n_blocks=n_blocks, num_layers=num_layers), 16)


def seemore(scale: Scale = 1, embedding_dim: int = 36, num_layers: int = 6, num_experts: int = 3) -> Padded:
    """Low-rank experts chosen image by image, and striped convolutions (Zamfir et al. 2024, SeemoRe)."""
    network = spandrel(
        "SeemoRe.SeemoRe", scale=scale, embedding_dim=embedding_dim, num_layers=num_layers, num_experts=num_experts
    )
    return Padded(network, scale=scale, smallest=16, as_in_training=True)  # in evaluation it takes one image only


def span(scale: Scale = 1, feature_channels: int = 48) -> Padded:
    """Convolutions with attention that has no parameters (Wan et al. 2024, SPAN)."""
    network = spandrel("SPAN.SPAN", num_in_ch=3, num_out_ch=3, upscale=scale, feature_channels=feature_channels)
    return Padded(network, scale=scale, as_in_training=True)  # in evaluation it uses merged copies of its weights


def swiftsrgan(scale: Literal[1, 2, 4] = 1, num_channels: int = 64, num_blocks: int = 16) -> Padded:
    """Depthwise separable residual blocks, output through tanh in [0, 1] (Krishnan and Krishnan 2021, Swift-SRGAN)."""
    network = spandrel("SwiftSRGAN.SwiftSRGAN", upscale_factor=scale, num_channels=num_channels, num_blocks=num_blocks)
    return Padded(network, scale=scale)
