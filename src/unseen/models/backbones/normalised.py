"""Networks within a wrapper that shifts and scales the image before, and shifts and scales the output back."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from ...core.errors import UserError
from ...methods.objective import HasOwnLoss


class Normalised(nn.Module):
    """A network g that works on shifted and scaled images: f(x) = s·g((x − m)/s) + m, with m and s from the image.

    Sizes, scale, channels and loss of its own are those of g.

    Args:
        network: g; maps (B, C, H, W) to (B, C, scale·H, scale·W).

    Attributes:
        own_radius: the largest distance, in rows or columns, from which m and s of a pixel take anything, in pixels; 0
            where a tile is given them.

    Raises:
        UserError: for a network that is `Normalised` itself, or that keeps the brightness of images in [0, 1].
    """

    own_radius: ClassVar[int] = 0

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        if isinstance(network, Normalised):
            raise UserError(
                "backbone: wne, unit_noise and capped_noise take no network that is one of them already: give one, once"
            )
        if getattr(network, "kept_brightness", False):
            raise UserError(
                "backbone: kept_brightness needs images in [0, 1], which wne, unit_noise and capped_noise change: "
                "leave it out"
            )
        self.network = network

    def shift_and_scale(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Shift m and scale s of (B, C, H, W), each (B, 1, 1, 1) or (B, 1, H, W)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Restore (B, C, H, W)."""
        return self._restored(x, *self.shift_and_scale(x))

    def _restored(self, x: Tensor, shift: Tensor, scale: Tensor, **settings: Any) -> Tensor:
        """s·g((x − m)/s) + m; `settings` are passed on to g."""
        restored: Tensor = self.network(_channels_last((x - shift) / scale), **settings)
        return _as_large_as(restored, scale) * restored + _as_large_as(restored, shift)

    def own_loss(self, distorted: Tensor, clean: Tensor) -> Tensor:
        """The own loss of g on (`distorted` − m)/s and (`clean` − m)/s, with m and s of `distorted`; 0 without one."""
        if not isinstance(self.network, HasOwnLoss):
            return distorted.new_zeros(())
        shift, scale = self.shift_and_scale(distorted)
        target = (clean - _as_large_as(clean, shift)) / _as_large_as(clean, scale)
        return self.network.own_loss((distorted - shift) / scale, target)


def _as_large_as(images: Tensor, values: Tensor) -> Tensor:
    """A map of shift or scale for images that g may have enlarged; one number an image is left as it is."""
    sizes = images.shape[-2:], (1, 1)
    return values if values.shape[-2:] in sizes else F.interpolate(values, images.shape[-2:])


def _channels_last(images: Tensor) -> Tensor:
    """The same (B, C, H, W); gray ones with strides that say channels last, for which no number moves in memory.

    With one channel both layouts are one. PyTorch takes the faster convolutions only where the strides say channels
    last, and those of a difference of two gray images do not, whatever the strides of the images.
    """
    return images if images.shape[1] > 1 else images[:, 0, ..., None].movedim(-1, 1)
