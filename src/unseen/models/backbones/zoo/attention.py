"""Networks of attention at one resolution."""

from __future__ import annotations

from collections.abc import Sequence

from ..padded import Padded
from ..shared import small
from .source import Scale, make

SIX_BY_SIX = (6, 6, 6, 6, 6, 6)


@small("embed_dim=12,depths=[2],num_heads=[2],window_size=4")
def swinir(
    scale: Scale = 1,
    embed_dim: int = 180,
    depths: Sequence[int] = SIX_BY_SIX,
    num_heads: Sequence[int] = SIX_BY_SIX,
    window_size: int = 8,
    mlp_ratio: float = 2,
) -> Padded:
    """Attention inside shifted windows (Liang et al. 2021, SwinIR)."""
    return make("SwinIR.SwinIR", locals(), window_size, upsampler="pixelshuffle" if scale > 1 else "")


@small("embed_dim=12,depths=[2],num_heads=[2],window_size=4")
def swin2sr(
    scale: Scale = 1,
    embed_dim: int = 180,
    depths: Sequence[int] = SIX_BY_SIX,
    num_heads: Sequence[int] = SIX_BY_SIX,
    window_size: int = 8,
    mlp_ratio: float = 2,
) -> Padded:
    """SwinIR with scaled cosine attention and norms after it (Conde et al. 2022, Swin2SR)."""
    return make("Swin2SR.Swin2SR", locals(), window_size, upsampler="pixelshuffle" if scale > 1 else "")


@small("embed_dim=12,depths=[2],num_heads=[2],window_size=4,squeeze_factor=2")
def hat(
    scale: Scale = 1,
    embed_dim: int = 180,
    depths: Sequence[int] = SIX_BY_SIX,
    num_heads: Sequence[int] = SIX_BY_SIX,
    window_size: int = 16,
    squeeze_factor: int = 30,
    mlp_ratio: float = 2,
) -> Padded:
    """Attention inside windows, across their borders, and over channels (Chen et al. 2023, HAT)."""
    return make("HAT.HAT", locals(), window_size)


@small("embed_dim=12,depths=[2],num_heads=[2],window_size=4,gc=4")
def drct(
    scale: Scale = 1,
    embed_dim: int = 180,
    depths: Sequence[int] = SIX_BY_SIX,
    num_heads: Sequence[int] = SIX_BY_SIX,
    window_size: int = 16,
    gc: int = 32,
    mlp_ratio: float = 2,
) -> Padded:
    """Window attention in densely connected groups (Hsu et al. 2024, DRCT)."""
    return make("DRCT.DRCT", locals(), window_size, upsampler="pixelshuffle")


@small("embed_dim=32,depth=[2],num_heads=[2],split_size=[2,4],expansion_factor=1")
def dat(
    scale: Scale = 1,
    embed_dim: int = 180,
    depth: Sequence[int] = SIX_BY_SIX,
    num_heads: Sequence[int] = SIX_BY_SIX,
    split_size: Sequence[int] = (8, 32),
    expansion_factor: float = 4,
) -> Padded:
    """Attention over space and over channels by turns (Chen et al. 2023, DAT)."""
    return make("DAT.DAT", locals(), smallest=16)


@small("embed_dim=32,depth=[2],num_heads=[2],split_size=[4,4],mlp_ratio=1")
def rgt(
    scale: Scale = 1,
    embed_dim: int = 180,
    depth: Sequence[int] = (*SIX_BY_SIX, 6, 6),
    num_heads: Sequence[int] = (*SIX_BY_SIX, 6, 6),
    split_size: Sequence[int] = (8, 32),
    mlp_ratio: float = 2,
) -> Padded:
    """Attention to recursively gathered summaries of the whole image (Chen et al. 2024, RGT)."""
    return make("RGT.RGT", locals(), smallest=16)


