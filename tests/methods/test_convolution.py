"""Second derivatives of convolutions against autograd's own, and their use in Hessian-vector products."""

import pytest
import torch
from torch import Tensor, nn

from unseen.methods.convolution import FastSecondDerivatives


def second_derivatives(layer: nn.Module, images: Tensor) -> list[Tensor]:
    """The Hessian of a sum of cubes by images and weights, times a vector; then the gradient of the same sum."""
    leaves = [images.requires_grad_(), *layer.parameters()]
    slope = torch.autograd.grad((layer(images) ** 3).sum(), leaves, create_graph=True)
    draws = torch.Generator().manual_seed(1)
    vector = [torch.randn(leaf.shape, generator=draws, dtype=leaf.dtype) for leaf in leaves]
    return [*torch.autograd.grad(slope, leaves, vector), *slope]


@pytest.mark.parametrize(
    "settings",
    [
        {"padding": 1},
        {"padding": 1, "bias": False},
        {"padding": 1, "padding_mode": "reflect"},
        {"padding": "same"},
        {"stride": 2, "padding": 1},
        {"dilation": 2},
        {"groups": 2},
    ],
    ids=str,
)
def test_second_derivatives_of_convolutions_are_those_of_autograd(settings: dict[str, object]) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(4, 6, 3, **settings), nn.Softplus(), nn.Conv2d(6, 2, 1)).double()  # type: ignore[arg-type]
    images = torch.rand(2, 4, 9, 10, dtype=torch.float64)
    expected = second_derivatives(network, images)
    with FastSecondDerivatives():
        actual = second_derivatives(network, images)
    for result, truth in zip(actual, expected, strict=True):
        torch.testing.assert_close(result, truth, rtol=1e-12, atol=1e-12)


def test_layers_that_are_frozen_or_fed_by_constants_have_second_derivatives_too() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 1, 3)).double()
    network[1].weight.requires_grad_(False)
    weights = [parameter for parameter in network.parameters() if parameter.requires_grad]
    images = torch.rand(1, 3, 8, 8, dtype=torch.float64)

    def product() -> list[Tensor]:
        slope = torch.autograd.grad((network(images) ** 3).sum(), weights, create_graph=True)
        return list(torch.autograd.grad(slope, weights, [torch.ones_like(weight) for weight in weights]))

    expected = product()
    with FastSecondDerivatives():
        actual = product()
    for result, truth in zip(actual, expected, strict=True):
        torch.testing.assert_close(result, truth, rtol=1e-12, atol=1e-12)


def test_third_derivatives_are_those_of_autograd() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(1, 2, 3).double()
    images = torch.rand(1, 1, 5, 5, dtype=torch.float64, requires_grad=True)

    def third() -> Tensor:
        (first,) = torch.autograd.grad((layer(images) ** 4).sum(), images, create_graph=True)
        (second,) = torch.autograd.grad((first**2).sum(), layer.weight, create_graph=True)
        return torch.autograd.grad((second**2).sum(), layer.weight)[0]

    expected = third()
    with FastSecondDerivatives():
        torch.testing.assert_close(third(), expected, rtol=1e-12, atol=1e-12)
