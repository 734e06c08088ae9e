"""The kernel that fills fields by Philox on a GPU, in one launch a batch: see `philox`, whose values these are."""

from __future__ import annotations

import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from torch import Tensor

BLOCK = 1024
"""Values that one program of the kernel makes."""


def fill(fields: Tensor, keys: Tensor, normal: bool) -> None:
    """Fill fields in place with standard normal values, or with values drawn evenly from [0, 1).

    Args:
        fields: float32 (n, C, H, W), contiguous or channels last in memory.
        keys: int64 (n, 2), the words of a Philox key for each field.
        normal: whether the values are normal.
    """
    values = fields[0].numel()
    channels_last = not fields.is_contiguous()
    channels = fields.shape[1] if channels_last else 1
    grid = (len(fields), triton.cdiv(values, BLOCK))
    _fill[grid](fields, keys, values, channels, values // channels, normal, BLOCK)


@triton.jit  # type: ignore[untyped-decorator]
def _fill(fields, keys, values, channels, pixels, normal: tl.constexpr, block: tl.constexpr):  # type: ignore[no-untyped-def]
    """Make one block of one field: at each place in memory the value of its position in (C, H, W)."""
    image = tl.program_id(0)
    place = tl.program_id(1) * block + tl.arange(0, block)
    position = (place % channels) * pixels + place // channels
    low, high = tl.load(keys + 2 * image).to(tl.uint32), tl.load(keys + 2 * image + 1).to(tl.uint32)
    a = position.to(tl.uint32)
    b = a * 0
    c = a * 0
    d = a * 0
    for _ in tl.static_range(10):
        product_high_a, product_low_a = tl.umulhi(a, 0xD2511F53), a * 0xD2511F53
        product_high_c, product_low_c = tl.umulhi(c, 0xCD9E8D57), c * 0xCD9E8D57
        a, b, c, d = product_high_c ^ b ^ low, product_low_c, product_high_a ^ d ^ high, product_low_a
        low += 0x9E3779B9
        high += 0xBB67AE85
    step: tl.constexpr = 5.9604644775390625e-08  # 2**-24
    value = (a >> 8).to(tl.float32) * step
    if normal:
        radius = tl.sqrt(-2 * tl.log(((a >> 8) + 1).to(tl.float32) * step))
        value = radius * tl.cos((b >> 8).to(tl.float32) * step * 6.283185307179586)
    tl.store(fields + image.to(tl.int64) * values + place, value, mask=place < values)
