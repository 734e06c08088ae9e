"""Training: resume against never stopping, two processes against one, budgets, and pinned losses."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import load_file
from support.commandline import json_lines
from support.forked import Forked
from support.trainings import TINY, StopAfter, check_equal_runs, stopped_and_resumed, trained, without_times

from unseen.core.errors import UserError
from unseen.methods import METHODS
from unseen.models.backbones import DRUNetSmall
from unseen.models.card import EarlierTraining
from unseen.models.checkpoint import CHECKPOINT, load_checkpoint, load_state, read_card
from unseen.training.config import Select, TrainConfig
from unseen.training.episodes import draw_episode
from unseen.training.outer_step import lr_factor
from unseen.training.run import TrainingRun
from unseen.training.state import LOG, TrainingState, holds_a_run, is_finished, load_run

WholeRun = Callable[[str], tuple[TrainConfig, TrainingState]]
"""Method → the configuration of a run that was never stopped, and how it ended."""


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> WholeRun:
    """Trains `TINY` by a method without a stop, once for all tests; they leave its folder as it is."""
    folder = tmp_path_factory.mktemp("whole")

    @cache
    def run(method: str) -> tuple[TrainConfig, TrainingState]:
        config = replace(TINY, method=method, out=str(folder / method))
        return config, trained(config)

    return run


WITH_STATE = {"dil_sf", "dil_pf", "dil_control", "ema", "swa", "fishr", "group_dro"}
"""Methods that keep tensors from step to step: the inner optimiser's, averages, weights of confounders."""

STOPPED_OFTEN = {"erm", "dil_sf", "ema", "swa", "fishr", "group_dro"}
"""One method without such tensors and one of each kind that has them."""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.slow
def test_resume_equals_never_having_stopped(method: str, whole_run: WholeRun, tmp_path: Path) -> None:
    whole, expected = whole_run(method)
    config = replace(whole, out=str(tmp_path))
    # Before the first validation, after it, at once, and again.
    stops = [1, 1, 0, 1] if method in STOPPED_OFTEN else [1]
    state = stopped_and_resumed(config, stops)
    check_equal_runs(config, whole, (state, expected))
    assert (method in WITH_STATE) == ("method" in load_state(tmp_path / "resume.safetensors")[0])


@pytest.mark.parametrize("select", [select for select in get_args(Select) if select != TINY.select])
@pytest.mark.slow
def test_resume_goes_on_choosing_weights(select: Select, tmp_path: Path) -> None:
    whole = replace(TINY, method="dil_sf", select=select, out=str(tmp_path / "whole"))
    config = replace(whole, out=str(tmp_path / "stopped"))
    check_equal_runs(config, whole, (stopped_and_resumed(config, [1, 1, 0, 1]), trained(whole)))


