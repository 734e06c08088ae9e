"""Convolutions whose second derivatives cost what their first do: three convolutions of the usual kernels.

Autograd computes the second derivative by a weight through a convolution whose kernel is as large as the image, on
transposed copies. All terms are convolutions and their gradients, though, for which fast kernels exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class _Geometry(NamedTuple):
    """The settings of a convolution, as `torch.ops.aten.convolution` takes them."""

    stride: list[int]
    padding: list[int]
    dilation: list[int]
    groups: int

    def convolve(self, images: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        result: Tensor = torch.ops.aten.convolution(
            images, weight, bias, self.stride, self.padding, self.dilation, False, [0, 0], self.groups
        )
        return result

    def gradients(
        self, slope: Tensor, images: Tensor, weight: Tensor, wanted: tuple[bool, bool, bool]
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """The gradients of Σ slope · convolve(images, weight, bias) by images, weight and bias, where wanted."""
        gradients: tuple[Tensor | None, Tensor | None, Tensor | None] = torch.ops.aten.convolution_backward(
            slope,
            images,
            weight,
            [weight.shape[0]],
            self.stride,
            self.padding,
            self.dilation,
            False,
            [0, 0],
            self.groups,
            wanted,
        )
        return gradients


class _Convolution(torch.autograd.Function):
    """A convolution whose gradient is `_Gradients`."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, geometry: _Geometry) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.geometry = geometry
        return geometry.convolve(images, weight, bias)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        return *_Gradients.apply(slope, images, weight, ctx.geometry, ctx.needs_input_grad[:3]), None


class _Gradients(torch.autograd.Function):
    """The gradients of a convolution, bilinear in slope, images and weight."""

    @staticmethod
    def forward(
        ctx: Any, slope: Tensor, images: Tensor, weight: Tensor, geometry: _Geometry, wanted: tuple[bool, bool, bool]
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        ctx.save_for_backward(slope, images, weight)
        ctx.geometry = geometry
        ctx.set_materialize_grads(False)
        return geometry.gradients(slope, images, weight, wanted)

    @staticmethod
    def backward(
        ctx: Any, by_images: Tensor | None, by_weight: Tensor | None, by_bias: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """Apply the product rule to ⟨by_images, ∂images⟩ + ⟨by_weight, ∂weight⟩ + ⟨by_bias, ∂bias⟩."""
        slope, images, weight = ctx.saved_tensors
        geometry: _Geometry = ctx.geometry
        slope_wanted, images_wanted, weight_wanted = ctx.needs_input_grad[:3]
        terms = []
        if slope_wanted:
            if by_images is not None:
                terms.append(geometry.convolve(by_images, weight, by_bias))
            elif by_bias is not None:
                terms.append(by_bias[:, None, None].expand_as(slope))
            if by_weight is not None:
                terms.append(geometry.convolve(images, by_weight))
        to_slope = torch.stack(terms).sum(0) if len(terms) > 2 else sum(terms[1:], terms[0]) if terms else None
        to_images = to_weight = None
        if images_wanted and by_weight is not None:
            to_images = geometry.gradients(slope, images, by_weight, (True, False, False))[0]
        if weight_wanted and by_images is not None:
            to_weight = geometry.gradients(slope, by_images, weight, (False, True, False))[1]
        return to_slope, to_images, to_weight, None, None


class FastSecondDerivatives(TorchFunctionMode):
    """A mode under which 2-D convolutions are recorded so that their second derivatives are fast.

    The values and all derivatives are the same; from the third on they cost what autograd's own cost.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        arguments = _arguments(*args, **(kwargs or {})) if func is torch.conv2d else None
        return _Convolution.apply(*arguments) if arguments else func(*args, **(kwargs or {}))


def _arguments(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> tuple[Tensor, Tensor, Tensor | None, _Geometry] | None:
    """The arguments of `_Convolution` for those of `torch.conv2d`; None for padding by name and a single image."""
    if isinstance(padding, str) or input.dim() != 4:
        return None
    return input, weight, bias, _Geometry(_pair(stride), _pair(padding), _pair(dilation), groups)


def _pair(value: int | Sequence[int]) -> list[int]:
    pair = [value] if isinstance(value, int) else list(value)
    return pair * 2 if len(pair) == 1 else pair
