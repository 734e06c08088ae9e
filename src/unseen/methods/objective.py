"""The objective L(f_θ(I_d), I_c) as a pure function of the parameters."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.shares import ALONE, Shares
from .episode import Batch
from .params import Params

Loss = Callable[[Tensor, Tensor], Tensor]
"""A loss of (restored, clean), both (B, C, H, W): a scalar."""
Change = Callable[[Tensor], Tensor]
"""A function from features to the features that replace them, of the same shape."""

ROUNDING_MSE = 1 / (12 * 255**2)
"""The mean squared error that rounding to 8 bits makes, of values in [0, 1]: 58.9 dB."""


def log_mse(restored: Tensor, clean: Tensor) -> Tensor:
    """The mean over images of log(squared error + `ROUNDING_MSE`), so that weak and strong noise weigh alike.

    A mean over all images at once would be ruled by those of the strongest noise.

    Args:
        restored: restored images, (B, C, H, W).
        clean: the images that they should be.
    """
    return ((restored - clean).square().flatten(1).mean(1) + ROUNDING_MSE).log().mean()


def sqrt_rmse(restored: Tensor, clean: Tensor) -> Tensor:
    """The mean over images of the square root of the root mean squared error (`ROUNDING_MSE` added to the square).

    Between `l2`, which strong noise rules, and `log_mse`, under which a network learns for long to change nothing,
    before it removes any noise: an image of a hundredth of the error weighs a tenth in the loss, and ten times as much
    for each gray level.

    Args:
        restored: restored images, (B, C, H, W).
        clean: the images that they should be.
    """
    return ((restored - clean).square().flatten(1).mean(1) + ROUNDING_MSE).pow(0.25).mean()


LOSSES: dict[str, Loss] = {
    "l1": F.l1_loss,
    "l2": F.mse_loss,
    "huber": F.smooth_l1_loss,
    "log_mse": log_mse,
    "sqrt_rmse": sqrt_rmse,
}


@dataclass
class Tally:
    """The work of an objective since the tally was last cleared.

    Attributes:
        images: one for each image of each forward pass, and one more for each image of a second backward pass. Divided
            by the batch size: the number of *gradient evaluations*.
        calls: the number of losses computed.
        loss: the sum of these losses.
    """

    images: int = 0
    calls: int = 0
    loss: Tensor | float = 0.0


Places = Mapping[str, Sequence[tuple[dict[str, nn.Parameter | None], str]]]
"""Where each parameter hangs in a network: its modules' dictionaries, with its key there; several where it is tied."""


@runtime_checkable
class HasOwnLoss(Protocol):
    """A network that has a loss of its own, on what it computes beside the restored images."""

    def own_loss(self, distorted: Tensor, clean: Tensor) -> Tensor:
        """The mean over images of the loss of what the network computes of `distorted`, a scalar."""


