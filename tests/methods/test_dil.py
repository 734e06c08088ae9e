"""The four variants against finite differences, a closed form, and the published loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from support.closed_forms import ALPHA, Quadratic, Sampling, closed_form, parallel_objective, serial_objective, stepped
from support.gradients import episode_of, finite_differences, parameters_of, relative_error, smooth_network
from support.saved_tensors import peak_of
from torch import Tensor, nn

from unseen.methods import DIL, METHODS, SGD, Adam, Episode, Objective, Params, objective_for
from unseen.methods.erm import ERM
from unseen.methods.gradients import gradient, hessian_vector_product

Value = Callable[[Objective, Params, Episode], float]


@pytest.mark.parametrize("loss", ["l2", "huber"])
@pytest.mark.parametrize(("sampling", "value"), [("serial", serial_objective), ("parallel", parallel_objective)])
def test_second_order_gradient_equals_central_differences(sampling: Sampling, value: Value, loss: str) -> None:
    network = smooth_network()
    objective, params, episode = objective_for(network, loss), parameters_of(network), episode_of(3)
    found = DIL(sampling, 2, ALPHA).gradient(objective, params, episode)
    expected = finite_differences(lambda p: value(objective, p, episode), params)
    assert relative_error(found, expected) < 1e-6
    # The curvature must matter here, or a first-order gradient would pass as well.
    assert relative_error(ERM().gradient(objective, params, episode), expected) > 1e-3
    assert episode.notes["curvature"] > 1e-3


@pytest.mark.parametrize("sampling", ["serial", "parallel"])
def test_second_order_gradient_equals_the_closed_form_of_a_quadratic(sampling: Sampling) -> None:
    network = Quadratic()
    objective, params, episode = objective_for(network, "l2"), parameters_of(network), episode_of(4)
    slopes, curvatures = zip(*(closed_form(params, batch) for batch in episode.confounders), strict=True)

    def query_slope(theta: Tensor) -> Tensor:
        return closed_form({"theta": theta}, episode.query)[0]

    if sampling == "serial":
        terms = [
            (1 - ALPHA * h) * query_slope(params["theta"] - ALPHA * g) for g, h in zip(slopes, curvatures, strict=True)
        ]
        expected = torch.stack(terms).mean(0)
    else:
        phi = params["theta"] - ALPHA * torch.stack(slopes).mean(0)
        expected = (1 - ALPHA * torch.stack(curvatures).mean(0)) * query_slope(phi)
    found = DIL(sampling, 2, ALPHA).gradient(objective, params, episode)["theta"]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("sampling", ["serial", "parallel"])
def test_second_order_becomes_erm_as_alpha_vanishes(sampling: Sampling) -> None:
    network = smooth_network()
    objective, params, episode = objective_for(network, "l2"), parameters_of(network), episode_of(3)
    erm = ERM().gradient(objective, params, episode)
    errors = [
        relative_error(DIL(sampling, 2, alpha).gradient(objective, params, episode), erm)
        for alpha in (1e-2, 1e-3, 1e-9)
    ]
    assert errors[0] > 5 * errors[1] > 0  # linear in α
    assert errors[2] < 1e-7


def test_first_order_becomes_the_mean_gradient_as_alpha_vanishes() -> None:
    """Serial, K = n steps: the mean over the confounders; parallel, K = 2: half that, half the query's."""
    network = smooth_network()
    objective, params, episode = objective_for(network, "l2"), parameters_of(network), episode_of(3)
    slopes = [gradient(objective, params, batch) for batch in episode.confounders]
    mean = {name: torch.stack([s[name] for s in slopes]).mean(0) for name in params}
    query = ERM().gradient(objective, params, episode)
    serial = DIL("serial", 1, 1e-7).gradient(objective, params, episode)
    parallel = DIL("parallel", 1, 1e-7).gradient(objective, params, episode)
    assert relative_error(serial, mean) < 1e-6
    assert relative_error(parallel, {name: (mean[name] + query[name]) / 2 for name in params}) < 1e-6
    same = Episode([episode.query] * 3, episode.query)
    assert relative_error(DIL("serial", 1, 1e-7).gradient(objective, params, same), query) < 1e-6


def test_serial_first_order_is_the_path_over_its_length() -> None:
    network = smooth_network()
    objective, params, episode = objective_for(network, "l1"), parameters_of(network), episode_of(4)
    phi = params
    for i in torch.randperm(4, generator=torch.Generator().manual_seed(1)).tolist():
        phi = stepped(objective, phi, episode.confounders[i])
    expected = {name: (params[name] - phi[name]) / (ALPHA * 4) for name in params}
    found = DIL("serial", 1, ALPHA).gradient(objective, params, episode)
    assert relative_error(found, expected) < 1e-12


def test_parallel_first_order_is_the_path_over_its_length() -> None:
    network = smooth_network()
    objective, params, episode = objective_for(network, "l1"), parameters_of(network), episode_of(4)
    slopes = [gradient(objective, params, batch) for batch in episode.confounders]
    mean = {name: p - ALPHA * sum(s[name] for s in slopes) / 4 for name, p in params.items()}
    phi = stepped(objective, mean, episode.query)
    expected = {name: (params[name] - phi[name]) / (ALPHA * 2) for name in params}
    found = DIL("parallel", 1, ALPHA).gradient(objective, params, episode)
    assert relative_error(found, expected) < 1e-12


