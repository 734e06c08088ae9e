"""Whether a network can be differentiated twice, and whether finite differences can stand in for it.

Autograd takes every module at its word. A module with an autograd function of its own can have right gradients
and wrong second derivatives, and nothing tells: training goes on, along some other direction.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeGuard

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from .gradients import (
    STEP,
    derivative,
    finite_difference_product,
    hessian_vector_product,
    norm,
    params_difference,
    second_derivative,
)

if TYPE_CHECKING:  # the methods import this module
    from .episode import Batch, Params
    from .gradients import Function
    from .objective import Objective

STEPS = (1e-6, 1e-7, 1e-8, 1e-9)
"""Steps of the sweep, as shares of ‖θ‖: one of them crosses no kink of a leaky ReLU."""
TOLERANCE = 1e-5
"""Relative error from which a product is wrong: sound networks stay below 1e-8, wrong ones above 1e-3
(docs/method.md)."""
SPREAD = 0.1
"""How far off a network's own parameters the check stands, as a share of their root mean square."""
SHORTEST = 1e-9
"""The step, in float64, of the finite difference that crosses no kink."""
SPOILT = 1e-2
"""Relative error from which kinks spoil a finite difference."""
PROBED = 2
"""How many images of a batch finite differences are probed on: float64 takes twice the memory."""
TINY = 16
"""Height and width of the images that a network is checked on before training, in pixels."""


class SecondOrderError(ValueError):
    """Second derivatives of `module` are wrong or cannot be had.

    module: the qualified name of a submodule; empty for the network itself.
    error: relative error of a Hessian-vector product of the whole network; infinite where there is none.
    """

    def __init__(self, module: str, kind: str, fault: str, error: float):
        self.module = module
        self.error = error
        super().__init__(f"second derivatives of {module or 'the network itself'} ({kind}) {fault}")


class _Float64(TorchFunctionMode):
    """Float64 also where a network asks for float32 by name, as some do around a Fourier transform or a softmax."""

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        def in_double(value: object) -> object:
            return torch.float64 if value is torch.float32 else value

        if func is Tensor.float:
            func = Tensor.double
        made = func(*map(in_double, args), **{key: in_double(value) for key, value in (kwargs or {}).items()})
        return made.double() if isinstance(made, Tensor) and made.dtype is torch.float32 else made


@torch.enable_grad()
def check_second_order(network: nn.Module, input_shape: tuple[int, ...]) -> float:
    """The relative error of autograd's second derivatives of a network, at most `TOLERANCE`.

    input_shape: (B, C, H, W) of the random image in [0, 1] that the network is given, better tiny: short steps
        then cross no kink, so that networks with leaky ReLU pass.

    A Hessian-vector product over all trainable parameters, of the mean square error against a random target, is
    compared with central differences of gradients over a sweep of steps. If no step makes the two agree, every
    submodule is compared on the input that it got, over its parameters and that input together, in the order in
    which they finished; the first that disagrees is named.

    All of it happens in float64, in evaluation mode, on a copy whose parameters are moved a little at random:
    networks often start from zeros (NAFNet's residual weights) that hide what they are multiplied with. The
    network itself is left as it is.
    Raises SecondOrderError where the second derivatives are wrong or cannot be had, and what the network raises
    where it cannot take `input_shape`.
    """
    draws = torch.Generator().manual_seed(0)
    moved = _moved(network, draws)
    image = torch.rand(input_shape, generator=draws, dtype=torch.float64)
    device = next((parameter.device for parameter in moved.parameters()), image.device)
    with _Float64():
        calls = _calls(moved, image.to(device))
        whole = calls[-1]
        error, fault = _compare(whole, whole.parameters)
        if not fault:
            return error
        for call in calls:
            _, found = _compare(call, {**call.parameters, **call.inputs})
            if found:
                raise SecondOrderError(call.name, type(call.module).__name__, found, error)
    raise SecondOrderError("", type(network).__name__, fault, error)


def check_finite_differences(objective: Objective, params: Params, batch: Batch) -> None:
    """Raises ValueError where `finite_difference_product` is no second derivative, because of kinks.

    A finite difference counts the kinks within its step as curvature. That two such steps agree proves nothing:
    thousands of kinks look like the same curvature to both. So the product that training would use, in its dtype,
    along the gradient, on the first images of the batch, is compared with one in float64 over a step too short to
    meet a kink; nothing is differentiated twice. The loss is compared by itself as well, where training leads to:
    at restored images that equal the clean ones.
    """
    few = [images[:PROBED] for images in (batch.distorted, batch.clean)]
    network = _double(objective.network)
    device = next((parameter.device for parameter in network.parameters()), few[0].device)
    distorted, clean = (images.to(device, torch.float64) for images in few)

    def as_trained(point: Params) -> Tensor:
        return objective.loss(functional_call(objective.network, dict(point), (few[0],)), few[1])

    def in_double(point: Params) -> Tensor:
        with _Float64():
            return objective.loss(functional_call(network, dict(point), (distorted,)), clean)

    def loss_alone(point: Params) -> Tensor:
        return objective.loss(point["restored"], clean)

    noise = {"restored": _noise_like(clean, torch.Generator().manual_seed(0))}
    ends = [params_difference(loss_alone, {"restored": clean}, noise, step) for step in (STEP, SHORTEST)]
    if _distance(*ends) > SPOILT:
        raise ValueError("finite differences need a smooth loss, such as l2 or huber: this one has a kink")
    vector = derivative(as_trained, params)
    found = params_difference(as_trained, params, vector, STEP)
    expected = params_difference(in_double, _like(clean, params), _like(clean, vector), SHORTEST)
    error = _distance(_like(clean, found), expected)
    if error > SPOILT:
        raise ValueError(
            f"finite differences are off by {100 * error:.3g} %, where {100 * SPOILT:g} % is allowed: "
            "the network has kinks; use hvp=exact or a first-order method"
        )


