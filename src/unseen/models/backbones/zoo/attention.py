"""Networks at one resolution that look around by attention."""

from __future__ import annotations

from collections.abc import Sequence

from ..padded import Padded
from .source import Scale, spandrel

SIX_BY_SIX = (6, 6, 6, 6, 6, 6)


def swinir(
    scale: Scale = 1,
    embed_dim: int = 180,
    depths: Sequence[int] = SIX_BY_SIX,
    num_heads: Sequence[int] = SIX_BY_SIX,
    window_size: int = 8,
    mlp_ratio: float = 2,
) -> Padded:
    """Attention inside shifted windows (Liang et al. 2021, SwinIR)."""
    network = spandrel(
        "SwinIR.SwinIR",
        upscale=scale,
        upsampler="pixelshuffle" if scale > 1 else "",
        embed_dim=embed_dim,
        depths=depths,
        num_heads=num_heads,
        window_size=window_size,
        mlp_ratio=mlp_ratio,
    )
    return Padded(network, window_size, scale)


def swin2sr(
    scale: Scale = 1,
    embed_dim: int = 180,
    depths: Sequence[int] = SIX_BY_SIX,
    num_heads: Sequence[int] = SIX_BY_SIX,
    window_size: int = 8,
    mlp_ratio: float = 2,
) -> Padded:
    """SwinIR with scaled cosine attention and norms after it (Conde et al. 2022, Swin2SR)."""
    network = spandrel(
        "Swin2SR.Swin2SR",
        upscale=scale,
        upsampler="pixelshuffle" if scale > 1 else "",
        embed_dim=embed_dim,
        depths=depths,
        num_heads=num_heads,
        window_size=window_size,
        mlp_ratio=mlp_ratio,
    )
    return Padded(network, window_size, scale)


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
    network = spandrel(
        "HAT.HAT",
        upscale=scale,
        embed_dim=embed_dim,
        depths=depths,
        num_heads=num_heads,
        window_size=window_size,
        squeeze_factor=squeeze_factor,
        mlp_ratio=mlp_ratio,
    )
    return Padded(network, window_size, scale)


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
    network = spandrel(
        "DRCT.DRCT",
        upscale=scale,
        upsampler="pixelshuffle",
        embed_dim=embed_dim,
        depths=depths,
        num_heads=num_heads,
        window_size=window_size,
        gc=gc,
        mlp_ratio=mlp_ratio,
    )
    return Padded(network, window_size, scale)


def dat(
    scale: Scale = 1,
    embed_dim: int = 180,
    depth: Sequence[int] = SIX_BY_SIX,
    num_heads: Sequence[int] = SIX_BY_SIX,
    split_size: Sequence[int] = (8, 32),
    expansion_factor: float = 4,
) -> Padded:
    """Attention over space and over channels by turns (Chen et al. 2023, DAT)."""
    network = spandrel(
        "DAT.DAT",
        upscale=scale,
        embed_dim=embed_dim,
        depth=depth,
        num_heads=num_heads,
        split_size=split_size,
        expansion_factor=expansion_factor,
    )
    return Padded(network, scale=scale, smallest=16)


def rgt(
    scale: Scale = 1,
    embed_dim: int = 180,
    depth: Sequence[int] = (*SIX_BY_SIX, 6, 6),
    num_heads: Sequence[int] = (*SIX_BY_SIX, 6, 6),
    split_size: Sequence[int] = (8, 32),
    mlp_ratio: float = 2,
) -> Padded:
    """Attention to recursively gathered summaries of the whole image (Chen et al. 2024, RGT)."""
    network = spandrel(
        "RGT.RGT",
        upscale=scale,
        embed_dim=embed_dim,
        depth=depth,
        num_heads=num_heads,
        split_size=split_size,
        mlp_ratio=mlp_ratio,
    )
    return Padded(network, scale=scale, smallest=16)


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
    network = spandrel(
        "ATD.ATD",
        upscale=scale,
        upsampler="pixelshuffle" if scale > 1 else "",
        embed_dim=embed_dim,
        depths=depths,
        num_heads=num_heads,
        window_size=window_size,
        category_size=category_size,
        num_tokens=num_tokens,
        reducted_dim=reducted_dim,
        mlp_ratio=mlp_ratio,
    )
    return Padded(network, window_size, scale)


def craft(
    scale: Scale = 1,
    embed_dim: int = 48,
    depths: Sequence[int] = (2, 2, 2, 2),
    num_heads: Sequence[int] = (6, 6, 6, 6),
    mlp_ratio: float = 2,
) -> Padded:
    """Attention in strips that high frequencies refine (Li et al. 2023, CRAFT)."""
    network = spandrel(
        "CRAFT.CRAFT", upscale=scale, embed_dim=embed_dim, depths=depths, num_heads=num_heads, mlp_ratio=mlp_ratio
    )
    return Padded(network, 16, scale)


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
    network = spandrel(
        "GRL.GRL",
        img_size=multiple,  # its tables for this size follow the network's dtype; those for others are float32
        upscale=scale,
        upsampler="pixelshuffle" if scale > 1 else "",
        embed_dim=embed_dim,
        depths=depths,
        num_heads_window=num_heads,
        num_heads_stripe=num_heads,
        window_size=window_size,
        stripe_size=stripe_size,
        stripe_shift=True,
        anchor_window_down_factor=anchor_window_down_factor,
        mlp_ratio=mlp_ratio,
    )
    return Padded(network, multiple, scale)


def omnisr(scale: Scale = 1, num_feat: int = 64, res_num: int = 5, block_num: int = 1, window_size: int = 8) -> Padded:
    """Attention over space and channels at once, in windows and in grids (Wang et al. 2023, Omni-SR)."""
    network = spandrel(
        "OmniSR.OmniSR",
        up_scale=scale,
        num_feat=num_feat,
        res_num=res_num,
        block_num=block_num,
        window_size=window_size,
    )
    return Padded(network, window_size, scale, smallest=16)


def ditn(scale: Scale = 1, dim: int = 60, itl_blocks: int = 4, sal_blocks: int = 4, ufone_blocks: int = 1) -> Padded:
    """Attention inside patches, and over channels between them (Liu et al. 2023, DITN)."""
    network = spandrel(
        "DITN.DITN",
        upscale=scale,
        dim=dim,
        ITL_blocks=itl_blocks,
        SAL_blocks=sal_blocks,
        UFONE_blocks=ufone_blocks,
    )
    return Padded(network, 8, scale)


def dctlsa(scale: Scale = 1, nf: int = 55, num_head: int = 5) -> Padded:
    """Densely connected blocks with attention of linear cost (Zeng et al. 2023, DCTLSA)."""
    return Padded(spandrel("DCTLSA.DCTLSA", upscale=scale, nf=nf, num_head=num_head), scale=scale, smallest=16)


def fdat(
    scale: Scale = 1,
    embed_dim: int = 120,
    num_groups: int = 4,
    depth_per_group: int = 3,
    num_heads: int = 4,
    window_size: int = 8,
) -> Padded:
    """A faster form of DAT, published as code alone (stinkybread 2025, FDAT)."""
    network = spandrel(
        "FDAT.FDAT",
        scale=scale,
        embed_dim=embed_dim,
        num_groups=num_groups,
        depth_per_group=depth_per_group,
        num_heads=num_heads,
        window_size=window_size,
    )
    return Padded(network, window_size, scale)
