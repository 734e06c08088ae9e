"""The objective L(f_θ(I_d), I_c) as a pure function of the parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from .episode import Batch, Params

Loss = Callable[[Tensor, Tensor], Tensor]
Change = Callable[[Tensor], Tensor]
LOSSES: dict[str, Loss] = {"l1": F.l1_loss, "l2": F.mse_loss, "huber": F.smooth_l1_loss}


@dataclass
class Tally:
    """What an objective was asked since the tally was last cleared.

    images: one per image of each forward pass, and what second-order products add; divided by the batch
        size, the number of *gradient evaluations*.
    calls, loss: how often, and the sum of the values.
    """

    images: int = 0
    calls: int = 0
    loss: Tensor | float = 0.0


class Objective:
    """`objective(params, batch) -> scalar`: the loss of the network at `params` on a batch of pairs.

    The value depends on the arguments alone; parameters that `params` does not name keep the network's own
    values. `tally` counts what was asked, so that methods can be given equal budgets.
    """

    def __init__(self, network: nn.Module, loss: Loss):
        self.network = network
        self.loss = loss
        self.tally = Tally()
        self._last: nn.Module | None = None

    def restore(self, params: Params, batch: Batch, at_last: Change | None = None) -> Tensor:
        """f_params(I_d): restored images, shaped as `batch.clean`. Counted, as its gradient is what it is for.

        at_last: is given what the network's last layer is given, (B, ...) as that layer has it, and returns what the
            layer is to be given instead: features to look at, or to change.
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
        """What the network's last layer is given for a batch, (B, ...) as that layer has it. Counted likewise."""
        return self.restore_with_features(params, batch)[1]

    def restore_with_features(self, params: Params, batch: Batch) -> tuple[Tensor, Tensor]:
        """Both of the above, in one forward pass, which is what is counted."""
        given: list[Tensor] = []

        def keep(features: Tensor) -> Tensor:
            given.append(features)
            return features

        return self.restore(params, batch, keep), given[0]

    def judge(self, restored: Tensor, batch: Batch) -> Tensor:
        """The loss of images that `restore` gave for a batch, a scalar; entered as a loss of the training."""
        value = self.loss(restored, batch.clean)
        self.tally.calls += 1
        self.tally.loss = self.tally.loss + value.detach()
        return value

    def _last_layer(self, params: Params, batch: Batch) -> nn.Module:
        """The layer with weights to train that is run last, which need not be the one that was registered last.

        Found once, by a forward pass that is not counted.
        """
        if self._last is None:
            ran: list[nn.Module] = []
            layers = [m for m in self.network.modules() if any(p.requires_grad for p in m.parameters(recurse=False))]
            hooks = [m.register_forward_hook(lambda layer, given, made: ran.append(layer)) for m in layers]
            try:
                with torch.no_grad():
                    self._forward(params, batch)
            finally:
                for hook in hooks:
                    hook.remove()
            self._last = ran[-1]
        return self._last

    def _forward(self, params: Params, batch: Batch) -> Tensor:
        restored: Tensor = functional_call(self.network, dict(params), (batch.distorted,))
        return restored

    def __call__(self, params: Params, batch: Batch) -> Tensor:
        return self.judge(self.restore(params, batch), batch)

    def take_tally(self) -> Tally:
        """What was asked since the last call; the tally begins anew."""
        tally, self.tally = self.tally, Tally()
        return tally

    def check(self, params: Params, batch: Batch) -> None:
        """Raises ValueError where the network is no function of its input, or no restorer of images.

        Evaluation mode silences the usual layers; a network that draws random numbers or counts batches
        on its own would make every virtual update a different one.
        """
        with torch.no_grad():
            first, second = self._forward(params, batch), self._forward(params, batch)
        if first.shape != batch.clean.shape:
            raise ValueError(f"the network makes {tuple(first.shape)} of images {tuple(batch.clean.shape)}")
        if not torch.equal(first, second):
            raise ValueError("the network gives two answers to one input: it draws random numbers or changes buffers")


def objective_for(network: nn.Module, loss: str | Loss = "l1") -> Objective:
    """The objective of `network` under a loss: l1, l2, huber, or a function (restored, clean) -> scalar.

    The network is put into evaluation mode and stays there: a method evaluates it at many parameters, so
    batch statistics must be frozen, and dropout and stochastic depth off, for the objective to be a
    function at all. Raises ValueError for an unknown loss.
    """
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise ValueError(f"loss: {loss!r} is none of {', '.join(LOSSES)}")
        loss = LOSSES[loss]
    return Objective(network.eval(), loss)
