"""Captured steps against eager ones on the same draws: a tape stands for the graph, and a CUDA graph on a GPU."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event

import pytest
import torch
from safetensors.torch import load_file
from support.gradients import episode_of, parameters_of, smooth_network
from support.tape import tape
from support.trainings import check_equal_runs, stopped_and_resumed

from unseen.core.errors import UserError
from unseen.core.shares import Shares
from unseen.distortions.composition import unprefixed
from unseen.methods import METHODS, Batch, Episode, Objective, Params, objective_for
from unseen.methods.dil import DILss
from unseen.methods.erm import ERM
from unseen.methods.vrex import VREx
from unseen.study.config import CompareConfig
from unseen.study.plan import StudyPlan
from unseen.training.config import Draws, TrainConfig
from unseen.training.engine import Capture, EagerEngine, Engine, GraphEngine, StaticInputs, cuda_graph
from unseen.training.episode_source import branches, on_device
from unseen.training.episodes import Content
from unseen.training.loop import train
from unseen.training.run import TrainingRun
from unseen.training.side_by_side import train_side_by_side
from unseen.training.state import Diverged, state_of

TINY = TrainConfig(
    protocol="denoise", backbone="plain:features=4,depth=3", batch=3, patch=12, device="cpu", threads=1, budget=100
)
CAPTURABLE = [name for name, method in METHODS.items() if method().capturable]
STEPS = 4

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
graphs = pytest.mark.parametrize(
    ("device", "capture"), [("cpu", tape), pytest.param("cuda", cuda_graph, marks=on_gpu)], ids=["tape", "graph"]
)


def engine_of(run: TrainingRun, capture: Capture | None) -> Engine:
    parts = (run.method, run.objective, run.parameters, run.episodes)
    return GraphEngine(*parts, capture) if capture else EagerEngine(*parts)


def trained(config: TrainConfig, capture: Capture | None) -> tuple[list[torch.Tensor], list[dict[str, float]]]:
    """The weights, the method's own state, and what each step told, after plain descent along the gradient."""
    run = TrainingRun.of(config)
    engine = engine_of(run, capture)
    told = []
    for step in range(STEPS):
        episode = engine.episode((config.seed, 0, step), 0.0)
        gradient = engine.gradient(episode)
        tally = run.objective.take_tally()
        notes = {name: float(value) for name, value in episode.notes.items()}
        told.append({"images": tally.images, "calls": tally.calls, "loss": float(tally.loss), **notes})
        with torch.no_grad():
            for name, parameter in run.parameters.items():
                parameter.sub_(gradient[name], alpha=0.05)
    tensors = [*run.parameters.values(), *run.method.state_dict().values()]
    return [tensor.detach().cpu() for tensor in tensors], told


def test_the_four_variants_can_be_captured() -> None:
    assert {"erm", "dil_sf", "dil_pf", "dil_ss", "dil_ps"} <= set(CAPTURABLE)


@graphs
@pytest.mark.parametrize("draws", ["exact", "device"])
@pytest.mark.parametrize("method", [*CAPTURABLE, "erm:batches=3", "dil_sf:inner=adam_fresh,inner_steps=2"])
def test_a_captured_step_is_the_eager_step_on_the_same_draws(
    method: str, draws: Draws, device: str, capture: Capture
) -> None:
    config = replace(TINY, method=method, draws=draws, device=device)
    eager, told = trained(config, None)
    captured, told_by_graph = trained(config, capture)
    # V-REx weighs gradients by losses, which are summed in the order of the images in memory.
    atol = 0 if device == "cpu" and (method, draws) != ("vrex", "exact") else 1e-6
    for one, other in zip(eager, captured, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=atol)
    for one_step, other_step in zip(told, told_by_graph, strict=True):
        assert other_step == pytest.approx(one_step, rel=1e-6)


@graphs
def test_a_captured_step_casts_to_bfloat16_anew(device: str, capture: Capture) -> None:
    config = replace(TINY, method="dil_ss", precision="bf16", device=device)
    eager, _ = trained(config, None)
    captured, _ = trained(config, capture)
    for one, other in zip(eager, captured, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0 if device == "cpu" else 1e-6)


