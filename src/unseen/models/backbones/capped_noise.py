"""Any network within a wrapper that lowers contrast until the noise is no stronger than what training shows.

Wang, Morel, *Can a Single Image Denoising Neural Network Handle All Levels of Gaussian Noise?*, IEEE Signal
Processing Letters 21(9), 2014, bring every image to the one noise level of a network. To do so for noise above a bound
alone, around each pixel, in training as well, is ours.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ...core.registry import Wrapped
from .normalised import Normalised
from .shared import small
from .unit_noise import RADIUS, local_statistics

STRONGEST_DEVIATION = 20 / 255
"""Deviation of the strongest noise that the wrapped network is given, in units of the range.

The strongest that is seen in the protocol `denoise` (Li et al. 2023, table 1): what is beyond is shown as this, and
what is weaker is left alone.
"""


class CappedNoise(Normalised):
    """A network that sees noise up to one strength only, whatever that of the image (after Wang and Morel 2014).

    f(x) = s·(g((x − m)/s + m) − m) + m, with the mean m around each pixel, and as s the deviation of the noise there
    over `STRONGEST_DEVIATION`, at least 1 (`local_statistics`). Contrast is lowered around m until the noise is no
    stronger than the bound, and raised again after: noise of any strength beyond is, to g, noise of the bound's
    strength on a picture of less contrast, nothing new where training shows noise as strong. Where no pixel of an image
    reads above the bound, f is g to the bit. Fine texture counts as noise.

    Args:
        network: g; maps (B, C, H, W) to (B, C, scale·H, scale·W).

    Raises:
        UserError: for a network that is `Normalised` itself.
    """

    own_radius: ClassVar[int] = RADIUS + 1

    def shift_and_scale(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Shift (1 − s)·m and scale s of (B, C, H, W), each (B, 1, H, W): (x − (1 − s)·m)/s is (x − m)/s + m."""
        mean, deviation = local_statistics(x)
        scale = (deviation / STRONGEST_DEVIATION).clamp(min=1)
        return (1 - scale) * mean, scale


@small("plain:features=4,depth=3")
def capped_noise_of(backbone: Wrapped) -> CappedNoise:
    """Any backbone with noise up to one strength: `capped_noise:plain:features=8` (ours, after Wang and Morel 2014).

    Args:
        backbone: the network that is wrapped; in a spec, all that follows the colon.
    """
    return CappedNoise(backbone)
