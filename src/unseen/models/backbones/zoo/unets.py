"""Networks of several resolutions, at scale 1."""

from __future__ import annotations

from collections.abc import Sequence

from ..padded import Padded
from ..shared import small
from .source import make


@small("nc=[4,8,8,8],nb=1")
def drunet(nc: Sequence[int] = (64, 128, 256, 512), nb: int = 4) -> Padded:
    """A residual U-Net without biases; blind, without its noise map (Zhang et al. 2021, DRUNet)."""
    return make("DRUNet.DRUNet", locals(), 8, in_nc=3, out_nc=3)


@small("nc=[4,8,8],nb=1")
def fbcnn(nc: Sequence[int] = (64, 128, 256), nb: int = 4) -> Padded:
    """A residual U-Net steered by the JPEG quality it estimates, 512 wide at its bottom (Jiang et al. 2021, FBCNN)."""
    return make("FBCNN.FBCNN", {"nc": [*nc, 512], "nb": nb}, 8)


@small("dim=4,num_blocks=[1,1,1],num_refinement_blocks=1")
def fftformer(
    dim: int = 48,
    num_blocks: Sequence[int] = (6, 6, 12),
    num_refinement_blocks: int = 4,
    ffn_expansion_factor: float = 3,
) -> Padded:
    """Attention by products in the frequency domain (Kong et al. 2023, FFTformer)."""
    return make("FFTformer.FFTformer", locals(), 32)


@small("dim=24,num_blocks=[1,1,1,1],num_refinement_blocks=1")
def kbnet_l(
    dim: int = 48,
    num_blocks: Sequence[int] = (4, 6, 6, 8),
    num_refinement_blocks: int = 4,
    heads: Sequence[int] = (1, 2, 4, 8),
) -> Padded:
    """Learned kernel bases mixed pixel by pixel, beside attention over channels (Zhang et al. 2023, KBNet-l)."""
    return make("KBNet.KBNet_l", locals(), 16)


@small("width=8,enc_blk_nums=[1,1],middle_blk_num=1,dec_blk_nums=[1,1]")
def kbnet_s(
    width: int = 64,
    enc_blk_nums: Sequence[int] = (2, 2, 4, 8),
    middle_blk_num: int = 12,
    dec_blk_nums: Sequence[int] = (2, 2, 2, 2),
) -> Padded:
    """Learned kernel bases mixed pixel by pixel, in NAFNet's layout (Zhang et al. 2023, KBNet-s)."""
    return make("KBNet.KBNet_s", locals(), 2 ** len(enc_blk_nums))


@small("embed_dims=[8,8,8,8,8],depths=[1,1,1,1,1]")
def mixdehazenet(embed_dims: Sequence[int] = (24, 48, 96, 48, 24), depths: Sequence[int] = (1, 1, 2, 1, 1)) -> Padded:
    """Dilated kernels of several sizes and three kinds of attention (Lu et al. 2023, MixDehazeNet)."""
    return make("MixDehazeNet.MixDehazeNet", locals(), 4, smallest=40)


@small("width=8,enc_blk_nums=[1,1],middle_blk_num=1,dec_blk_nums=[1,1]")
def nafnet(
    width: int = 32,
    enc_blk_nums: Sequence[int] = (2, 2, 4, 8),
    middle_blk_num: int = 12,
    dec_blk_nums: Sequence[int] = (2, 2, 2, 2),
) -> Padded:
    """Products of channels in place of activations (Chen et al. 2022, NAFNet)."""
    return make("NAFNet.NAFNet", locals(), 2 ** len(enc_blk_nums))


@small("n_feat=8,stage=1")
def retinexformer(n_feat: int = 40, stage: int = 3, num_blocks: Sequence[int] = (1, 1, 1)) -> Padded:
    """Attention over channels that an estimate of the illumination guides (Cai et al. 2023, Retinexformer)."""
    return make("RetinexFormer.RetinexFormer", locals(), 8)


@small("config=[1,0,0,1,0,0,1]")
def scunet(dim: int = 64, config: Sequence[int] = (4, 4, 4, 4, 4, 4, 4)) -> Padded:
    """Blocks that are half convolution, half window attention (Zhang et al. 2022, SCUNet)."""
    return make("SCUNet.SCUNet", locals(), 64)


@small("embed_dim=4,depths=[1,1,1,1,1,1,1,1,1],num_heads=[1,1,1,1,1,1,1,1,1],win_size=2")
def uformer(
    embed_dim: int = 32,
    depths: Sequence[int] = (2, 2, 2, 2, 2, 2, 2, 2, 2),
    num_heads: Sequence[int] = (1, 2, 4, 8, 16, 16, 8, 4, 2),
    win_size: int = 8,
) -> Padded:
    """Window attention on five resolutions, of squares only (Wang et al. 2022, Uformer)."""
    return make("Uformer.Uformer", locals(), 16 * win_size, square=True)
