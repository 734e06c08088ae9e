"""Whether a network can be differentiated twice, and whether finite differences can stand in for it.

Autograd trusts every module. A module with an autograd function of its own can have right gradients and wrong second
derivatives, and no error is raised: training goes on, along some other direction.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeGuard

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from ..core.errors import one_line
from .episode import Batch
from .gradients import (
    STEP,
    Function,
    Hessian,
    central_difference,
    derivative,
    finite_difference_product,
    gradient_and_difference,
    gradient_and_hessian,
    hessian_vector_product,
    mean_over_batches,
    second_derivative,
)
from .objective import Objective
from .params import Params, add_scaled, length, norm, subtract

STEPS = (1e-6, 1e-7, 1e-8, 1e-9)
"""Steps of the sweep, as shares of ‖θ‖: one of them crosses no kink of a leaky ReLU."""
TOLERANCE = 1e-5
"""Relative error from which a product is wrong: sound networks stay below 1e-8, wrong ones above 1e-3
(docs/method.md)."""
SPREAD = 0.1
"""Distance of the checked parameters from the network's own, as a share of their root mean square."""
SHORTEST_STEP = 1e-9
"""The step, in float64, of the finite difference that crosses no kink, as a share of ‖θ‖."""
KINK_TOLERANCE = 1e-2
"""Relative error from which kinks spoil a finite difference."""
PROBED_IMAGES = 2
"""The number of images of a batch that finite differences are probed on: float64 takes twice the memory."""
TINY = 16
"""Height and width of the images that a network is checked on before training, in pixels."""


class SecondOrderError(ValueError):
    """Error for a module whose second derivatives are wrong or cannot be computed.

    Args:
        module: the qualified name of the submodule; empty for the network itself.
        kind: the name of the module's class.
        fault: the fault in words, to follow the name in the message.
        error: the relative error of a Hessian-vector product of the whole network; infinite if it has no such product.
    """

    def __init__(self, module: str, kind: str, fault: str, error: float):
        self.module = module
        self.error = error
        super().__init__(f"second derivatives of {module or 'the network itself'} ({kind}) {fault}")


class _Float64(TorchFunctionMode):
    """A mode that gives float64 where a network asks for float32, as some do around a Fourier transform or softmax."""

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        def in_double(value: object) -> object:
            return torch.float64 if value is torch.float32 else value

        if func is Tensor.float:
            func = Tensor.double
        result = func(*map(in_double, args), **{key: in_double(value) for key, value in (kwargs or {}).items()})
        return result.double() if isinstance(result, Tensor) and result.dtype is torch.float32 else result


@torch.enable_grad()
def check_second_order(network: nn.Module, input_shape: tuple[int, ...]) -> float:
    """Measure the relative error of autograd's second derivatives of a network.

    A Hessian-vector product over all trainable parameters, of the mean square error against a random target, is
    compared with central differences of gradients over a sweep of steps. If no step makes the two agree, every
    submodule is compared in the same way, over its parameters and its input together, in the order in which the
    submodules finished; the first that disagrees is named.

    All this happens in float64, in evaluation mode, on a copy whose parameters are moved a little at random:
    networks often start from zeros (NAFNet's residual weights), which would hide faults in the factors that they
    multiply. The network itself is left as it is.

    Args:
        network: the network.
        input_shape: (B, C, H, W) of the random input in [0, 1]; best tiny: short steps then cross no kink, so that
            networks with leaky ReLU pass.

    Returns:
        The relative error, at most `TOLERANCE`.

    Raises:
        SecondOrderError: the second derivatives are wrong or cannot be computed.
        Exception: any error that the network raises for an input of `input_shape`.
    """
    draws = torch.Generator().manual_seed(0)
    perturbed = _perturbed_copy(network, draws)
    image = torch.rand(input_shape, generator=draws, dtype=torch.float64)
    device = next((parameter.device for parameter in perturbed.parameters()), image.device)
    with _Float64():
        calls = _calls(perturbed, image.to(device))
        whole = calls[-1]
        error, fault = _compare(whole, whole.parameters)
        if not fault:
            return error
        for call in calls:
            _, module_fault = _compare(call, {**call.parameters, **call.inputs})
            if module_fault:
                raise SecondOrderError(call.name, type(call.module).__name__, module_fault, error)
    raise SecondOrderError("", type(network).__name__, fault, error)


