"""The outer step: optimisers, weight decay, clipping, warm-up, the average of the weights; and going on with each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support.trainings import TINY, StopAfter, check_equal_runs, stopped_and_resumed, trained, without_times
from torch import Tensor

from unseen.core.errors import UserError
from unseen.methods import Params
from unseen.methods.objective import Tally
from unseen.methods.params import norm, subtract
from unseen.models.checkpoint import CHECKPOINT, load_optimiser, load_state, optimiser_tensors, read_card
from unseen.training.config import TrainConfig
from unseen.training.distributed import StepReport
from unseen.training.outer_step import lr_factor, take_step
from unseen.training.run import TrainingRun
from unseen.training.state import TrainingState, is_of

NEW = ("optimiser", "weight_decay", "momentum", "clip", "warmup", "ema", "accumulate", "precision")
"""Options that configurations of the first format do not have."""


def copies(params: Params) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in params.items()}


def random_like(params: Params, seed: int) -> dict[str, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return {name: torch.randn(value.shape, generator=draws) for name, value in params.items()}


def test_moments_that_were_saved_lie_in_memory_as_their_parameters() -> None:
    """The fused kernels go through memory as it lies, and a file holds tensors in the order of their indices."""
    parameter = torch.nn.Parameter(torch.randn(4, 3, 3, 3).contiguous(memory_format=torch.channels_last))
    optimiser = torch.optim.Adam([parameter], fused=True)
    parameter.grad = torch.randn_like(parameter)
    optimiser.step()
    saved = {name: value.contiguous() for name, value in optimiser_tensors(optimiser).items()}
    load_optimiser(optimiser, saved)
    for name in ("exp_avg", "exp_avg_sq"):
        moment = optimiser.state[parameter][name]
        assert moment.stride() == parameter.stride() != saved[f"0.{name}"].stride()
        assert torch.equal(moment, saved[f"0.{name}"])


def steps(config: TrainConfig, gradients: int = 3) -> tuple[Params, list[Params], Params]:
    """The weights before some outer steps along random gradients, the gradients, and the weights after the steps."""
    run = TrainingRun.of(config)
    before = copies(run.parameters)
    slopes: list[Params] = [random_like(before, seed) for seed in range(gradients)]
    for slope in slopes:
        take_step(run, slope, config.lr)
    return before, slopes, copies(run.parameters)


def test_sgd_with_momentum_and_decay_is_its_recursion() -> None:
    lr, m, w = 0.1, 0.7, 0.05
    before, slopes, after = steps(replace(TINY, optimiser="sgd", lr=lr, momentum=m, weight_decay=w))
    for name, value in before.items():
        at, velocity = value.double(), torch.zeros_like(value, dtype=torch.float64)
        for slope in slopes:
            velocity = m * velocity + slope[name] + w * at
            at = at - lr * velocity
        torch.testing.assert_close(after[name].double(), at, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_adam_is_its_recursion_and_adamw_shrinks_the_weights_beside_it(decay: float) -> None:
    lr = 0.1
    config = replace(TINY, optimiser="adamw" if decay else "adam", lr=lr, weight_decay=decay)
    before, slopes, after = steps(config)
    for name, value in before.items():
        at = value.double()
        first = second = torch.zeros_like(at)
        for t, slope in enumerate(slopes, 1):
            first = 0.9 * first + 0.1 * slope[name]
            second = 0.999 * second + 0.001 * slope[name] ** 2
            at = at * (1 - lr * decay)
            at = at - lr * (first / (1 - 0.9**t)) / ((second / (1 - 0.999**t)).sqrt() + 1e-8)
        torch.testing.assert_close(after[name].double(), at, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"weight_decay": 0.1}, "weight_decay: adam would divide it by the scale of the gradients"),
        ({"optimiser": "adamw"}, "weight_decay: at 0 adamw is adam"),
        ({"optimiser": "adamw", "weight_decay": 0.1, "momentum": 0.9}, "momentum: adamw has its own"),
        ({"momentum": 0.9}, "momentum: adam has its own"),
        ({"optimiser": "sgd", "momentum": 1.0}, "momentum: 1.0 is not below 1"),
        ({"warmup": 1.0}, "warmup: 1.0 is not below 1"),
        ({"clip": -1.0}, "clip: -1.0 is below 0"),
        ({"ema": 1.0}, "ema: 1.0 is not below 1"),
        ({"accumulate": 3}, "accumulate: a batch of 2 cannot be cut into 3 equal pieces"),
    ],
)
def test_what_means_nothing_is_refused_by_its_field(options: dict[str, Any], refusal: str) -> None:
    with pytest.raises(UserError) as error:
        replace(TINY, **options).check()
    assert str(error.value).startswith(refusal)


def test_a_long_gradient_is_shortened_to_the_norm_and_a_short_one_is_not() -> None:
    config = replace(TINY, optimiser="sgd", lr=1.0)
    before, (slope,), plain = steps(config, 1)
    length = norm(slope)
    assert norm(subtract(before, plain)) == pytest.approx(length, rel=1e-5)
    _, _, unclipped = steps(replace(config, clip=2 * length), 1)
    _, _, clipped = steps(replace(config, clip=length / 4), 1)
    for name, value in plain.items():
        assert torch.equal(unclipped[name], value)
        torch.testing.assert_close(clipped[name] - before[name], (value - before[name]) / 4, rtol=1e-4, atol=1e-6)


def test_the_log_has_the_share_of_clipped_steps(tmp_path: Path) -> None:
    norms = []
    for clip in (1e-6, 1e6):
        state = trained(replace(TINY, method="erm", clip=clip, out=str(tmp_path / str(clip))))
        norms.append([point["clipped"] for point in state.log])
    assert norms == [[1.0] * 4, [0.0] * 4]
    assert "clipped" not in trained(replace(TINY, method="erm", out=str(tmp_path / "plain"))).log[0]


def test_some_steps_are_clipped_and_are_counted_across_a_stop(tmp_path: Path) -> None:
    run = replace(TINY, method="erm", clip=0.2, out=str(tmp_path / "whole"))
    whole = trained(run)
    assert any(0 < point["clipped"] < 1 for point in whole.log)
    stopped = replace(run, out=str(tmp_path / "stopped"))
    assert without_times(stopped_and_resumed(stopped, [3, 7, 4]).log) == without_times(whole.log)


def test_the_rate_rises_evenly_and_the_schedule_has_the_rest() -> None:
    assert [lr_factor("constant", p, 0.2) for p in (0, 0.05, 0.1, 0.2, 0.9)] == pytest.approx([0, 0.25, 0.5, 1, 1])
    assert [lr_factor("cosine", p, 0.2) for p in (0.1, 0.2, 0.6, 1)] == pytest.approx([0.5, 1, 0.5, 0])
    assert [lr_factor("published", p, 0.1) for p in (0.05, 0.69, 0.71)] == [0.5, 1, 0.5]
    for schedule in ("cosine", "constant", "published"):
        assert all(lr_factor(schedule, p / 64, 0.0) == lr_factor(schedule, p / 64) for p in range(65))


def test_the_average_of_the_options_is_that_of_the_method(tmp_path: Path) -> None:
    """Two ways to the same weights: `ema` is ERM with an average."""
    method = replace(TINY, method="ema:decay=0.5", out=str(tmp_path / "method"))
    options = replace(TINY, method="erm", ema=0.5, out=str(tmp_path / "options"))
    curves = [without_times(trained(config).log) for config in (method, options)]
    assert curves[0] == curves[1]
    kept, same = load_file(method.folder / CHECKPOINT), load_file(options.folder / CHECKPOINT)
    assert all(torch.equal(kept[name], value) for name, value in same.items())
    trained_weights = load_state(options.folder / "resume.safetensors")[0]["network"]
    assert any(not torch.equal(trained_weights[name], value) for name, value in same.items())
    assert read_card(options.folder).quality == read_card(method.folder).quality


@pytest.mark.parametrize("method", ["ema", "swa"])
def test_two_averages_are_refused(method: str) -> None:
    with pytest.raises(UserError, match=f"^ema: '{method}' averages its weights by itself; leave --ema out$"):
        TrainingRun.of(replace(TINY, method=method, ema=0.9))


@pytest.mark.parametrize(
    "options",
    [
        {"optimiser": "adamw", "weight_decay": 0.1, "warmup": 0.3},
        {"optimiser": "sgd", "lr": 1.0, "weight_decay": 1e-3},
        {"optimiser": "sgd", "lr": 1.0, "momentum": 0.9, "clip": 1e-3, "ema": 0.9},
        {"ema": 0.7},
    ],
    ids=["adamw", "sgd", "momentum", "ema"],
)
def test_a_training_with_options_goes_on_bit_for_bit(options: dict[str, Any], tmp_path: Path) -> None:
    whole = replace(TINY, out=str(tmp_path / "whole"), **options)
    stopped = replace(whole, out=str(tmp_path / "stopped"))
    check_equal_runs(stopped, whole, (stopped_and_resumed(stopped, [1, 1, 0, 1]), trained(whole)))
    _, state = load_state(stopped.folder / "resume.safetensors")
    assert state


def test_a_run_of_before_these_options_is_the_run_with_their_defaults(tmp_path: Path) -> None:
    config = replace(TINY, out=str(tmp_path))
    trained(config, StopAfter(3))
    path = tmp_path / "config.yaml"
    older = [line for line in path.read_text().splitlines(keepends=True) if line.partition(":")[0] not in NEW]
    assert len(older) == len(path.read_text().splitlines()) - len(NEW)
    path.write_text("".join(older))
    assert is_of(config)
    assert not is_of(replace(config, ema=0.9))


def test_the_sum_of_the_losses_does_not_hang_on_when_a_gpu_was_waited_for() -> None:
    config = replace(TINY, device="cuda")
    sums = []
    for settled_after in ((), (0, 1)):
        state = TrainingState()
        for step, loss in enumerate((2.0**24, 1.0, 1.0)):  # in float32, 1 more is lost
            state.account(config, Tally(2, 1), StepReport(False, 0.0, 0.0, torch.tensor(loss)))
            if step in settled_after:
                state.settle(config)
        state.settle(config)
        sums.append(state.loss)
    assert sums == [2.0**24 + 2] * 2
