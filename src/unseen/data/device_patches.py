"""Clean training patches gathered on a device, from photographs that lie there as uint8."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..core.errors import UserError
from ..core.units import bytes_in_words
from .loading import machine_memory
from .patches import Patches


class DevicePatches:
    """The photographs of `Patches` on a device: a quarter of the memory that float32 takes, and no copy a step.

    Args:
        patches: the photographs, and the size of a patch.
        device: the device that they are copied to, one photograph after another.

    Raises:
        UserError: the photographs do not fit into the memory of the device that is free.
    """

    def __init__(self, patches: Patches, device: torch.device):
        self.size = patches.size
        self.channels = patches.clean[0].itemsize
        shapes = torch.tensor([photo.shape for photo in patches.clean])
        ends = (self.channels * shapes.prod(dim=1)).cumsum(0)
        needed = int(ends[-1])
        free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else machine_memory()
        if needed > free:
            raise UserError(
                f"draws: device holds all photographs on {device}: they take {bytes_in_words(needed)}, and "
                f"{bytes_in_words(free)} are free there; take --draws exact, or fewer photographs"
            )
        starts = ends.roll(1)
        starts[0] = 0
        self.table = torch.cat([starts[:, None], shapes], dim=1).to(device)
        self.pixels = torch.empty(needed, dtype=torch.uint8, device=device)
        for photo, start, end in zip(patches.clean, starts.tolist(), ends.tolist(), strict=True):
            self.pixels[start:end] = torch.from_numpy(photo[..., None].view(np.uint8).reshape(-1).copy())

    def gather(self, picks: Tensor) -> Tensor:
        """The clean patches of the places that `Patches.picks` drew, equal to those of `Patches.draw` bit for bit.

        Args:
            picks: int64 (n, 6): photograph, top, left, flip, mirror and turn of each patch, on the device.

        Returns:
            float32 (n, C, size, size) in [0, 1], channels last in memory.
        """
        top, left, flip, mirror, turn = (column.view(-1, 1, 1) for column in picks[:, 1:].unbind(dim=1))
        start, height, width = (column.view(-1, 1, 1) for column in self.table[picks[:, 0]].unbind(dim=1))
        side = torch.arange(self.size, device=picks.device)
        down, right = side.view(1, -1, 1), side.view(1, 1, -1)
        turned = turn % 2 == 1
        row, column = torch.where(turned, right, down), torch.where(turned, down, right)
        row = torch.where(flip % 2 == 1, self.size - 1 - row, row) + top % (height - self.size + 1)
        column = torch.where(mirror % 2 == 1, self.size - 1 - column, column) + left % (width - self.size + 1)
        first = start + self.channels * (row * width + column)
        channels = torch.arange(self.channels, device=picks.device)
        return self.pixels[first[..., None] + channels].permute(0, 3, 1, 2) / 255
