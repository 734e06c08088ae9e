"""What tests of gradients share: a smooth network, an episode, and central differences."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from unseen.methods import Batch, Episode, Objective, Params
from unseen.methods.gradients import gradient


def smooth_network() -> nn.Module:
    """A small convolutional network without kinks, so that finite differences mean what they say."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.Softplus(),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(4, 3, 1),
    ).double()


def episode_of(n: int, seed: int = 1, shape: tuple[int, ...] = (2, 3, 6, 6)) -> Episode:
    draws = torch.Generator().manual_seed(seed)

    def batch(draws: torch.Generator = draws) -> Batch:
        clean, noise = (torch.rand(shape, generator=draws, dtype=torch.float64) for _ in range(2))
        return Batch(clean + noise / 2, clean)

    def more(i: int) -> Batch:
        return batch(torch.Generator().manual_seed(1000 * seed + i))

    return Episode([batch() for _ in range(n)], batch(), torch.Generator().manual_seed(seed), more=more)


def small_network() -> nn.Module:
    """Few parameters, where every difference takes many gradients."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.Tanh(), nn.Conv2d(2, 3, 1)).double()


def mean_risk(objective: Objective, params: Params, batches: list[Batch]) -> float:
    return sum(float(objective(params, batch)) for batch in batches) / len(batches)


def slopes(objective: Objective, params: Params, batches: list[Batch]) -> list[Params]:
    return [gradient(objective, params, batch) for batch in batches]


def again(episode: Episode, seed: int = 1) -> Episode:
    """The same batches, and a generator set back to its start."""
    draws = torch.Generator().manual_seed(seed)
    return Episode(list(episode.confounders), episode.query, draws, more=lambda i: episode.mixtures(i + 1)[i])


def parameters_of(network: nn.Module) -> Params:
    return {name: p.detach().clone() for name, p in network.named_parameters()}


def flat(vector: Params) -> Tensor:
    return torch.cat([vector[name].reshape(-1) for name in sorted(vector)])


def relative_error(found: Params, expected: Params) -> float:
    return float((flat(found) - flat(expected)).norm() / flat(expected).norm())


def finite_differences(value: Callable[[Params], float], params: Params, step: float = 1e-5) -> Params:
    found = {}
    for name, tensor in params.items():
        slope = torch.zeros_like(tensor)
        for i in range(tensor.numel()):
            ends = []
            for sign in (1, -1):
                moved = tensor.clone()
                moved.view(-1)[i] += sign * step
                ends.append(value({**params, name: moved}))
            slope.view(-1)[i] = (ends[0] - ends[1]) / (2 * step)
        found[name] = slope
    return found


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def equal(found: Params, expected: Params) -> bool:
    return all(torch.equal(found[name], expected[name]) for name in expected)