def check_finite_differences(objective: Objective, params: Params, batch: Batch) -> None:
    """Refuse an objective with kinks that make `finite_difference_product` differ from the second derivative.

    A finite difference counts the kinks within its step as curvature. An agreement of two step lengths proves nothing:
    thousands of kinks act as the same curvature on both. So the product that training would use, in the dtype of
    training, along the gradient, on the first images of the batch, is compared with a product in float64 over a step
    too short to cross a kink; nothing is differentiated twice. The loss alone is compared as well, at the point that
    training leads to: restored images that equal the clean ones.

    Raises:
        ValueError: where the loss has a kink, or where the product is off by more than `KINK_TOLERANCE`.
    """
    first = [images[:PROBED_IMAGES] for images in (batch.distorted, batch.clean)]
    network = _double_copy(objective.network)
    device = next((parameter.device for parameter in network.parameters()), first[0].device)
    distorted, clean = (images.to(device, torch.float64) for images in first)

    def as_trained(point: Params) -> Tensor:
        return objective.loss(functional_call(objective.network, dict(point), (first[0],)), first[1])

    def in_double(point: Params) -> Tensor:
        with _Float64():
            return objective.loss(functional_call(network, dict(point), (distorted,)), clean)

    def loss_alone(point: Params) -> Tensor:
        return objective.loss(point["restored"], clean)

    noise = {"restored": _noise_like(clean, torch.Generator().manual_seed(0))}
    ends = [central_difference(loss_alone, {"restored": clean}, noise, step) for step in (STEP, SHORTEST_STEP)]
    if _relative_error(*ends) > KINK_TOLERANCE:
        raise ValueError("finite differences need a smooth loss, such as l2 or huber: this one has a kink")
    vector = derivative(as_trained, params)
    product = central_difference(as_trained, params, vector, STEP)
    expected = central_difference(in_double, _like(clean, params), _like(clean, vector), SHORTEST_STEP)
    error = _relative_error(_like(clean, product), expected)
    if error > KINK_TOLERANCE:
        raise ValueError(
            f"finite differences are off by {100 * error:.3g} %, where {100 * KINK_TOLERANCE:g} % is allowed: "
            "the network has kinks; use hvp=exact or a first-order method"
        )


def _like(images: Tensor, point: Params) -> Params:
    return {name: value.to(images.device, images.dtype) for name, value in point.items()}


def _check_exact(objective: Objective, params: Params, batch: Batch) -> None:
    """Refuse a network that fails `check_second_order` on a tiny image, or one product in the dtype of training.

    The product in the dtype of training is needed since some kernels are twice differentiable in float64 alone.
    """
    tiny = batch.distorted[:1, :, :TINY, :TINY]
    try:
        check_second_order(objective.network, tuple(tiny.shape))
        second_derivative(
            lambda point: functional_call(objective.network, dict(point), (tiny,)).square().mean(), params, params
        )
    except (SecondOrderError, RuntimeError) as error:
        reason = one_line(error)
        raise ValueError(f"{reason}; use hvp=finite-difference and a smooth loss, or a first-order method") from error