class Objective:
    """The loss of a network at given parameters on a batch of pairs: `objective(params, batch) -> scalar`.

    A network's own loss (`HasOwnLoss`) is added to that of the restored images.

    The value depends on the arguments alone; parameters that `params` does not name keep the network's own
    values. `tally` counts the evaluations, so that methods can be compared at equal budgets.

    Args:
        network: maps (B, C, H, W) to restored images.
        loss: a function of (restored, clean) that gives a scalar.
        accumulate: the number of equal pieces of a batch of which gradients and products are computed, one after
            another, and averaged: the memory is that of one piece. The loss must then be a mean over images.
        bf16: whether the network multiplies in bfloat16 (torch.autocast). Parameters, restored images, loss and
            gradients stay in their own type, and second derivatives are computed in it: see `exact`.
        shares: the share of every batch that is here. Losses are of this share; gradients and products of
            `unseen.methods.gradients` are means over all shares. The loss must then be a mean over images.

    Attributes:
        tally: the evaluations since `take_tally` was last called.
    """

    def __init__(self, network: nn.Module, loss: Loss, accumulate: int = 1, bf16: bool = False, shares: Shares = ALONE):
        self.network = network
        self.loss = loss
        self.accumulate = accumulate
        self.bf16 = bf16
        self.shares = shares
        self.tally = Tally()
        self._last: nn.Module | None = None
        self._places = _places_of(network)

    def restore(self, params: Params, batch: Batch, at_last: Change | None = None) -> Tensor:
        """Restore a batch: f_params(I_d). The tally counts the pass, as a gradient is expected to follow.

        Args:
            params: the parameters θ.
            batch: the batch, of which only the distorted images are used.
            at_last: a function from the input of the network's last layer, (B, ...) as that layer takes it, to the
                input that the layer gets instead: to observe features, or to change them.

        Returns:
            Restored images, shaped as `batch.clean`.
        """
        self.tally.images += len(batch)
        if at_last is None:
            return self._forward(params, batch)
        last = self._last_layer(params, batch)
        hook = last.register_forward_pre_hook(lambda layer, inputs: (at_last(inputs[0]), *inputs[1:]))
        try:
            return self._forward(params, batch)
        finally:
            hook.remove()

    def features(self, params: Params, batch: Batch) -> Tensor:
        """The input of the network's last layer for a batch, (B, ...) as that layer takes it; counted as a pass."""
        return self.restore_with_features(params, batch)[1]

    def restore_with_features(self, params: Params, batch: Batch) -> tuple[Tensor, Tensor]:
        """Restored images and the input of the last layer, in one forward pass, counted once."""
        features: list[Tensor] = []

        def keep(inputs: Tensor) -> Tensor:
            features.append(inputs)
            return inputs

        restored = self.restore(params, batch, keep)
        return restored, features[0].to(restored.dtype)

    def judge(self, params: Params, restored: Tensor, batch: Batch) -> Tensor:
        """The loss of images that `restore` returned for a batch at `params`, with the network's own if it has one.

        A scalar; the tally adds it to the losses.
        """
        value = self.loss(restored, batch.clean)
        if isinstance(self.network, HasOwnLoss):
            with self._at(params, batch):
                value = value + self.network.own_loss(batch.distorted, batch.clean)
        self.tally.calls += 1
        self.tally.loss = self.tally.loss + value.detach()
        return value

    def _last_layer(self, params: Params, batch: Batch) -> nn.Module:
        """The layer with trainable weights that runs last, which need not be the one that was registered last.

        Determined at the first call, by a forward pass that is not counted.
        """
        if self._last is None:
            run: list[nn.Module] = []
            layers = [m for m in self.network.modules() if any(p.requires_grad for p in m.parameters(recurse=False))]
            hooks = [m.register_forward_hook(lambda layer, inputs, output: run.append(layer)) for m in layers]
            try:
                with torch.no_grad():
                    self._forward(params, batch)
            finally:
                for hook in hooks:
                    hook.remove()
            self._last = run[-1]
        return self._last

    @contextmanager
    def _at(self, params: Params, batch: Batch) -> Iterator[None]:
        """Give the network the parameters, and its precision, for the `with` body."""
        # No cache of weights in bfloat16: a captured graph must cast them anew at each replay.
        kind = batch.distorted.device.type
        precision = torch.autocast(kind, torch.bfloat16, cache_enabled=False) if self.bf16 else nullcontext()
        with precision, _replaced(self._places, params):
            yield

    def _forward(self, params: Params, batch: Batch) -> Tensor:
        with self._at(params, batch):
            restored: Tensor = self.network(batch.distorted)
        return restored.to(batch.clean.dtype) if self.bf16 else restored

    def __call__(self, params: Params, batch: Batch, at_last: Change | None = None) -> Tensor:
        """The loss at `params` on a batch, its features changed by `at_last` if given; counted in the tally."""
        return self.judge(params, self.restore(params, batch, at_last), batch)

    def uncounted(self) -> Objective:
        """The same objective with a tally of its own, for work outside of the budget."""
        other = copy.copy(self)
        other.tally = Tally()
        return other

    def exact(self) -> Objective:
        """The same objective without bfloat16, counted in the tally of now."""
        other = copy.copy(self)
        other.bf16 = False
        return other

    def of_this_share(self) -> Objective:
        """The same objective whose gradients are of the share of a batch that is here; counted in the tally of now."""
        other = copy.copy(self)
        other.shares = ALONE
        return other

    def add_to_tally(self, tally: Tally) -> None:
        """Count work that was done elsewhere, as by a graph that was captured."""
        self.tally.images += tally.images
        self.tally.calls += tally.calls
        self.tally.loss = self.tally.loss + tally.loss

    def take_tally(self) -> Tally:
        """Return the tally since the last call, and begin a new one."""
        tally, self.tally = self.tally, Tally()
        return tally

    def check(self, params: Params, batch: Batch) -> None:
        """Refuse a network whose output is not a function of its input, or not shaped as the clean images.

        Evaluation mode switches off dropout and batch statistics; a network that draws random numbers or counts
        batches all the same would give a virtual update another value at each call.

        Raises:
            ValueError: two passes over one batch differ, or the output is not shaped as the clean images.
        """
        with torch.no_grad():
            first, second = self._forward(params, batch), self._forward(params, batch)
        if first.shape != batch.clean.shape:
            raise ValueError(f"the network makes {tuple(first.shape)} of images {tuple(batch.clean.shape)}")
        if not torch.equal(first, second):
            raise ValueError("the network gives two answers to one input: it draws random numbers or changes buffers")


def _places_of(network: nn.Module) -> Places:
    """The places of all parameters by name, as `torch.func.functional_call` finds them anew at every call."""
    places: dict[int, list[tuple[dict[str, nn.Parameter | None], str]]] = {}
    for module in network.modules():
        for key, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            places.setdefault(id(parameter), []).append((module._parameters, key))
    return {name: places[id(p)] for name, p in network.named_parameters(remove_duplicate=False)}


@contextmanager
def _replaced(places: Places, params: Params) -> Iterator[None]:
    """Put other values in the places of parameters for the `with` body."""
    own: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for name, value in params.items():
            for parameters, key in places[name]:
                own.append((parameters, key, parameters[key]))
                parameters[key] = value  # type: ignore[assignment]
        yield
    finally:
        for parameters, key, parameter in reversed(own):  # the names of a tied parameter share their places
            parameters[key] = parameter


def objective_for(
    network: nn.Module,
    loss: str | Loss = "l1",
    accumulate: int = 1,
    bf16: bool = False,
    shares: Shares = ALONE,
) -> Objective:
    """Make the objective of a network under a loss.

    The network is put into evaluation mode and stays in it: a method evaluates the network at many parameters, so that
    the objective is a function of the parameters only with frozen batch statistics, and without dropout and stochastic
    depth.

    Args:
        network: maps (B, C, H, W) to restored images.
        loss: l1, l2, huber, log_mse, sqrt_rmse, or a function (restored, clean) -> scalar.
        accumulate: the number of pieces of a batch, as of `Objective`.
        bf16: whether the network multiplies in bfloat16, as of `Objective`.
        shares: the share of every batch that is here, as of `Objective`.

    Raises:
        ValueError: for an unknown loss.
    """
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise ValueError(f"loss: {loss!r} is none of {', '.join(LOSSES)}")
        loss = LOSSES[loss]
    return Objective(network.eval(), loss, accumulate, bf16, shares)
