"""The objectives of DIL written out, and a network whose gradients have closed forms."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from unseen.methods import Batch, Episode, Objective, Params
from unseen.methods.gradients import gradient

ALPHA = 0.05
"""The virtual learning rate of all of these."""
Sampling = Literal["serial", "parallel"]


def stepped(objective: Objective, params: Params, batch: Batch) -> Params:
    return {
        name: p - ALPHA * g
        for (name, p), g in zip(params.items(), gradient(objective, params, batch).values(), strict=True)
    }


def serial_objective(objective: Objective, params: Params, episode: Episode) -> float:
    """Equation (4), as a mean."""
    values = [objective(stepped(objective, params, batch), episode.query) for batch in episode.confounders]
    return float(torch.stack(values).mean())


def parallel_objective(objective: Objective, params: Params, episode: Episode) -> float:
    """Equation (5)."""
    slopes = [gradient(objective, params, batch) for batch in episode.confounders]
    phi = {name: p - ALPHA * sum(s[name] for s in slopes) / len(slopes) for name, p in params.items()}
    return float(objective(phi, episode.query))


class Quadratic(nn.Module):
    """f_θ(x) = θ ⊙ x, so that with the l2 loss everything is a polynomial in θ."""

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([0.7, -0.4, 1.3], dtype=torch.float64).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.theta * x


def closed_form(params: Params, batch: Batch) -> tuple[Tensor, Tensor]:
    """∇L = 2(aθ − b)/3 and the diagonal of H = 2a/3, with a = E x², b = E xy in each of three channels."""
    a = (batch.distorted**2).mean(dim=(0, 2, 3), keepdim=True)
    b = (batch.distorted * batch.clean).mean(dim=(0, 2, 3), keepdim=True)
    return 2 / 3 * (a * params["theta"] - b), 2 / 3 * a