class HessianProduct(NamedTuple):
    """A way to compute a gradient and products with the Hessian on the same batch.

    Attributes:
        expand: the function that computes ∇_θ L at `params` on one batch, and makes the function v ↦ H v, H = ∇²_θ L,
            which may be called once.
        product: the function that computes H v alone.
        check: a function that raises ValueError for an objective that the way does not suit.
    """

    expand: Callable[[Objective, Params, Batch], tuple[Params, Hessian]]
    product: Callable[[Objective, Params, Batch, Params], Params]
    check: Callable[[Objective, Params, Batch], None]

    def mean(self, objective: Objective, params: Params, batches: Sequence[Batch], vector: Params) -> Params:
        """H̄ v with H̄ the mean Hessian over batches, one at a time, so that memory does not grow with the batches."""
        return mean_over_batches(
            objective, params, batches, lambda here, batch: self.product(here, params, batch, vector)
        )


def through_step(vector: Params, product: Params, alpha: float) -> tuple[Params, Tensor]:
    """Carry a gradient at φ back to θ, through a virtual step φ = θ − α ∇L(θ).

    Args:
        vector: v, the gradient at φ.
        product: H v with H = ∇²L at θ.
        alpha: α, the learning rate of the step.

    Returns:
        (I − αH) v, and the weight of the Hessian in it, α‖Hv‖ / ‖v‖.
    """
    return add_scaled(vector, -alpha, product), alpha * length(product) / length(vector).clamp_min(1e-12)


Hvp = Literal["exact", "finite-difference"]
HESSIAN_PRODUCTS: dict[Hvp, HessianProduct] = {
    "exact": HessianProduct(gradient_and_hessian, hessian_vector_product, _check_exact),
    "finite-difference": HessianProduct(gradient_and_difference, finite_difference_product, check_finite_differences),
}
"""The Hessian-vector products by the names that the setting `hvp` of second-order methods takes."""


def hessian_product(owner: str, hvp: Hvp, order: int) -> HessianProduct:
    """The Hessian-vector product that the setting `hvp` names.

    Args:
        owner: the name of the method, for the message.
        hvp: `exact` or `finite-difference`.
        order: the order of the method, 1 or 2; a method of order 1 computes no such product.

    Raises:
        ValueError: `hvp` is unknown, or not the default though the order is 1.
    """
    if hvp not in HESSIAN_PRODUCTS:
        raise ValueError(f"{owner}: hvp {hvp!r}: {' or '.join(HESSIAN_PRODUCTS)}")
    if order == 1 and hvp != "exact":
        raise ValueError(f"{owner}: order 1 has no Hessian-vector products to take by {hvp}")
    return HESSIAN_PRODUCTS[hvp]


@dataclass(frozen=True)
class _Call:
    """One call of a submodule, usable as a scalar function of the submodule's parameters and inputs."""

    name: str
    module: nn.Module
    arguments: dict[int | str, Any]  # by position and by keyword

    @property
    def parameters(self) -> Params:
        """The trainable parameters of the submodule, detached."""
        return {name: p.detach() for name, p in self.module.named_parameters() if p.requires_grad}

    @property
    def inputs(self) -> Params:
        """The inputs plus positive noise of `SPREAD`: equal zeros after a ReLU would be kinks of a following maximum.

        The noise is never negative, since a root or a logarithm may follow.
        """
        draws = torch.Generator().manual_seed(3)
        return {
            f"input {key}": value + SPREAD * _noise_like(value, draws).abs()
            for key, value in self.arguments.items()
            if _is_real(value) and value.isfinite().all()
        }

    def __call__(self, point: Params) -> Tensor:
        """The mean square error of the submodule's output against a random target."""
        # Copies, since a module that works in place would change its inputs.
        arguments = {
            key: point.get(f"input {key}", value).clone() if isinstance(value, Tensor) else value
            for key, value in self.arguments.items()
        }
        parameters = {name: value for name, value in point.items() if not name.startswith("input ")}
        returned = functional_call(
            self.module,
            parameters,
            tuple(value for key, value in arguments.items() if isinstance(key, int)),
            {key: value for key, value in arguments.items() if isinstance(key, str)},
        )
        draws = torch.Generator().manual_seed(1)
        error = torch.zeros((), dtype=torch.float64)
        for output in _tensors(returned):
            target = torch.randn(output.shape, generator=draws, dtype=torch.float64).to(output.device)
            error = error.to(output.device) + (output - target).square().mean()
        return error