@on_gpu
def test_fp32_has_the_digits_of_float32_on_a_gpu() -> None:
    config = replace(TINY, backbone="plain:features=32,depth=3", method="erm")
    on_cpu, _ = trained(config, None)
    there, _ = trained(replace(config, device="cuda"), None)
    for one, other in zip(on_cpu, there, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("content", ["counterfactual", "independent"])
@pytest.mark.parametrize("protocol", ["noise-types", "hybrid", "real-sr-d1"])
def test_what_a_device_cannot_make_comes_as_images(protocol: str, content: Content) -> None:
    config = replace(
        TINY,
        protocol=protocol,
        content=content,
        draws="device",
        method="dil_pf",
        patch=16,
        enlarge=protocol == "real-sr-d1",
    )
    eager, _ = trained(config, None)
    captured, _ = trained(config, tape)
    assert all(map(torch.equal, eager, captured))


def test_exact_draws_are_the_same_from_numbers() -> None:
    run = TrainingRun.of(replace(TINY, method="dil_pf"))
    key = (3, 0, 7)
    plain = EagerEngine(run.method, run.objective, run.parameters, run.episodes).episode(key, 0.0)
    numbers = run.episodes.numbers(key)
    made = run.episodes.episode(numbers, numbers)
    batches = ([*episode.confounders, *episode.mixtures(3)] for episode in (plain, made))
    for one, other in zip(*batches, strict=True):
        assert torch.equal(one.distorted, other.distorted)
        assert torch.equal(one.clean, other.clean)


def test_device_draws_have_the_patches_and_degrees_of_exact_ones_and_noise_of_their_own() -> None:
    exact, device = (TrainingRun.of(replace(TINY, draws=draws, batch=64, patch=32)) for draws in ("exact", "device"))
    key = (0, 0, 5)
    one, other = exact.engine.episode(key, 0.0), device.engine.episode(key, 0.0)
    for sigma, ours, theirs in zip((5, 10, 15, 20), one.confounders, other.confounders, strict=True):
        assert torch.equal(ours.clean, theirs.clean)
        middle = (ours.clean > 0.4) & (ours.clean < 0.6)  # where nothing is clipped
        noises = [(batch.distorted - batch.clean)[middle] for batch in (ours, theirs)]
        assert not torch.equal(*noises)
        for noise in noises:
            assert float(noise.std()) * 255 == pytest.approx(sigma, rel=0.02)


def test_a_mixture_on_a_device_gives_every_confounder_its_equal_share() -> None:
    """By any number of processes, whose shares of the batch need not be those of the confounders."""
    run = TrainingRun.of(replace(TINY, draws="device", batch=12))
    key = (0, 0, 1)
    numbers = run.episodes.numbers(key)
    query = run.episodes.episode(numbers, numbers).query
    drawn = numbers("query")
    pieces = []
    for i, confounder in enumerate(run.episodes.confounders):
        own = unprefixed(str(i), drawn)
        assert {len(values) for values in own.values()} == {3}
        pieces.append(confounder.make(query.clean[3 * i : 3 * i + 3], own)[0])
    assert torch.equal(query.distorted, torch.cat(pieces))
    for world in (3, 4):
        sources = [replace(run.episodes, shares=Shares(rank, world)) for rank in range(world)]
        parts = [source.episode(own, own).query for source in sources for own in [source.numbers(key)]]
        assert torch.equal(torch.cat([part.distorted for part in parts]), query.distorted)


class StreamDouble:
    """A stream that knows what was made before its next work."""

    current: StreamDouble

    def __init__(self) -> None:
        self.before: set[str] = set()

    def wait_stream(self, other: StreamDouble) -> None:
        self.before |= other.before

    def __enter__(self) -> None:
        self.trunk, StreamDouble.current = StreamDouble.current, self

    def __exit__(self, *error: object) -> None:
        StreamDouble.current = self.trunk


def test_branches_wait_for_what_came_before_but_for_no_other_branch(monkeypatch: pytest.MonkeyPatch) -> None:
    trunk = StreamDouble.current = StreamDouble()
    trunk.before.add("images")
    before = []

    def make(name: str) -> torch.Tensor:
        before.append(set(StreamDouble.current.before))
        StreamDouble.current.before.add(name)
        return torch.full((), ord(name))

    monkeypatch.setattr(torch.cuda, "Stream", StreamDouble)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: StreamDouble.current)
    assert [chr(int(made)) for made in branches([partial(make, name) for name in "abc"])] == ["a", "b", "c"]
    assert before == [{"images"}] * 3
    assert StreamDouble.current is trunk
    assert trunk.before == {"images", "a", "b", "c"}


@on_gpu
def test_a_mixture_captured_in_branches_is_the_one_made_in_turn() -> None:
    config = replace(TINY, protocol="restore-noise", draws="device", batch=32, patch=24, device="cuda")
    episodes, made = TrainingRun.of(config).episodes, []
    sources = [episodes.numbers((0, 0, step)) for step in range(3)]
    parts = [{part: source(part) for part in ("content.query", "query")} for source in sources]
    inputs = StaticInputs(parts[0], episodes.device)
    inputs.load(parts[0])
    replay = cuda_graph(lambda: made.append(episodes.episode(inputs.views.__getitem__, sources[0]).query.distorted))
    for source, numbers in zip(sources, parts, strict=True):
        inputs.load(numbers)
        replay()
        in_turn = episodes.episode(on_device(source, episodes.device), source).query.distorted
        assert torch.equal(made[-1], in_turn)


