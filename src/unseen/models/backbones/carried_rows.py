"""Images that pass through a network in bands of rows, each layer keeping the rows that it needs of the band before.

No row is computed twice, as rows are where tiles overlap, and the memory is that of one band at every resolution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from .shared import convolved, convolved_onto

WIDE = 64
"""Channels from which two rows of a convolution take longer to compute once more than a band takes to be copied."""


class Rows:
    """The rows of whole images: what a network gets where its input is not cut into bands."""

    def conv(self, conv: nn.Conv2d, x: Tensor, *, leaky: bool = False) -> Tensor:
        """Apply a convolution, and a leaky ReLU after it if `leaky`."""
        return convolved(conv, x, leaky=leaky)

    def residual(self, conv1: nn.Conv2d, conv2: nn.Conv2d, x: Tensor) -> Tensor:
        """The sum x + conv2(leaky ReLU(conv1(x))), of 3×3 convolutions; without gradients in the memory of `x`."""
        return convolved_onto(x, conv2, convolved(conv1, x, leaky=True))

    def each(self, layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Apply a layer of which each row of the output depends on one row of the input."""
        return layer(x)

    def shrunk(self, layer: Callable[[Tensor], Tensor], x: Tensor, side: int) -> Tensor:
        """Apply a layer that makes one row of each `side` rows; the image has a multiple of `side`."""
        return layer(x)

    def local(self, layer: Callable[[Tensor], Tensor], x: Tensor, radius: int, scale: int = 1) -> Tensor:
        """Apply a layer that makes `scale` rows of each row, and of `radius` rows above and below it at most."""
        return layer(x)

    def together(self, early: Tensor, late: Tensor) -> tuple[Tensor, Tensor]:
        """The same rows of two tensors, of which `late` is made of `early`."""
        return early, late

    def sum(self, early: Tensor, late: Tensor) -> Tensor:
        """The sum of two tensors, of which `late` is made of `early`; without gradients in the memory of `late`."""
        return late.add_(early) if torch.is_inference_mode_enabled() else late + early

    def difference(self, early: Tensor, late: Tensor) -> Tensor:
        """The difference `early` − `late`, of which `late` is made of `early`; of bands in the memory of `late`."""
        return early - late


