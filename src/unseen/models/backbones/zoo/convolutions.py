"""Networks of convolutions at one resolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ..padded import Padded
from ..shared import small
from .source import Scale, make, spandrel


@small("num_feat=8,num_conv=2")
def compact(scale: Scale = 1, num_feat: int = 64, num_conv: int = 16) -> Padded:
    """A plain stack with PReLU, all at the input's resolution (Wang et al. 2021, Real-ESRGAN's compact network)."""
    return make("Compact.Compact", locals())


@small("nc=8,nb=3")
def dncnn(nc: int = 64, nb: int = 20) -> Padded:
    """The plain residual denoiser, its batch normalisation merged into the convolutions (Zhang et al. 2017, DnCNN)."""
    return make("DnCNN.DnCNN", locals(), in_nc=3, out_nc=3, act_mode="R")


@small("num_feat=8,num_block=1,num_grow_ch=4,num_feats=[4,4,8,8],num_blocks=[1,1,1,1]")
def mmrealsr(
    num_feat: int = 64,
    num_block: int = 23,
    num_grow_ch: int = 32,
    num_feats: Sequence[int] = (64, 128, 256, 512),
    num_blocks: Sequence[int] = (2, 2, 2, 2),
) -> Padded:
    """RRDB for ×4, modulated by its own estimate of the degradation (Mou et al. 2022, MM-RealSR)."""
    lists = {"num_feats": list(num_feats), "num_blocks": list(num_blocks)}
    widths = {"num_feat": num_feat, "num_block": num_block, "num_grow_ch": num_grow_ch}
    return make("MMRealSR.MMRealSR", widths | lists, fixed_scale=4, smallest=16, num_in_ch=3, num_out_ch=3)


@small("dim=16,n_blocks=1,n_block=1")
def moesr(scale: Scale = 1, dim: int = 64, n_blocks: int = 9, n_block: int = 4) -> Padded:
    """Gated convolutions and large kernels, published as code alone (umzi 2024, MoESR)."""
    return make("MoESR.MoESR", locals(), 2, scale_name="scale")


@small("dim=8,n_block=2")
def mosr(scale: Scale = 1, dim: int = 64, n_block: int = 24, kernel_size: int = 7) -> Padded:
    """Gated convolutions after MambaOut, published as code alone (umzi 2024, MoSR)."""
    return make("MoSR.MoSR", locals())


@small("dim=8,n_blocks=2,kernel_size=5")
def plksr(scale: Scale = 1, dim: int = 64, n_blocks: int = 28, kernel_size: int = 17) -> Padded:
    """Large kernels on some of the channels (Lee et al. 2024, PLKSR)."""
    # In evaluation it writes in place.
    return make("PLKSR.PLKSR", locals(), scale_name="upscaling_factor", as_in_training=True)


@small("dim=8,n_blocks=2,kernel_size=5")
def realplksr(scale: Scale = 1, dim: int = 64, n_blocks: int = 28, kernel_size: int = 17) -> Padded:
    """PLKSR with group normalisation, for real photographs (after Lee et al. 2024, PLKSR)."""
    # In evaluation it writes in place.
    return make("PLKSR.RealPLKSR", locals(), scale_name="upscaling_factor", as_in_training=True)


@small("n_feats=8,n_resgroups=1,n_resblocks=1,reduction=4")
def rcan(
    scale: Scale = 1, n_feats: int = 64, n_resgroups: int = 10, n_resblocks: int = 20, reduction: int = 16
) -> Padded:
    """Residual groups with attention over channels (Zhang et al. 2018, RCAN)."""
    return make("RCAN.RCAN", locals(), scale_name="scale")


@small("")
def realcugan(scale: Literal[2, 3, 4] = 2) -> Padded:
    """Two small U-Nets in cascade, of one size, published as code alone (bilibili 2022, Real-CUGAN)."""
    return Padded(spandrel(f"RealCUGAN.UpCunet{scale}x"), 4, scale, smallest=40)


@small("dim=8,n_blocks=1")
def safmn(scale: Scale = 1, dim: int = 36, n_blocks: int = 8) -> Padded:
    """Gates of features at several resolutions (Sun et al. 2023, SAFMN)."""
    return make("SAFMN.SAFMN", locals(), 8, scale_name="upscaling_factor")


@small("dim=8,n_blocks=1,num_layers=1")
def safmnbcie(dim: int = 36, n_blocks: int = 6, num_layers: int = 6) -> Padded:
    """SAFMN at half the resolution, for compressed images (after Sun et al. 2023, SAFMN)."""
    return make("SAFMNBCIE.SAFMNBCIE", locals(), 16)


@small("embedding_dim=12,num_layers=1")
def seemore(scale: Scale = 1, embedding_dim: int = 36, num_layers: int = 6, num_experts: int = 3) -> Padded:
    """Low-rank experts chosen image by image, and striped convolutions (Zamfir et al. 2024, SeemoRe)."""
    # In evaluation it takes one image only.
    return make("SeemoRe.SeemoRe", locals(), scale_name="scale", smallest=16, as_in_training=True)


@small("feature_channels=8")
def span(scale: Scale = 1, feature_channels: int = 48) -> Padded:
    """Convolutions with attention that has no parameters (Wan et al. 2024, SPAN)."""
    # In evaluation it uses merged copies of its weights.
    return make("SPAN.SPAN", locals(), as_in_training=True, num_in_ch=3, num_out_ch=3)


@small("num_channels=8,num_blocks=1")
def swiftsrgan(scale: Literal[1, 2, 4] = 1, num_channels: int = 64, num_blocks: int = 16) -> Padded:
    """Depthwise separable residual blocks, output through tanh in [0, 1] (Krishnan and Krishnan 2021, Swift-SRGAN)."""
    return make("SwiftSRGAN.SwiftSRGAN", locals(), scale_name="upscale_factor")