def _like(images: Tensor, point: Params) -> Params:
    return {name: value.to(images.device, images.dtype) for name, value in point.items()}


def _check_exact(objective: Objective, params: Params, batch: Batch) -> None:
    """`check_second_order` on a tiny image; and once as trained, since some kernels of float32 are differentiable once
    and those of float64 twice."""
    tiny = batch.distorted[:1, :, :TINY, :TINY]
    try:
        check_second_order(objective.network, tuple(tiny.shape))
        second_derivative(
            lambda point: functional_call(objective.network, dict(point), (tiny,)).square().mean(), params, params
        )
    except (SecondOrderError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{reason}; use hvp=finite-difference and a smooth loss, or a first-order method") from error


class Product(Protocol):
    """H v at `params` on one batch, H = ∇²_θ L."""

    def __call__(self, objective: Objective, params: Params, batch: Batch, vector: Params) -> Params: ...


class HessianProduct(NamedTuple):
    """A way to a Hessian-vector product, and what refuses, with a ValueError, an objective that it does not suit."""

    product: Product
    check: Callable[[Objective, Params, Batch], None]


HESSIAN_PRODUCTS = {
    "exact": HessianProduct(hessian_vector_product, _check_exact),
    "finite-difference": HessianProduct(finite_difference_product, check_finite_differences),
}
"""What the setting `hvp` of second-order methods names."""


@dataclass(frozen=True)
class _Call:
    """What a submodule was called with, and with it a scalar function of its parameters and inputs."""

    name: str
    module: nn.Module
    arguments: dict[int | str, Any]  # by place and by keyword

    @property
    def parameters(self) -> Params:
        return {name: p.detach() for name, p in self.module.named_parameters() if p.requires_grad}

    @property
    def inputs(self) -> Params:
        """The inputs, off by up to `SPREAD`: zeros out of a ReLU are ties, hence kinks, for what takes a maximum.
        Upwards only, since a root or a logarithm may follow."""
        draws = torch.Generator().manual_seed(3)
        return {
            f"input {key}": value + SPREAD * _noise_like(value, draws).abs()
            for key, value in self.arguments.items()
            if _is_real(value) and value.isfinite().all()
        }

    def __call__(self, point: Params) -> Tensor:
        """The mean square error of what the submodule returns, against a random target."""
        # Copies, since a module that works in place would change what it was given.
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


def _moved(network: nn.Module, draws: torch.Generator) -> nn.Module:
    """A copy in float64 and evaluation mode, its parameters off by `SPREAD` at random, where zero by that much of 1."""
    moved = _double(network)
    with torch.no_grad():
        for parameter in moved.parameters():
            if _is_real(parameter):
                parameter.add_(SPREAD * _noise_like(parameter, draws))
    return moved


def _double(network: nn.Module) -> nn.Module:
    """A copy in float64 and evaluation mode, on the same device if that knows float64."""
    made = copy.deepcopy(network)
    if any(parameter.device.type == "mps" for parameter in made.parameters()):
        made = made.cpu()
    return made.double().eval()


def _noise_like(tensor: Tensor, draws: torch.Generator) -> Tensor:
    """Normal noise, its root mean square that of the tensor, or 1 where that is zero."""
    size = float(tensor.detach().square().mean().sqrt()) if tensor.numel() else 0.0
    return (size or 1.0) * torch.randn(tensor.shape, generator=draws, dtype=torch.float64).to(tensor)


def _calls(network: nn.Module, image: Tensor) -> list[_Call]:
    """The first call of every submodule, in the order in which they finish; the network itself is last."""
    given: dict[str, dict[int | str, Any]] = {}
    finished: dict[str, _Call] = {}

    def note(name: str) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            values: list[tuple[int | str, Any]] = [*enumerate(args), *kwargs.items()]
            given.setdefault(name, {key: v.detach().clone() if isinstance(v, Tensor) else v for key, v in values})

        return hook

    def finish(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, args: object, returned: object) -> None:
            finished.setdefault(name, _Call(name, module, given[name]))

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
    """How far off autograd's second derivatives of a function are at a point, and what is wrong, if anything is."""
    if not point:
        return 0.0, ""
    draws = torch.Generator().manual_seed(2)
    vector = {name: _noise_like(value, draws) for name, value in point.items()}
    try:
        exact = second_derivative(function, point, vector)
    except RuntimeError as error:  # written over in place, or not implemented
        return math.inf, f"cannot be had: {' '.join(str(error).split())}"
    least = math.inf
    for step in STEPS:
        least = min(least, _distance(exact, params_difference(function, point, vector, step)))
        if least <= TOLERANCE:
            return least, ""
    return least, f"are wrong, by {100 * least:.3g} %" if least < math.inf else "are no finite numbers"


def _distance(a: Params, b: Params) -> float:
    """‖a − b‖ as a share of the greater norm; zero for two zeros, infinite where a number is not finite."""
    apart = norm({name: a[name] - b[name] for name in a})
    if not math.isfinite(apart):
        return math.inf
    return apart / max(norm(a), norm(b)) if apart else 0.0


def _is_real(value: object) -> TypeGuard[Tensor]:
    return isinstance(value, Tensor) and value.is_floating_point()


def _tensors(returned: object) -> Iterator[Tensor]:
    """The real tensors in what a module returned."""
    if isinstance(returned, Tensor) and returned.is_floating_point():
        yield returned
    elif isinstance(returned, dict):
        yield from _tensors(list(returned.values()))
    elif isinstance(returned, list | tuple):
        for item in returned:
            yield from _tensors(item)