class CarriedRows(Rows):
    """The rows between two bands of one image, whose bands all pass through the network with the same object.

    A layer whose last rows depend on the next band makes them then: the output of a band lags behind the input, so that
    the first bands may make none, and that of the last band has all that is left. All bands but the last have a
    multiple of the network's stride of rows.
    """

    def __init__(self) -> None:
        self._last = False
        self._kept: list[tuple[Tensor, bool]] = []  # for each place of the network, and whether it has made rows
        self._waiting: dict[int, list[Tensor]] = {}  # views of whole bands, since copies of so many rows take time
        self._turn = 0

    def begin(self, *, last: bool) -> None:
        """Expect the next band, which is the last one of the image or not."""
        self._last, self._turn = last, 0

    def conv(self, conv: nn.Conv2d, x: Tensor, *, leaky: bool = False) -> Tensor:
        """Apply a convolution to the rows whose surroundings are there by now."""
        size, stride = int(conv.kernel_size[0]), int(conv.stride[0])
        kept, has_begun = self._with_kept(x)
        rows = self._bordered(kept, not has_begun) if conv.padding[0] else kept
        made = max(0, (rows.shape[-2] - size) // stride + 1)
        if not made:
            self._keep(kept, False)
            return x.new_empty((len(x), conv.out_channels, 0, -(-x.shape[-1] // stride)))
        self._keep(rows[..., made * stride :, :], True)
        return convolved(conv, rows[..., : (made - 1) * stride + size, :], leaky=leaky, rows_padded=True)

    def residual(self, conv1: nn.Conv2d, conv2: nn.Conv2d, x: Tensor) -> Tensor:
        """The same of the rows whose surroundings are there by now; two above and below are those of a cut.

        The first rows are an even number, so that a convolution of stride 2 after them keeps none.
        """
        if conv1.out_channels >= WIDE:
            return self.sum(x, self.conv(conv2, self.conv(conv1, x, leaky=True)))
        rows, has_begun = self._with_kept(x)
        first, end = 2 if has_begun else 0, rows.shape[-2]
        if not self._last:
            end -= 2 if has_begun else 2 + end % 2
        if end <= first and not self._last:
            self._keep(rows, has_begun)
            return x[..., :0, :]
        ready, below = rows[..., first:end, :], rows[..., max(end - 2, 0) :, :]
        self._keep(below, True)
        rows = rows if self._last else rows[..., : end + 2, :]
        change = convolved(conv1, self._bordered(rows, not has_begun), leaky=True, rows_padded=True)
        return convolved_onto(ready, conv2, self._bordered(change, not has_begun), rows_padded=True)

    def each(self, layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Apply a layer to the rows, which may be none."""
        return self._applied(layer, x, 1)

    def shrunk(self, layer: Callable[[Tensor], Tensor], x: Tensor, side: int) -> Tensor:
        """Apply a layer to as many rows as are a multiple of `side`."""
        rows, _ = self._with_kept(x)
        ready = rows.shape[-2] // side * side
        self._keep(rows[..., ready:, :], True)
        return self._applied(layer, rows[..., :ready, :], side)

    def local(self, layer: Callable[[Tensor], Tensor], x: Tensor, radius: int, scale: int = 1) -> Tensor:
        """Apply a layer to the rows whose surroundings are there by now."""
        rows, _ = self._with_kept(x)
        above = max(rows.shape[-2] - x.shape[-2] - radius, 0)  # rows that are there for their surroundings alone
        ready = rows.shape[-2] if self._last else max(rows.shape[-2] - radius, 0)
        self._keep(rows[..., max(ready - radius, 0) :, :], ready > 0)
        return self.each(layer, rows)[..., scale * above : scale * ready, :]

    def together(self, early: Tensor, late: Tensor) -> tuple[Tensor, Tensor]:
        """The rows of `late`, and those of `early` at the same places; the rest of `early` waits."""
        pieces = self._waited(early, late.shape[-2])
        return (pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=-2)), late

    def sum(self, early: Tensor, late: Tensor) -> Tensor:
        """The sum in the rows of `late`; the rest of `early` waits."""
        for piece, rows in self._beside(early, late):
            rows.add_(piece)
        return late

    def difference(self, early: Tensor, late: Tensor) -> Tensor:
        """The difference `early` − `late` in the rows of `late`; the rest of `early` waits."""
        late = late.to(early.dtype)  # which bfloat16 is not
        for piece, rows in self._beside(early, late):
            torch.sub(piece, rows, out=rows)
        return late

    def _applied(self, layer: Callable[[Tensor], Tensor], x: Tensor, least: int) -> Tensor:
        """Apply a layer that takes `least` rows or more; to none, which make none."""
        if x.shape[-2]:
            return layer(x)
        return layer(x.new_zeros((*x.shape[:2], least, x.shape[-1])))[..., :0, :]

    def _beside(self, early: Tensor, late: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Pieces of `early`, each with the rows of `late` at the same places."""
        pieces = self._waited(early, late.shape[-2])
        return zip(pieces, torch.split(late, [piece.shape[-2] for piece in pieces], dim=-2), strict=True)

    def _waited(self, early: Tensor, count: int) -> list[Tensor]:
        """The first `count` rows of those that wait and of `early` after them, in pieces; the rest waits."""
        waiting, pieces = [*self._waiting.get(self._turn, ()), early], list[Tensor]()
        while count or not pieces:
            rows = waiting.pop(0)
            pieces.append(rows[..., :count, :])
            count -= pieces[-1].shape[-2]
        left = rows[..., pieces[-1].shape[-2] :, :]
        self._waiting[self._turn] = [left, *waiting] if left.shape[-2] else waiting
        self._keep(early[..., :0, :], True)
        return pieces

    def _with_kept(self, x: Tensor) -> tuple[Tensor, bool]:
        """The rows that were kept at this place of the network, with those of `x`; whether it has made rows before."""
        if self._turn == len(self._kept):
            return x, False
        kept, has_begun = self._kept[self._turn]
        return (torch.cat((kept, x), dim=-2) if kept.shape[-2] else x), has_begun

    def _keep(self, rows: Tensor, has_begun: bool) -> None:
        self._kept[self._turn : self._turn + 1] = [(rows.clone(), has_begun)]  # a view would keep the whole band
        self._turn += 1

    def _bordered(self, x: Tensor, first: bool) -> Tensor:
        """With the row of zeros that a 3×3 convolution pads with, above and below the image only."""
        if not (first or self._last):
            return x
        border = torch.zeros_like(x[..., :1, :])
        return torch.cat([border] * first + [x] + [border] * self._last, dim=-2)


WHOLE = Rows()
"""The rows of whole images, which have no state."""