def test_adam_form_reproduces_the_published_loop_step_by_step() -> None:
    """The loop as it was published: inner Adam steps on the network itself, state kept over the iterations;
    then the weights are put back, θ − φ becomes the gradient, and a second Adam steps."""
    published, ours = smooth_network(), smooth_network()
    start_inner = torch.optim.Adam(published.parameters(), lr=1e-3, betas=(0.0, 0.999))
    start_outer = torch.optim.Adam(published.parameters(), lr=1e-3)
    outer = torch.optim.Adam(ours.parameters(), lr=1e-3)
    method, objective = DIL("serial", 1, 1e-3, Adam), objective_for(ours, "l1")
    for step in range(6):
        episode = episode_of(4, seed=step)
        before = [p.detach().clone() for p in published.parameters()]
        for i in torch.randperm(4, generator=torch.Generator().manual_seed(step)).tolist():
            batch = episode.confounders[i]
            start_inner.zero_grad()
            (published(batch.distorted) - batch.clean).abs().mean().backward()
            start_inner.step()
        start_outer.zero_grad()
        for p, theta in zip(published.parameters(), before, strict=True):
            p.grad = theta - p.detach()
            p.data.copy_(theta)
        start_outer.step()

        found = method.gradient(objective, dict(ours.named_parameters()), episode)
        for name, p in ours.named_parameters():
            p.grad = found[name]
        outer.step()
        for (name, p), q in zip(ours.named_parameters(), published.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-14, msg=f"step {step}, {name}")


def test_adam_form_is_resumed_from_its_state() -> None:
    network = smooth_network()
    objective, params = objective_for(network), parameters_of(network)
    whole, first, second = (METHODS["dil_sf"]() for _ in range(3))
    for step in range(3):
        whole.gradient(objective, params, episode_of(2, step))
        first.gradient(objective, params, episode_of(2, step))
    second.load_state_dict({name: value.clone() for name, value in first.state_dict().items()})
    expected = whole.gradient(objective, params, episode_of(2, 9))
    found = second.gradient(objective, params, episode_of(2, 9))
    assert all(torch.equal(found[name], expected[name]) for name in params)
    fresh = METHODS["dil_sf"]().gradient(objective, params, episode_of(2, 9))
    assert not any(torch.equal(fresh[name], expected[name]) for name in params)  # the state matters


def test_hessian_vector_product_of_leaky_relu_and_unused_parameters() -> None:
    torch.manual_seed(0)
    network = nn.ModuleDict({"used": nn.Conv2d(3, 3, 3, padding=1), "unused": nn.Linear(2, 2)}).double()
    network.forward = lambda x: network["used"](nn.functional.leaky_relu(network["used"](x), 0.2))
    objective, params, batch = objective_for(network, "l2"), parameters_of(network), episode_of(1).query
    vector = {
        name: torch.randn(p.shape, dtype=p.dtype, generator=torch.Generator().manual_seed(3))
        for name, p in params.items()
    }
    step = 1e-7  # short enough to cross no kink here
    ends = [
        gradient(objective, {name: p + sign * step * vector[name] for name, p in params.items()}, batch)
        for sign in (1, -1)
    ]
    expected = {name: (ends[0][name] - ends[1][name]) / (2 * step) for name in params}
    found = hessian_vector_product(objective, params, batch, vector)
    assert relative_error(found, expected) < 1e-6
    assert not found["unused.weight"].any()


def test_an_objective_that_is_linear_in_its_parameters_has_no_curvature() -> None:
    network = nn.Conv2d(3, 3, 1, bias=False).double()
    linear = Objective(network, lambda restored, clean: restored.mean())
    params = parameters_of(network)
    product = hessian_vector_product(linear, params, episode_of(1).query, params)
    assert not product["weight"].any()


@pytest.mark.parametrize("sampling", ["serial", "parallel"])
def test_memory_of_second_order_does_not_grow_with_the_confounders(sampling: Sampling) -> None:
    network = smooth_network()
    objective, params = objective_for(network), parameters_of(network)
    few, many = (peak_of(partial(DIL(sampling, 2, ALPHA).gradient, objective, params, episode_of(n))) for n in (2, 8))
    assert many == few > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sampling": "sideways"}, "serial or parallel"),
        ({"order": 3}, "1 or 2"),
        ({"inner_lr": 0.0}, "not above zero"),
        ({"inner_lr": math.nan}, "not finite"),
        ({"order": 2, "inner": Adam}, "plain SGD"),
        ({"order": 2, "hvp": "forward"}, "exact or finite-difference"),
        ({"order": 1, "hvp": "finite-difference"}, "order 1 has no"),
    ],
)
def test_impossible_variants_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DIL(**settings)


def test_states_of_another_method_are_refused() -> None:
    state = {"steps_taken": torch.tensor(3)}
    for method in (ERM(), DIL("serial", 2, inner=SGD)):
        with pytest.raises(ValueError, match="keeps no state"):
            method.load_state_dict(state)
    with pytest.raises(ValueError, match="steps_taken"):
        METHODS["dil_sf"]().load_state_dict({})