def _perturbed_copy(network: nn.Module, draws: torch.Generator) -> nn.Module:
    """A copy in float64 and evaluation mode, with noise on the parameters: `SPREAD` of their size, or of 1 if zero."""
    perturbed = _double_copy(network)
    with torch.no_grad():
        for parameter in perturbed.parameters():
            if _is_real(parameter):
                parameter.add_(SPREAD * _noise_like(parameter, draws))
    return perturbed


def _double_copy(network: nn.Module) -> nn.Module:
    """A copy in float64 and evaluation mode, on the same device if the device supports float64."""
    double = copy.deepcopy(network)
    if any(parameter.device.type == "mps" for parameter in double.parameters()):
        double = double.cpu()
    return double.double().eval()


def _noise_like(tensor: Tensor, draws: torch.Generator) -> Tensor:
    """Normal noise of the same root mean square as the tensor, or of 1 for a tensor of zeros."""
    size = float(tensor.detach().square().mean().sqrt()) if tensor.numel() else 0.0
    return (size or 1.0) * torch.randn(tensor.shape, generator=draws, dtype=torch.float64).to(tensor)


def _calls(network: nn.Module, image: Tensor) -> list[_Call]:
    """The first call of every submodule, in the order in which they finish; the network itself is last."""
    arguments: dict[str, dict[int | str, Any]] = {}
    finished: dict[str, _Call] = {}

    def note(name: str) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            values: list[tuple[int | str, Any]] = [*enumerate(args), *kwargs.items()]
            arguments.setdefault(name, {key: v.detach().clone() if isinstance(v, Tensor) else v for key, v in values})

        return hook

    def finish(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, args: object, returned: object) -> None:
            finished.setdefault(name, _Call(name, module, arguments[name]))

        return hook

    handles = []
    for name, module in network.named_modules():
        handles.append(module.register_forward_pre_hook(note(name), with_kwargs=True))
        handles.append(module.register_forward_hook(finish(name)))
    with torch.no_grad():
        network(image)
    for handle in handles:
        handle.remove()
    return list(finished.values())


def _compare(function: Function, point: Params) -> tuple[float, str]:
    """The relative error of autograd's second derivatives of a function at a point, and the fault, empty if none."""
    if not point:
        return 0.0, ""
    draws = torch.Generator().manual_seed(2)
    vector = {name: _noise_like(value, draws) for name, value in point.items()}
    try:
        exact = second_derivative(function, point, vector)
    except RuntimeError as error:  # written over in place, or not implemented
        return math.inf, f"cannot be computed: {one_line(error)}"
    least = math.inf
    for step in STEPS:
        least = min(least, _relative_error(exact, central_difference(function, point, vector, step)))
        if least <= TOLERANCE:
            return least, ""
    return least, f"are wrong, by {100 * least:.3g} %" if least < math.inf else "are no finite numbers"


def _relative_error(a: Params, b: Params) -> float:
    """‖a − b‖ as a share of the greater norm; zero where a equals b, infinite where a number is not finite."""
    distance = norm(subtract(a, b))
    if not math.isfinite(distance):
        return math.inf
    return distance / max(norm(a), norm(b)) if distance else 0.0


def _is_real(value: object) -> TypeGuard[Tensor]:
    return isinstance(value, Tensor) and value.is_floating_point()


def _tensors(returned: object) -> Iterator[Tensor]:
    """The floating-point tensors in the output of a module, in tuples, lists and dictionaries too."""
    if isinstance(returned, Tensor) and returned.is_floating_point():
        yield returned
    elif isinstance(returned, dict):
        yield from _tensors(list(returned.values()))
    elif isinstance(returned, list | tuple):
        for item in returned:
            yield from _tensors(item)
