"""Clean training patches gathered on a device, from photographs that lie there as uint8."""

from __future__ import annotations

import torch
from torch import Tensor

from .patches import Patches


class DevicePatches:
    """The photographs of `Patches` on a device: a quarter of the memory that float32 takes, and no copy a step.

    Args:
        patches: the photographs, and the size of a patch.
        device: the device that they are copied to.
    """

    def __init__(self, patches: Patches, device: torch.device):
        self.size = patches.size
        self.pixels = torch.cat([photo.flatten() for photo in patches.clean]).to(device)
        shapes = torch.tensor([photo.shape[:2] for photo in patches.clean])
        starts = (3 * shapes.prod(dim=1)).cumsum(0)
        self.table = torch.cat([starts.roll(1)[:, None], shapes], dim=1).to(device)
        self.table[0, 0] = 0

    def gather(self, picks: Tensor) -> Tensor:
        """The clean patches of the places that `Patches.picks` drew, equal to those of `Patches.draw` bit for bit.

        Args:
            picks: int64 (n, 6): photograph, top, left, flip, mirror and turn of each patch, on the device.

        Returns:
            float32 (n, 3, size, size) in [0, 1], channels last in memory.
        """
        top, left, flip, mirror, turn = (column.view(-1, 1, 1) for column in picks[:, 1:].unbind(dim=1))
        start, height, width = (column.view(-1, 1, 1) for column in self.table[picks[:, 0]].unbind(dim=1))
        side = torch.arange(self.size, device=picks.device)
        down, right = side.view(1, -1, 1), side.view(1, 1, -1)
        turned = turn % 2 == 1
        row, column = torch.where(turned, right, down), torch.where(turned, down, right)
        row = torch.where(flip % 2 == 1, self.size - 1 - row, row) + top % (height - self.size + 1)
        column = torch.where(mirror % 2 == 1, self.size - 1 - column, column) + left % (width - self.size + 1)
        first = start + 3 * (row * width + column)
        channels = torch.arange(3, device=picks.device)
        return self.pixels[first[..., None] + channels].permute(0, 3, 1, 2) / 255
