"""Networks of several resolutions, at scale 1."""

from __future__ import annotations

from collections.abc import Sequence

from ..padded import Padded
from .source import spandrel


def drunet(nc: Sequence[int] = (64, 128, 256, 512), nb: int = 4) -> Padded:
    """A residual U-Net without biases; blind, without its noise map (Zhang et al. 2021, DRUNet)."""
    return Padded(spandrel("DRUNet.DRUNet", in_nc=3, out_nc=3, nc=nc, nb=nb), 8)


def fbcnn(nc: Sequence[int] = (64, 128, 256), nb: int = 4) -> Padded:
    """A residual U-Net steered by the JPEG quality it estimates, 512 wide at its bottom (Jiang et al. 2021, FBCNN)."""
    return Padded(spandrel("FBCNN.FBCNN", nc=[*nc, 512], nb=nb), 8)


def fftformer(
    dim: int = 48,
    num_blocks: Sequence[int] = (6, 6, 12),
    num_refinement_blocks: int = 4,
    ffn_expansion_factor: float = 3,
) -> Padded:
    """Attention by products in the frequency domain (Kong et al. 2023, FFTformer)."""
    network = spandrel(
        "FFTformer.FFTformer",
        dim=dim,
        num_blocks=num_blocks,
        num_refinement_blocks=num_refinement_blocks,
        ffn_expansion_factor=ffn_expansion_factor,
    )
    return Padded(network, 32)


def kbnet_l(
    dim: int = 48,
    num_blocks: Sequence[int] = (4, 6, 6, 8),
    num_refinement_blocks: int = 4,
    heads: Sequence[int] = (1, 2, 4, 8),
) -> Padded:
    """Learned kernel bases mixed pixel by pixel, beside attention over channels (Zhang et al. 2023, KBNet-l)."""
    network = spandrel(
        "KBNet.KBNet_l", dim=dim, num_blocks=num_blocks, num_refinement_blocks=num_refinement_blocks, heads=heads
    )
    return Padded(network, 16)


def kbnet_s(
    width: int = 64,
    enc_blk_nums: Sequence[int] = (2, 2, 4, 8),
    middle_blk_num: int = 12,
    dec_blk_nums: Sequence[int] = (2, 2, 2, 2),
) -> Padded:
    """Learned kernel bases mixed pixel by pixel, in NAFNet's layout (Zhang et al. 2023, KBNet-s)."""
    network = spandrel(
        "KBNet.KBNet_s",
        width=width,
        enc_blk_nums=enc_blk_nums,
        middle_blk_num=middle_blk_num,
        dec_blk_nums=dec_blk_nums,
    )
    return Padded(network, 2 ** len(enc_blk_nums))


def mixdehazenet(embed_dims: Sequence[int] = (24, 48, 96, 48, 24), depths: Sequence[int] = (1, 1, 2, 1, 1)) -> Padded:
    """Large kernels of several reaches and three kinds of attention (Lu et al. 2023, MixDehazeNet)."""
    return Padded(spandrel("MixDehazeNet.MixDehazeNet", embed_dims=embed_dims, depths=depths), 4, smallest=40)


def nafnet(
    width: int = 32,
    enc_blk_nums: Sequence[int] = (2, 2, 4, 8),
    middle_blk_num: int = 12,
    dec_blk_nums: Sequence[int] = (2, 2, 2, 2),
) -> Padded:
    """Products of channels in place of activations (Chen et al. 2022, NAFNet)."""
    network = spandrel(
        "NAFNet.NAFNet",
        width=width,
        enc_blk_nums=enc_blk_nums,
        middle_blk_num=middle_blk_num,
        dec_blk_nums=dec_blk_nums,
    )
    return Padded(network, 2 ** len(enc_blk_nums))


def retinexformer(n_feat: int = 40, stage: int = 3, num_blocks: Sequence[int] = (1, 1, 1)) -> Padded:
    """Attention over channels that an estimate of the illumination guides (Cai et al. 2023, Retinexformer)."""
    return Padded(spandrel("RetinexFormer.RetinexFormer", n_feat=n_feat, stage=stage, num_blocks=num_blocks), 8)


def scunet(dim: int = 64, config: Sequence[int] = (4, 4, 4, 4, 4, 4, 4)) -> Padded:
    """Blocks that are half convolution, half window attention (Zhang et al. 2022, SCUNet)."""
    return Padded(spandrel("SCUNet.SCUNet", dim=dim, config=config), 64)


def uformer(
    embed_dim: int = 32,
    depths: Sequence[int] = (2, 2, 2, 2, 2, 2, 2, 2, 2),
    num_heads: Sequence[int] = (1, 2, 4, 8, 16, 16, 8, 4, 2),
    win_size: int = 8,
) -> Padded:
    """Window attention on five resolutions, of squares only (Wang et al. 2022, Uformer)."""
    network = spandrel("Uformer.Uformer", embed_dim=embed_dim, depths=depths, num_heads=num_heads, win_size=win_size)
    return Padded(network, 16 * win_size, square=True)