def test_a_run_that_ends_before_its_card_has_the_quality_is_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(TINY, out=str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr("unseen.training.state.write_quality", lambda *_: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            trained(config)
    assert not is_finished(tmp_path)
    assert not read_card(tmp_path).quality
    trained(config, resume=True)
    assert is_finished(tmp_path)
    assert read_card(tmp_path).quality


def test_a_finished_run_that_is_resumed_stays_as_it_is(tmp_path: Path) -> None:
    config = replace(TINY, out=str(tmp_path))
    first = trained(config)
    weights = load_file(tmp_path / CHECKPOINT)
    again = trained(config, resume=True)
    assert is_finished(tmp_path)
    assert again.step == first.step
    assert all(torch.equal(value, weights[key]) for key, value in load_file(tmp_path / CHECKPOINT).items())


@pytest.mark.parametrize(
    ("method", "steps"), [("erm", 64), ("dil_sf", 16), ("dil_pf", 12), ("dil_ss", 4), ("dil_ps", 3)]
)
def test_no_method_spends_more_than_the_budget(method: str, steps: int, whole_run: WholeRun) -> None:
    config, state = whole_run(method)
    assert state.step == steps
    assert state.evaluations_spent(config) <= 64
    assert state.log[-1]["step"] == steps
    assert len({line["step"] for line in state.log}) == len(state.log) <= 4


@pytest.mark.parametrize("cost", [1, 5, 7])
def test_the_last_step_that_fits_is_taken(cost: int) -> None:
    config = replace(TINY, budget=2000, batch=3)
    state = TrainingState()
    while state.affords_a_step(config):
        state.step += 1
        state.images += cost * 3
    assert state.step == 2000 // cost


def test_the_ceiling_alone_trains_on_unseen_levels() -> None:
    names = {
        method: [c.name for c in TrainingRun.of(replace(TINY, method=method)).episodes.confounders]
        for method in METHODS
    }
    assert names.pop("ceiling")[-3:] == ["gaussian_noise:30", "gaussian_noise:40", "gaussian_noise:50"]
    seen = [f"gaussian_noise:{sigma}" for sigma in (5, 10, 15, 20)]
    assert names.pop("widened_erm") == seen + [f"{name} widened" for name in seen]
    assert all(others == seen for others in names.values())


@pytest.mark.parametrize(("select", "split"), [("seen", "seen"), ("held-out", "held_out"), ("oracle", "unseen")])
def test_selecting_keeps_the_best_and_not_the_last(select: Select, split: str, tmp_path: Path) -> None:
    # A rate that is far too high makes the run worse towards its end.
    config = replace(TINY, method="erm", lr=0.5, seed=2, schedule="constant", select=select, out=str(tmp_path))
    state = trained(config)
    assert all(("unseen_psnr" in line) == (select == "oracle") for line in state.log)
    curve = [line[f"{split}_psnr"] for line in state.log]
    assert max(curve) > curve[-1]
    _, card = load_checkpoint(tmp_path)
    assert card.evaluations == state.log[curve.index(max(curve))]["evaluations"]


def test_divergence_is_reported_in_one_line_and_keeps_what_was_saved(tmp_path: Path) -> None:
    config = replace(TINY, method="dil_sf:inner_lr=1e30", out=str(tmp_path))
    with pytest.raises(UserError, match=r"lr: .*diverged at step \d+.*lower lr or inner_lr"):
        trained(config)
    assert not (tmp_path / CHECKPOINT).exists()


def test_schedules() -> None:
    assert [lr_factor("cosine", p) for p in (0, 0.5, 1)] == pytest.approx([1, 0.5, 0])
    assert [lr_factor("published", p) for p in (0, 0.6, 0.7)] == [1, 1, 0.5]
    assert lr_factor("constant", 0.9) == 1


PINNED = Path(__file__).with_name("pinned_losses.json")
"""The losses of a run of each method, validation by validation. A change here is a change of what every published
number means: make it on purpose, by `pytest --pin`, and say so."""


@pytest.mark.parametrize("method", METHODS)
def test_losses_are_the_pinned_ones(method: str, whole_run: WholeRun, request: pytest.FixtureRequest) -> None:
    _, state = whole_run(method)
    losses = [line["loss"] for line in state.log]
    pins = json.loads(PINNED.read_text())
    if request.config.getoption("--pin"):
        pins[method] = [round(loss, 6) for loss in losses]
        lines = [f"  {json.dumps(name)}: {json.dumps(pins[name])}" for name in METHODS if name in pins]
        PINNED.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    assert losses == pytest.approx(pins[method], rel=1e-4)


def test_an_average_of_weights_is_what_is_tested_and_kept(whole_run: WholeRun, tmp_path: Path) -> None:
    """The checkpoint holds the average, and what resumes holds the weights that are trained."""
    config = replace(TINY, method="ema:decay=0.5", out=str(tmp_path / "ema"))
    trained(config)
    erm, _ = whole_run("erm")
    averaged, last = load_file(config.folder / CHECKPOINT), load_file(erm.folder / CHECKPOINT)
    resumed, _ = load_state(config.folder / "resume.safetensors")
    for name, value in last.items():
        assert torch.equal(resumed["network"][name], value)  # it trains as ERM does
    assert any(not torch.equal(averaged[name], value) for name, value in last.items())


def test_diagnoses_are_taken_beside_the_budget_and_change_nothing(whole_run: WholeRun, tmp_path: Path) -> None:
    config, plain = whole_run(TINY.method)
    diagnosed = trained(replace(TINY, diagnose=4, out=str(tmp_path)))
    assert without_times(diagnosed.log) == without_times(plain.log)
    lines = json_lines(tmp_path / "diagnostics.jsonl")
    assert [line["step"] for line in lines] == [4, 8, 12, 16]
    assert [line["evaluations"] for line in lines] == [16, 32, 48, 64]
    distances = [line["distance"] for line in lines]
    assert distances[0] > 0
    assert all(len(line["losses"]) == 4 for line in lines)
    assert all(line["net_biases"].keys() - line["losses"].keys() == {"gaussian_noise:25"} for line in lines)
    assert all(line["virtual_step"] > 0 for line in lines)
    assert all(line["path"] > line["distance"] for line in lines)
    assert [line["path"] for line in lines] == sorted(line["path"] for line in lines)
    assert not (config.folder / "diagnostics.jsonl").exists()


def test_diagnoses_of_a_training_that_stops_are_those_of_one_that_never_does(tmp_path: Path) -> None:
    whole = replace(TINY, method="ceiling", budget=12, validations=1, diagnose=1, out=str(tmp_path / "whole"))
    config = replace(whole, out=str(tmp_path / "stopped"))
    state, expected = stopped_and_resumed(config, [3, 2]), trained(whole)
    assert state.diagnoses == expected.diagnoses
    assert state.path == expected.path > 0
    first, *_, last = state.diagnoses
    assert first["path"] == pytest.approx(first["distance"], rel=1e-5)  # one step is straight
    assert last["net_biases"].keys() == last["losses"].keys()  # of the ceiling, which trains on every level


def test_what_a_run_takes_is_known(tmp_path: Path) -> None:
    states = []
    for i, batch in enumerate((2, 256, 2)):
        config = replace(TINY, method="erm", batch=batch, patch=32, budget=4, out=str(tmp_path / str(i)))
        states.append(trained(config))
    assert all(state.seconds > 0 for state in states)
    if Path("/proc/self/clear_refs").exists():
        small, large, again = (state.memory for state in states)
        assert large > small + 5  # MiB: images and features of 254 more patches
        assert again < large - 5  # what one training took is not counted to the next


def test_an_oracle_needs_unseen_levels_that_can_be_made() -> None:
    with pytest.raises(UserError, match="select: oracle needs unseen levels that can be made"):
        TrainingRun.of(replace(TINY, protocol="derain", select="oracle"))


def test_a_method_that_cannot_work_with_the_confounders_is_refused_in_one_line(tmp_path: Path) -> None:
    one = tmp_path / "one.yaml"
    one.write_text(
        "{name: one, version: 1, about: a test, seen: ['gaussian_noise:5'], held_out: ['gaussian_noise:25'], "
        "unseen: ['gaussian_noise:30']}"
    )
    with pytest.raises(UserError, match=r"method: 'mldg' under one: MLDG: needs more than 1 confounders"):
        trained(replace(TINY, method="mldg", protocol=str(one), out=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


def test_curvature_is_logged_for_second_order(tmp_path: Path) -> None:
    state = trained(replace(TINY, method="dil_ss:inner_lr=1e-2", out=str(tmp_path)))
    assert all(line["curvature"] > 0 for line in state.log[:3])


@pytest.mark.slow
def test_two_processes_equal_one_that_averages_their_gradients(tmp_path: Path) -> None:
    """Processes that torchrun's own launcher starts, against one process that draws both ranks' episodes itself."""
    out = str(tmp_path / "two")
    config = replace(TINY, method="dil_ps", sync="meta", batch=4, budget=34, validations=2, lr=1e-2, out=out)

    def launch() -> int:
        from torch.distributed.launcher.api import LaunchConfig, elastic_launch

        standalone = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=2,
            run_id="two",
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            start_method="fork",
        )
        elastic_launch(standalone, trained)(config)
        return 0

    launcher = Forked(tmp_path / "log", launch).ended(120)
    assert launcher.code == 0, launcher.err

    run = TrainingRun.of(config)
    parameters = dict(run.network.named_parameters())

    for step in range(2):  # of seventeen evaluations each, shared by two processes
        gradients = []
        for rank in (0, 1):
            source = run.episodes
            key = (0, rank, step)
            episode = draw_episode(source.confounders, source.patches, 2, "counterfactual", key, source.device)
            gradients.append(run.method.gradient(run.objective, parameters, episode))
        for name, parameter in parameters.items():
            parameter.grad = (gradients[0][name] + gradients[1][name]) / 2
        run.outer.param_groups[0]["lr"] = config.lr * lr_factor("cosine", step / 2)
        run.outer.step()
    first, facts = load_state(tmp_path / "two" / "resume.safetensors")
    assert json.loads(facts)["step"] == 2
    for name, value in run.network.state_dict().items():
        torch.testing.assert_close(first["network"][name], value, rtol=1e-6, atol=1e-8)


def test_whatever_trains_on_unseen_levels_is_called_ceiling() -> None:
    with pytest.raises(UserError, match="trains on unseen levels"):
        TrainingRun.of(replace(TINY, method="unseen.methods.Ceiling"))


def test_a_refused_run_leaves_the_earlier_one_as_it_was(tmp_path: Path) -> None:
    trained(replace(TINY, out=str(tmp_path)))
    weights = (tmp_path / CHECKPOINT).read_bytes()
    with pytest.raises(UserError, match="budget"):
        trained(replace(TINY, budget=1, out=str(tmp_path)))
    assert (tmp_path / CHECKPOINT).read_bytes() == weights
    assert is_finished(tmp_path)


def test_a_run_does_not_go_on_with_other_photographs(tmp_path: Path) -> None:
    config = replace(TINY, out=str(tmp_path))
    trained(config, StopAfter(2))
    run = replace(TrainingRun.of(config), data="other")
    with pytest.raises(UserError, match="was begun with other photographs in embedded"):
        load_run(run)


def test_a_budget_below_one_step_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="budget: 15 is below one step of dil_ss, which takes 16"):
        trained(replace(TINY, method="dil_ss", budget=15, out=str(tmp_path)))
    assert not holds_a_run(tmp_path)  # so that the same folder serves for the next try


def test_the_log_has_the_share_of_time_spent_waiting(whole_run: WholeRun) -> None:
    config, _ = whole_run(TINY.method)
    lines = json_lines(config.folder / LOG)
    assert all(0 < line["waiting"] < 1 for line in lines)


def test_a_training_starts_from_the_weights_of_another(tmp_path: Path) -> None:
    first = replace(TINY, out=str(tmp_path / "first"))
    trained(first)
    weights = load_file(tmp_path / "first" / CHECKPOINT)
    run = TrainingRun.of(replace(first, init=first.out, seed=1, out=str(tmp_path / "second")))
    for name, value in run.network.state_dict().items():
        torch.testing.assert_close(value, weights[name], rtol=0, atol=0)
    halfway = replace(first, init=first.out, seed=1, init_share=0.5, out=str(tmp_path / "halfway"))
    trained(halfway)
    assert read_card(tmp_path / "halfway").earlier == EarlierTraining.of(read_card(tmp_path / "first"))
    trained(replace(halfway, init_share=0.0, out=str(tmp_path / "whole")))
    kept, whole = (load_file(tmp_path / name / CHECKPOINT) for name in ("halfway", "whole"))
    for name, value in kept.items():
        torch.testing.assert_close(value, (weights[name] + whole[name]) / 2, rtol=1e-5, atol=1e-8)
        assert not torch.equal(value, whole[name])
    with pytest.raises(UserError, match="init_share: there are no weights to share"):
        replace(first, init_share=0.5).check()
    with pytest.raises(UserError, match=r"init: .* is of .*, and --backbone is 'plain'"):
        TrainingRun.of(replace(first, init=first.out, backbone="plain"))


def test_a_setting_without_weights_may_change_from_one_training_to_the_next(tmp_path: Path) -> None:
    first = replace(TINY, backbone="drunet_small:features=4,levels=2", out=str(tmp_path / "first"))
    trained(first)
    spec = f"{first.backbone},kept_brightness=true"
    network = TrainingRun.of(replace(first, init=first.out, backbone=spec, out=str(tmp_path / "second"))).network
    assert isinstance(network, DRUNetSmall)
    assert network.kept_brightness
    for name, value in load_file(tmp_path / "first" / CHECKPOINT).items():
        assert torch.equal(network.state_dict()[name], value)
    with pytest.raises(UserError, match=r"init: .* is of .*, and --backbone is"):  # of the same names and shapes
        TrainingRun.of(replace(first, init=first.out, backbone="drunet_small:levels=2,features=4,blocks=1,bias=false"))