@small("embed_dim=12,depths=[2],num_heads=[2],window_size=4,category_size=16,num_tokens=8,reducted_dim=4")
def atd(
    scale: Scale = 1,
    embed_dim: int = 210,
    depths: Sequence[int] = SIX_BY_SIX,
    num_heads: Sequence[int] = SIX_BY_SIX,
    window_size: int = 16,
    category_size: int = 256,
    num_tokens: int = 128,
    reducted_dim: int = 20,
    mlp_ratio: float = 2,
) -> Padded:
    """Attention to a learned dictionary of tokens and inside its categories (Zhang et al. 2024, ATD)."""
    return make("ATD.ATD", locals(), window_size, upsampler="pixelshuffle" if scale > 1 else "")


@small("embed_dim=48,depths=[1],num_heads=[6]")
def craft(
    scale: Scale = 1,
    embed_dim: int = 48,
    depths: Sequence[int] = (2, 2, 2, 2),
    num_heads: Sequence[int] = (6, 6, 6, 6),
    mlp_ratio: float = 2,
) -> Padded:
    """Attention in strips that high frequencies refine (Li et al. 2023, CRAFT)."""
    return make("CRAFT.CRAFT", locals(), 16)


@small("embed_dim=16,depths=[2],num_heads=[2],window_size=4,stripe_size=[4,8],anchor_window_down_factor=2")
def grl(
    scale: Scale = 1,
    embed_dim: int = 128,
    depths: Sequence[int] = (4, 4, 4, 4),
    num_heads: Sequence[int] = (2, 2, 2, 2),
    window_size: int = 16,
    stripe_size: Sequence[int] = (64, 128),
    anchor_window_down_factor: int = 4,
    mlp_ratio: float = 2,
) -> Padded:
    """Attention in windows, and through anchors in stripes; `num_heads` for each (Li et al. 2023, GRL)."""
    multiple = max(window_size, *stripe_size)
    return make(
        "GRL.GRL",
        {"scale": scale, "embed_dim": embed_dim, "depths": depths, "window_size": window_size, "mlp_ratio": mlp_ratio},
        multiple,
        img_size=multiple,  # its tables for this size follow the network's dtype; those for others are float32
        upsampler="pixelshuffle" if scale > 1 else "",
        num_heads_window=num_heads,
        num_heads_stripe=num_heads,
        stripe_size=stripe_size,
        stripe_shift=True,
        anchor_window_down_factor=anchor_window_down_factor,
    )


@small("num_feat=16,res_num=1,window_size=4")
def omnisr(scale: Scale = 1, num_feat: int = 64, res_num: int = 5, block_num: int = 1, window_size: int = 8) -> Padded:
    """Attention over space and channels at once, in windows and in grids (Wang et al. 2023, Omni-SR)."""
    return make("OmniSR.OmniSR", locals(), window_size, scale_name="up_scale", smallest=16)


@small("dim=12,itl_blocks=1,sal_blocks=1")
def ditn(scale: Scale = 1, dim: int = 60, itl_blocks: int = 4, sal_blocks: int = 4, ufone_blocks: int = 1) -> Padded:
    """Attention inside patches, and over channels between them (Liu et al. 2023, DITN)."""
    blocks = {"ITL_blocks": itl_blocks, "SAL_blocks": sal_blocks, "UFONE_blocks": ufone_blocks}
    return make("DITN.DITN", {"scale": scale, "dim": dim, **blocks}, 8)


@small("nf=10,num_head=5")
def dctlsa(scale: Scale = 1, nf: int = 55, num_head: int = 5) -> Padded:
    """Densely connected blocks with attention of linear cost (Zeng et al. 2023, DCTLSA)."""
    return make("DCTLSA.DCTLSA", locals(), smallest=16)


@small("embed_dim=16,num_groups=1,depth_per_group=1,num_heads=2,window_size=4")
def fdat(
    scale: Scale = 1,
    embed_dim: int = 120,
    num_groups: int = 4,
    depth_per_group: int = 3,
    num_heads: int = 4,
    window_size: int = 8,
) -> Padded:
    """A faster form of DAT, published as code alone (stinkybread 2025, FDAT)."""
    return make("FDAT.FDAT", locals(), window_size, scale_name="scale")
