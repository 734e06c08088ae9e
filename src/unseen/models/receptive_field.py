"""Receptive fields of networks, stated or measured, from which the overlap of tiles follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..core.errors import UserError
from .backbones.normalised import Normalised
from .backbones.padded import Padded, next_multiple

HALVES = (64, 256)
"""Pixels to try on either side of the cut at which radii are measured; a radius beyond the last counts as infinite."""
ACROSS = 64
"""Pixels along the cut."""
COARSEST = 64
"""The largest stride to try, pixels."""
ROUNDING = 1e-4
"""Outputs that differ by no more than this share of the largest output count as the same."""


@dataclass(frozen=True)
class ReceptiveField:
    """The distance over which outputs of a network depend on its inputs, and the grid on which tiles must begin.

    Attributes:
        radius: largest distance, in rows or columns of the input, between an output pixel and an input pixel that
            changes it, if the image is cut at multiples of `stride`. None where the output depends on the whole image
            (global pooling) or on pixels beyond the measured distance, and where no shift of the image only shifts the
            output.
        stride: step in pixels of the places where tiles may begin, and their smallest side.
        scale: factor by which the network enlarges.
    """

    radius: int | None
    stride: int = 1
    scale: int = 1


def receptive_field_of(network: nn.Module) -> ReceptiveField:
    """The receptive field that a network states (`receptive_radius`, `stride`, `scale`), else the measured one.

    The measurement is made on the network's device, in evaluation mode, without gradients; modes and PyTorch's random
    numbers are left as they were. Measure before the network moves to a GPU: with some GPU convolutions the last bit of
    every output depends on every input, and the radius would be None.

    A `Normalised` network has that of the network which it wraps, and its `own_radius` more: tiles of a `WNE` are given
    the numbers of the whole image.

    Args:
        network: maps float (B, 3, H, W) to (B, 3, scale·H, scale·W).

    Raises:
        UserError: for outputs of another shape.
    """
    if isinstance(network, Normalised):
        field = receptive_field_of(network.network)
        return field if field.radius is None else replace(field, radius=field.radius + network.own_radius)
    stated = getattr(network, "receptive_radius", None)
    if isinstance(stated, int):
        return ReceptiveField(stated, getattr(network, "stride", 1), getattr(network, "scale", 1))
    multiple = 1
    if isinstance(network, Padded):
        multiple = next_multiple(network.smallest, network.multiple)  # smaller tiles would be padded, the image not
        if network.square:  # a tile at the image's border is padded to another square than the image
            return ReceptiveField(None, multiple, network.scale)
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    with _as_it_was(network), torch.inference_mode():
        return measured_receptive_field(lambda images: network(images.to(device, copy=True)).cpu(), multiple)


@contextmanager
def _as_it_was(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode; afterwards restore every module's mode, and PyTorch's random numbers."""
    modes = [(module, module.training) for module in network.modules()]
    with torch.random.fork_rng():
        try:
            if network.training:  # a network in evaluation mode may be in use by other threads
                network.eval()
            yield
        finally:
            for module, training in modes:
                if module.training != training:
                    module.training = training


def measured_receptive_field(run: Callable[[Tensor], Tensor], multiple: int = 1) -> ReceptiveField:
    """Measure the receptive field of any function that restores.

    The radius: all pixels on one side of a cut through a random image are replaced; the radius is the distance to the
    farthest output on the other side that changes in any bit. 64 pixels on either side of the cut are tried, then 256;
    a larger distance counts as the whole image. The radius holds for this network with these weights: where the
    farthest inputs have nearly no weight, it is less than the architecture allows.
    The stride: the smallest shift of the image that only shifts the output, away from the borders. If there is none up
    to 64, the stride is 64, which most strides divide.

    Args:
        run: function from float32 (1, 3, H, W) in [0, 1] to (1, 3, scale·H, scale·W), called with sizes that are
            multiples of 64 where `multiple` divides 64.
        multiple: divisor, in pixels, of the sizes that the function takes; the stride will be a multiple of it, too.

    Raises:
        UserError: for outputs of another shape.
    """
    coarse = next_multiple(COARSEST, multiple)
    for half in (next_multiple(half, coarse) for half in HALVES):
        radius, scale = _changed_within(run, half)
        if radius < half:
            break
    else:
        return ReceptiveField(None, coarse, scale)
    for stride in range(multiple, coarse + 1, multiple):
        if all(_follows(run, stride, radius, turned) for turned in (False, True)):
            if half % stride:  # the cut was at a place where no tile begins
                radius, scale = _changed_within(run, next_multiple(half, stride))
            return ReceptiveField(radius, stride, scale)
    return ReceptiveField(None, coarse, scale)


def _changed_within(run: Callable[[Tensor], Tensor], half: int) -> tuple[int, int]:
    """The distance from a cut in the middle within which outputs change, at most `half`, in input pixels; the scale."""
    draws = torch.Generator().manual_seed(0)
    length, distance, scale = 2 * half, 0, 1
    for turned in (False, True):
        image, other = torch.rand(2, 1, 3, length, ACROSS, generator=draws)
        before = _run(run, image, turned)
        scale = before.shape[-2] // length
        for changed in (slice(half, None), slice(None, half)):
            mixed = image.clone()
            mixed[..., changed, :] = (
                other[..., changed, :] / 2
            )  # darker, so that a mean over the whole image changes, too
            differs = (_run(run, mixed, turned) != before).amax((0, 1, 3))  # NaN differs from itself
            rows = differs.nonzero().flatten().div(scale, rounding_mode="floor")
            if len(rows):
                distance = max(distance, half - int(rows[0]) if changed.start else int(rows[-1]) - half + 1)
            if distance >= half:  # no larger distance can be measured
                return distance, scale
    return distance, scale


def _follows(run: Callable[[Tensor], Tensor], shift: int, radius: int, turned: bool) -> bool:
    """Whether a shift of the image only shifts the output, away from the borders."""
    margin = radius + shift  # from a cut elsewhere in a cell of the grid, outputs change less than a cell farther
    length = next_multiple(2 * margin + shift + COARSEST, COARSEST)
    image = torch.rand(1, 3, length + shift, ACROSS, generator=torch.Generator().manual_seed(1))
    before, after = _run(run, image[..., :length, :], turned), _run(run, image[..., shift:, :], turned)
    scale = before.shape[-2] // length
    before = before[..., scale * (margin + shift) : scale * (length - margin), :]
    after = after[..., scale * margin : scale * (length - margin - shift), :]
    return bool((before - after).abs().max() <= ROUNDING * before.abs().max())


def _run(run: Callable[[Tensor], Tensor], image: Tensor, turned: bool) -> Tensor:
    """The output for an image, which the network gets with rows and columns exchanged if `turned`."""
    restored = run(image.mT.contiguous() if turned else image)
    restored = restored.mT if turned else restored
    (height, width), (new_height, new_width) = image.shape[-2:], restored.shape[-2:]
    scale = new_height // height
    if restored.shape[:2] != image.shape[:2] or not scale or (new_height, new_width) != (scale * height, scale * width):
        raise UserError(
            f"the network makes {' × '.join(map(str, restored.shape))} of {' × '.join(map(str, image.shape))}: "
            "images of three channels and a whole multiple of the size are needed"
        )
    return restored
