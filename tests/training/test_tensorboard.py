"""What TensorBoard shows of a training is what log.jsonl says, and the training is the same without it."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.commandline import TINY as TINY_WORDS
from support.commandline import CommandLine, json_lines
from support.trainings import TINY, StopAfter, check_equal_runs, trained
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from unseen.core.errors import UserError
from unseen.data.tensors import to_tensor
from unseen.models.checkpoint import load_checkpoint
from unseen.training.config import TrainConfig
from unseen.training.run import TrainingRun
from unseen.training.state import EVENTS, LOG, save_run

SHORT = replace(TINY, method="group_dro", budget=8 * 4, clip=0.5, warmup=0.25, schedule="constant", tensorboard=True)
"""Eight steps, with a validation after every other one."""


@pytest.fixture
def short(photos: Path, tmp_path: Path) -> TrainConfig:
    return replace(SHORT, data=[str(photos)], out=str(tmp_path / "run"))


def shown(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    return events.Reload()


def curves(events: EventAccumulator) -> dict[str, list[tuple[int, float]]]:
    return {tag: [(point.step, point.value) for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def logged(folder: Path) -> dict[str, list[tuple[int, Any]]]:
    lines = json_lines(folder / LOG)
    return {
        name: [(int(line["evaluations"]), pytest.approx(line[name], rel=1e-6)) for line in lines]
        for name in lines[0]
        if name != "evaluations"
    }


def picture(events: EventAccumulator, tag: str, i: int) -> np.ndarray[Any, Any]:
    encoded = events.Images(tag)[i].encoded_image_string
    return np.asarray(Image.open(io.BytesIO(encoded)))


def test_tensorboard_shows_what_the_log_says_and_the_training_is_the_same(short: TrainConfig, tmp_path: Path) -> None:
    config, plain = short, replace(short, out=str(tmp_path / "plain"), tensorboard=False)
    check_equal_runs(config, plain, (trained(config), trained(plain)))
    assert not list(plain.folder.glob(EVENTS))
    events = shown(config.folder)
    curve_by_name = curves(events)
    rates = curve_by_name.pop("lr")
    assert curve_by_name == logged(config.folder)
    assert {"loss", "waiting", "clipped", "seen_psnr", "held_out_psnr", "largest_q", "seconds"} <= curve_by_name.keys()
    assert [rate for _, rate in rates] == pytest.approx([1e-3] * 4)  # after the first quarter, which warms up

    validation = TrainingRun.of(config).validation
    (_, crop), *_ = validation.crops
    tags = events.Tags()["images"]
    assert tags == ["seen, gaussian_noise:5", "held-out, gaussian_noise:25"]  # and nothing unseen
    for tag in tags:
        first, last = picture(events, tag, 0), picture(events, tag, 3)
        noisy, restored, clean = np.split(last, 3, axis=1)
        assert np.array_equal(clean, crop.pixels)
        assert np.array_equal(first[:, : noisy.shape[1]], noisy)
        assert not np.array_equal(first, last)
        assert np.std(noisy.astype(float) - clean) > 3
        network, _ = load_checkpoint(config.folder)
        with torch.inference_mode():
            mine = network(to_tensor(noisy)).clamp(0, 1)
        assert torch.allclose(mine, to_tensor(restored), atol=3 / 255)  # 8 bits cut off a fraction of both


def test_a_killed_training_goes_on_without_points_twice(short: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    saves: list[int] = []

    def killed_at_the_second(*args: Any, **settings: Any) -> None:
        saves.append(1)
        if len(saves) == 2:
            raise KeyboardInterrupt
        save_run(*args, **settings)

    monkeypatch.setattr("unseen.training.observer.save_run", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        trained(short)
    assert len(curves(shown(short.folder))["loss"]) == 2
    monkeypatch.setattr("unseen.training.observer.save_run", save_run)
    assert trained(short, resume=True).finished
    events = shown(short.folder)
    curve_by_name = curves(events)
    del curve_by_name["lr"]
    assert curve_by_name == logged(short.folder)
    assert len(events.Images("seen, gaussian_noise:5")) == 4


def test_tensorboard_begun_in_the_middle_has_the_whole_curve_and_a_new_training_none_of_the_old(
    short: TrainConfig,
) -> None:
    trained(replace(short, tensorboard=False), StopAfter(5))
    assert trained(short, resume=True).finished
    assert curves(shown(short.folder))["loss"] == logged(short.folder)["loss"]
    trained(replace(short, lr=1e-4))
    curve_by_name = curves(shown(short.folder))
    assert [rate for _, rate in curve_by_name.pop("lr")] == pytest.approx([1e-4] * 4)
    assert curve_by_name == logged(short.folder)


def test_unseen_levels_are_shown_to_an_oracle_alone(short: TrainConfig) -> None:
    trained(replace(short, select="oracle", validations=1, budget=16))
    events = shown(short.folder)
    assert events.Tags()["images"][2].startswith("unseen, ")
    assert curves(events)["unseen_psnr"] == logged(short.folder)["unseen_psnr"]


def test_without_the_extra_one_line_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(UserError, match=r"^tensorboard: needs TensorBoard: pip install .*\[tensorboard\]'?$"):
        TrainConfig(tensorboard=True).check()


@pytest.mark.usefixtures("empty_page")
def test_a_study_writes_the_curves_of_its_runs_and_is_the_same_study_without(
    unseen: CommandLine, photos: Path, tests: Path, tmp_path: Path
) -> None:
    words = ["compare", *TINY_WORDS, "--methods", "erm", "--data", photos, "--test", tests, "--out", tmp_path]
    unseen(*words, "--tensorboard")
    before = (tmp_path / "erm-0" / "resume.safetensors").stat()
    assert curves(shown(tmp_path / "erm-0"))["loss"] == logged(tmp_path / "erm-0")["loss"]
    unseen(*words)
    assert (tmp_path / "erm-0" / "resume.safetensors").stat() == before