def test_the_mixture_drawn_on_a_device_has_every_confounder_evenly() -> None:
    run = TrainingRun.of(replace(TINY, draws="device", batch=402, patch=24))  # no equal shares for four
    query = run.engine.episode((0, 0, 1), 0.0).query
    noise = (query.distorted - query.clean).masked_fill((query.clean < 0.2) | (query.clean > 0.8), torch.nan)
    deviations = 255 * (noise**2).flatten(1).nanmean(dim=1).sqrt()
    levels = torch.tensor([5.0, 10.0, 15.0, 20.0])
    nearest = (deviations[deviations.isfinite(), None] - levels).abs().argmin(dim=1)
    shares = torch.bincount(nearest, minlength=4) / len(nearest)
    assert shares.tolist() == pytest.approx([0.25] * 4, abs=0.08)


@pytest.mark.parametrize("method", CAPTURABLE)
def test_a_captured_method_reads_no_value_and_stays_on_its_device(method: str) -> None:
    """Tensors of the device `meta` have no values."""
    network = smooth_network().to("meta")
    drawn = episode_of(3)
    batches = [Batch(pair.distorted.to("meta"), pair.clean.to("meta")) for pair in (*drawn.confounders, drawn.query)]
    episode = Episode(batches[:-1], batches[-1], drawn.generator)
    gradient = METHODS[method]().gradient(objective_for(network), parameters_of(network), episode)
    kept = [*gradient.values(), *episode.notes.values()]
    assert {value.device.type for value in kept if isinstance(value, torch.Tensor)} == {"meta"}


def test_a_gradient_of_ones_own_is_not_captured_until_it_says_so() -> None:
    class Own(ERM):
        def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
            return super().gradient(objective, params, episode)

    class Same(ERM):
        """ERM by another name."""

    assert (Own().capturable, Same().capturable) == (False, True)


@pytest.mark.parametrize("draws", ["exact", "device"])
def test_every_method_has_draws_of_its_own_that_a_resumed_training_repeats(draws: Draws, tmp_path: Path) -> None:
    whole = replace(TINY, method="mixup", draws=draws, budget=40, out=str(tmp_path / "whole"))
    stopped = replace(whole, out=str(tmp_path / "stopped"))
    check_equal_runs(stopped, whole, (stopped_and_resumed(stopped, [3, 4]), train(whole, Event())))


def test_a_method_that_reads_values_cannot_be_recorded() -> None:
    run = TrainingRun.of(replace(TINY, method="sam"))
    engine = engine_of(run, tape)
    with pytest.raises(RuntimeError, match="reads a tensor's value"):
        engine.gradient(engine.episode((0, 0, 0), 0.0))


def test_a_graph_needs_a_gpu_and_says_so() -> None:
    with pytest.raises(UserError, match=r"^engine: a graph needs a CUDA GPU, and the device is cpu"):
        TrainingRun.of(replace(TINY, engine="graph"))
    assert isinstance(TrainingRun.of(replace(TINY, engine="auto")).engine, EagerEngine)


def test_a_study_refuses_a_method_that_no_graph_holds_before_it_trains_another() -> None:
    with pytest.raises(UserError, match=r"^engine: a graph cannot hold 'mixup', whose steps are not all alike"):
        StudyPlan.of(CompareConfig(methods=["erm", "mixup"], engine="graph", device="cuda"))


def test_a_penalty_that_sets_in_later_cannot_be_captured() -> None:
    assert VREx().capturable
    assert not VREx(anneal=0.1).capturable


def test_finite_differences_cannot_be_captured() -> None:
    assert DILss().capturable
    assert not DILss(hvp="finite-difference").capturable


def test_trainings_side_by_side_end_as_they_would_alone(tmp_path: Path) -> None:
    methods = ("erm", "dil_sf", "ema", "mixup")
    configs = [replace(TINY, method=method, seed=i, budget=40) for i, method in enumerate(methods)]
    alone = [replace(config, out=str(tmp_path / "alone" / config.method)) for config in configs]
    together = [replace(config, out=str(tmp_path / "together" / config.method)) for config in configs]
    for config in alone:
        train(config, Event())
    assert not train_side_by_side(together, Event(), [False] * len(together))
    for one, other in zip(alone, together, strict=True):
        states = [load_file(config.folder / "resume.safetensors") for config in (one, other)]
        assert states[0].keys() == states[1].keys()
        assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_a_training_that_fails_leaves_the_others_alone(tmp_path: Path) -> None:
    good, bad = (replace(TINY, method="erm", lr=lr, budget=30, out=str(tmp_path / str(lr))) for lr in (1e-3, 1e30))
    failed = train_side_by_side([good, bad], Event(), [False, False])
    assert list(failed) == [bad.folder]
    assert isinstance(failed[bad.folder], Diverged)
    assert state_of(good.folder).finished


def test_a_stop_ends_all_trainings_and_each_goes_on(tmp_path: Path) -> None:
    configs = [replace(TINY, method="erm", seed=seed, budget=30, out=str(tmp_path / str(seed))) for seed in range(2)]
    stop = Event()
    stop.set()
    assert not train_side_by_side(configs, stop, [False, False])
    assert not any(state_of(config.folder).finished for config in configs)
    assert not train_side_by_side(configs, Event(), [True, True])
    assert all(state_of(config.folder).finished for config in configs)
