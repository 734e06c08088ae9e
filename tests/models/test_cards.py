"""What a checkpoint says of itself: intervals against scipy, envelopes by hand, cards in files, old and new."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy import stats
from support.commandline import TINY, CommandLine, json_lines
from support.results import result
from torch import nn

from unseen.cli.card_text import card_text
from unseen.core.console import Console
from unseen.core.errors import UserError
from unseen.core.jsonl import from_json, to_json
from unseen.data.tensors import to_tensor
from unseen.evaluation import benchmark_sets as testing
from unseen.evaluation.config import EvaluateConfig
from unseen.evaluation.inputs import distort
from unseen.evaluation.metrics import psnr
from unseen.evaluation.noise import estimate_noise
from unseen.evaluation.quality import JudgedImage, measured_quality, quality_of
from unseen.models.card import VALIDATION, EarlierTraining, Quality, envelope, read_card_json, safety
from unseen.models.checkpoint import CHECKPOINT, load_checkpoint, read_card, with_quality
from unseen.protocols.levels import UNDISTORTED, Level
from unseen.protocols.loading import load_protocol

LEVEL = Level("unseen", "gaussian_noise", 30.0)


def quality(noise: float, low: float = 1.0, degree: float | str = 30.0, **others: Any) -> Quality:
    made = Quality("seen", "gaussian_noise", degree, "set", 5, 20.0, 22.0, 2.0, float(low), 4.0 - low, float(noise))
    return replace(made, **others)


def printed(card: Any, width: int = 140) -> str:
    console = Console(width=width, file=StringIO())
    console.print(card_text(card))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    """A training on three photographs, validated on one."""
    from unseen.cli.main import main

    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", *TINY, "--data", str(photos), "--out", str(folder)]) == 0
    return folder


# ------------------------------------------------------------------------------------------------- quality


def test_the_interval_is_student_s() -> None:
    psnrs = [(20.0, 21.0), (22.0, 22.5), (25.0, 28.0), (21.0, 20.5)]
    measured = Quality.of(LEVEL, "set", psnrs, 12.5)
    gains = [after - before for before, after in psnrs]
    low, high = stats.t.interval(0.95, len(gains) - 1, np.mean(gains), stats.sem(gains))
    assert (measured.gain, measured.low, measured.high) == pytest.approx((np.mean(gains), low, high))
    assert (measured.input_psnr, measured.psnr) == pytest.approx((22, 23))
    assert (measured.level, measured.dataset, measured.images, measured.noise) == (LEVEL, "set", 4, 12.5)
    assert not measured.safe  # one image lost, and of four that may be chance


def test_what_helps_every_image_is_safe_and_one_image_never_is() -> None:
    assert Quality.of(LEVEL, "set", [(20, 22), (21, 23.1), (20, 21.9)], 5).safe
    alone = Quality.of(LEVEL, "set", [(20, 22)], 5)
    assert alone.gain == 2
    assert math.isnan(alone.low)
    assert math.isnan(alone.high)
    assert not alone.safe


def test_exact_images_break_nothing() -> None:
    spoiled = Quality.of(LEVEL, "set", [(math.inf, 40), (math.inf, 42)], 0)
    assert (spoiled.input_psnr, spoiled.psnr, spoiled.gain) == (math.inf, 41, -math.inf)
    left = Quality.of(LEVEL, "set", [(math.inf, math.inf), (30, 31)], 0)
    assert left.gain == 0.5
    perfect = Quality.of(LEVEL, "set", [(30, math.inf), (30, 31)], 0)
    assert perfect.gain == math.inf
    assert not spoiled.safe
    assert not perfect.safe


def test_what_is_lossless_and_loses_nothing_visible_is_safe() -> None:
    """An exact output among others counts 60 dB: infinity would hide what the others lose."""
    for outputs, mean, safe in (
        ((54, 55.8), 54.9, False),
        ((54, 56), 55, True),
        ((math.inf, 49), 54.5, False),
        ((math.inf, 51), 55.5, True),
        ((math.inf, math.inf), math.inf, True),
    ):
        clean = Quality.of(UNDISTORTED, "set", [(math.inf, output) for output in outputs], 1.5)
        assert clean.psnr == pytest.approx(mean)
        assert clean.safe == safe


@pytest.mark.parametrize("degree", [30.0, "1.25-13.88", ""])
@pytest.mark.parametrize("values", [(20.0, 21.0), (math.inf, -math.inf), (math.nan, math.nan)])
def test_quality_is_strict_json_and_comes_back(degree: str | float, values: tuple[float, float]) -> None:
    first = quality(values[0], values[1], degree=degree, input_psnr=values[0])
    text = json.dumps(to_json(first), allow_nan=False)
    again = from_json(text, Quality)
    assert repr(again) == repr(first)  # nan is not equal to itself


@pytest.mark.parametrize(
    "change",
    [
        {"split": "training"},
        {"gain": "much"},
        {"gain": [1]},
        {"more": 1},
        {"distortion": 3},
        {"degree": [1]},
        {"degree": 10**400},
        {"dataset": None},
        {"images": "3"},
        {"images": None},
        {"images": True},
        {"images": 0},
    ],
)
def test_what_is_no_quality_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"field '{next(iter(change))}'"):
        from_json(json.dumps(to_json(quality(5)) | change), Quality)


def test_judged_images_become_quality_by_set_and_level() -> None:
    level = Level("seen", "gaussian_noise", 5.0)
    judged = [
        JudgedImage("one", UNDISTORTED, (math.inf, 33.0), 1.0),
        JudgedImage("one", level, (10.0, 12.0), 6.0),
        JudgedImage("two", level, (10.0, 9.0), math.nan),
        JudgedImage("one", UNDISTORTED, (math.inf, 34.0), 2.0),
        JudgedImage("one", level, (10.0, 13.0), 7.0),
    ]
    qualities = quality_of(judged)
    assert [(q.dataset, q.level, q.images, q.gain) for q in qualities] == [
        ("one", level, 2, 2.5),
        ("one", UNDISTORTED, 2, -math.inf),
        ("two", level, 1, -1),
    ]
    assert qualities[0].noise == 6.5
    assert math.isnan(qualities[2].noise)
    clean = qualities[1]
    assert (clean.input_psnr, clean.psnr, clean.noise, clean.safe) == (math.inf, 33.5, 1.5, False)


# ------------------------------------------------------------------------------------------------ envelope


def test_the_envelope_is_the_longest_run_of_safe_levels() -> None:
    levels = [
        quality(1, -1),
        quality(3),
        quality(5),
        quality(8, -0.1),
        quality(15),
        quality(25),
        quality(40),
        quality(50, -2),
    ]
    safe = envelope(reversed(levels))
    assert safe is not None
    assert (safe.low, safe.high) == (15, 40)
    assert (safe.lowest, safe.highest) == (levels[4], levels[6])


def test_another_distortion_that_reads_alike_ends_it_too() -> None:
    levels = [quality(noise) for noise in (2, 4, 6, 8)]
    safe = envelope([*levels, quality(5, -1, distortion="jpeg")])
    assert safe is not None
    assert (safe.low, safe.high) == (2, 4)


def test_undistorted_photographs_that_lose_nothing_visible_take_it_down_to_0() -> None:
    clean = Quality.of(UNDISTORTED, "set", [(math.inf, 56)] * 3, 1.5)
    safe = envelope([clean, *map(quality, (1, 3, 5))])
    assert safe is not None
    assert (safe.low, safe.high, safe.lowest.noise) == (0, 5, 1)
    assert safety([clean, quality(3)]).endswith(
        "(3 images or more a level); undistorted photographs lose nothing visible."
    )
    below = envelope([quality(0.5, -1), clean, *map(quality, (3, 5))])
    assert below is not None
    assert below.low == 1.5
    without = envelope([*map(quality, (1, 3, 5))])
    assert without is not None
    assert without.low == 1


def test_undistorted_photographs_that_lose_more_are_never_inside() -> None:
    clean = Quality.of(UNDISTORTED, "set", [(math.inf, 50)] * 3, 1.5)
    safe = envelope([quality(0.4, distortion="jpeg"), quality(0.6, distortion="jpeg"), clean, *map(quality, (3, 5, 8))])
    assert safe is not None
    assert (safe.low, safe.high) == (3, 8)


@pytest.mark.parametrize(
    "levels",
    [[], [quality(5)], [quality(5), quality(6, -1)], [quality(5), quality(math.nan)], [quality(5, math.nan)] * 3],
)
def test_without_two_neighbours_there_is_none(levels: list[Quality]) -> None:
    assert envelope(levels) is None
    assert "not known" in safety(levels)


def test_the_sentence_names_both_ends() -> None:
    sentence = safety([quality(2.84, degree=2.0), quality(31.26, degree=30.0)])
    assert all(word in sentence for word in ("2.8 to 31.3", "gaussian noise 2 ", "gaussian noise 30"))


def test_the_sentence_tells_on_how_few_images_it_rests() -> None:
    """Within the envelope alone."""
    levels = [quality(3, images=9), quality(5, images=4), quality(8, images=7), quality(12, -1, images=2)]
    assert "(4 images or more a level)" in safety(levels)


# --------------------------------------------------------------------------------------------- checkpoints


def test_a_training_tells_who_what_and_how(run: Path) -> None:
    card = read_card(run)
    protocol = load_protocol("denoise")
    assert card.photographs == 3
    assert card.levels == tuple(level for level, _ in protocol.levels())
    assert card.protocol_hash == protocol.hash()
    assert card.evaluations == 16


def test_where_photographs_are_from_and_how_they_were_shrunk_is_shown(run: Path) -> None:
    card = read_card(run)
    assert not {"credits", "shrunk,", "shrunk"} & set(printed(card).split())
    credits = "400 photographs under open licences; docs/credits.md names every author"
    text = printed(replace(card, config=card.config | {"credits": credits, "shrink": 2.0}))
    assert f"credits     {credits}" in text
    assert "3 photographs, shrunk by up to 2; digest" in text


def test_its_quality_agrees_with_what_it_validated_by(run: Path) -> None:
    qualities = read_card(run).quality
    last = json_lines(run / "log.jsonl")[-1]
    for split in ("seen", "held-out"):
        means = [q.psnr for q in qualities if q.split == split]
        assert np.mean(means) == pytest.approx(last[f"{split.replace('-', '_')}_psnr"])
    protocol = load_protocol("denoise")
    assert [q.level for q in qualities] == [*(level for level, _ in protocol.levels()), UNDISTORTED]
    assert {(q.dataset, q.images, q.safe) for q in qualities} == {(VALIDATION, 1, False)}


def test_the_quality_is_of_the_weights_that_were_kept(unseen: CommandLine, photos: Path, tmp_path: Path) -> None:
    """The best of several on held-out levels, at a rate at which the last are not the best."""
    unseen(
        "train", *TINY, "--data", photos, "--out", tmp_path, "--select", "held-out", "--lr", "0.3", "--validations", 4
    )
    log = [line["held_out_psnr"] for line in json_lines(tmp_path / "log.jsonl")]
    psnrs = [q.psnr for q in read_card(tmp_path).quality if q.split == "held-out"]
    assert np.mean(psnrs) == pytest.approx(max(log))
    assert "chosen on some of them" in printed(read_card(tmp_path))


def test_an_interrupted_training_tells_no_quality(
    unseen: CommandLine, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import signal

    from unseen.training.observer import Observer

    validate = Observer.validate

    def interrupted(*arguments: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        validate(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Observer, "validate", interrupted)
        unseen("train", *TINY, "--data", photos, "--out", tmp_path, code=130)
    assert read_card(tmp_path).quality == ()
    unseen("train", "--resume", "--out", tmp_path)
    assert read_card(tmp_path).quality


def test_measured_quality_takes_its_place_and_the_weights_stay(run: Path, tmp_path: Path) -> None:
    path = tmp_path / CHECKPOINT
    path.write_bytes((run / CHECKPOINT).read_bytes())
    before, card, age = load_file(path), read_card(path), path.stat().st_mtime_ns
    measured = [quality(3), quality(math.nan, math.nan, gain=math.inf)]
    assert repr(with_quality(tmp_path, measured)) == repr(replace(card, quality=tuple(measured)))
    assert repr(read_card(path)) == repr(replace(card, quality=tuple(measured)))
    after = load_file(path)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert path.stat().st_mtime_ns == age
    assert [file.name for file in tmp_path.iterdir()] == [CHECKPOINT]


def old_checkpoint(run: Path, path: Path, **changes: Any) -> Path:
    """As version 0.1.0 wrote them, before cards told levels and quality."""
    card = read_card(run)
    values = {name: getattr(card, name) for name in ("version", "config", "protocol_hash", "evaluations", "data")}
    save_file(load_file(run / CHECKPOINT), path, metadata={"unseen": json.dumps({**values, **changes})})
    return path


def test_an_old_checkpoint_still_loads_and_says_what_is_not_known(run: Path, tmp_path: Path) -> None:
    path = old_checkpoint(run, tmp_path / "old.safetensors")
    _, card = load_checkpoint(path)
    assert (card.levels, card.quality, card.photographs) == ((), (), 0)
    text = printed(card)
    assert "not recorded" in text
    assert safety(()) in " ".join(text.split())
    with_quality(path, [quality(3), quality(9)])
    assert "Safe where" in printed(read_card(path))


@pytest.mark.parametrize(
    "changes",
    [{"quality": [{}]}, {"quality": 3}, {"levels": [["seen"]]}, {"levels": [["seen", "x", []]]}, {"colour": 1}],
)
def test_a_damaged_card_is_refused_by_name(run: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    path = old_checkpoint(run, tmp_path / "odd.safetensors", **changes)
    with pytest.raises(UserError, match=r"odd\.safetensors"):
        read_card(path)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"evaluations": "x"}, "'evaluations': expected a finite number, got 'x'"),
        ({"evaluations": 10**400}, "'evaluations': expected a finite number, got 10"),
        ({"config": None}, "'config': expected an object, got None"),
        ({"data": 5}, "'data': expected text, got 5"),
        ({"photographs": "many"}, "'photographs': expected a whole number, got 'many'"),
        ({"version": ["1"]}, r"'version': expected text, got \['1'\]"),
        ({"protocol_hash": 5}, "'protocol_hash': expected text, got 5"),
        ({"levels": 7}, "'levels': expected a list, got 7"),
        ({"levels": [["seen", 5, 1.0]]}, r"'levels\.0\.1': expected text, got 5"),
        ({"quality": [to_json(quality(5)) | {"images": "3"}]}, r"'quality\.0\.images': expected a whole .*, got '3'"),
        ({"quality": [to_json(quality(5)) | {"images": None}]}, r"'quality\.0\.images': expected a .*, got None"),
    ],
)
def test_a_field_of_another_kind_is_refused_by_name(
    run: Path, tmp_path: Path, unseen: CommandLine, changes: dict[str, Any], field: str
) -> None:
    path = old_checkpoint(run, tmp_path / "odd.safetensors", **changes)
    with pytest.raises(UserError, match=rf"odd\.safetensors: its card: field {field}"):
        read_card(path)
    unseen("card", path, code=2)


@pytest.mark.parametrize(
    "changes", [{"data": 5}, {"data": "/a"}, {"pairs": [3]}, {"seed": "x"}, {"seed": True}, {"credits": 5}]
)
def test_a_configuration_of_another_kind_is_refused_by_name(run: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    config = read_card(run).config | changes
    path = old_checkpoint(run, tmp_path / "odd.safetensors", config=config)
    with pytest.raises(
        UserError, match=rf"odd\.safetensors: its card: field 'config\.{next(iter(changes))}\b.*': expected"
    ):
        read_card(path)


def test_the_card_of_code_of_one_s_own_is_read_without_it(run: Path, tmp_path: Path) -> None:
    config = {**read_card(run).config, "backbone": "no_such_module.Net"}
    path = old_checkpoint(run, tmp_path / "own.safetensors", config=config)
    assert "no_such_module.Net" in printed(read_card(path))


def test_the_card_in_words_tells_good_and_bad_and_untested(run: Path) -> None:
    card = read_card(run)
    split, kind, degree = card.levels[0]
    safe = quality(5, split=split, distortion=kind, degree=degree, gain=1.234, low=1.1, high=1.37)
    measured = (safe, quality(6), quality(7, -0.5, distortion="jpeg"), quality(8, distortion="salt_and_pepper"))
    text = " ".join(printed(replace(card, quality=measured)).split())
    assert "+1.23" in text
    assert "[+1.10, +1.37]" in text
    assert f"Never tested on {card.levels[1][1].replace('_', ' ')} {card.levels[1][2]:g}" in text
    assert all(word in text for word in (card.config["backbone"], card.data, card.protocol_hash, "3 photographs"))


def test_a_level_that_reads_outside_of_the_safe_range_is_not_marked_safe(run: Path) -> None:
    """Its gain is sure, and yet another level that reads alike does harm: who restores cannot tell them apart."""
    levels = [quality(5), quality(6), quality(3, -0.5, distortion="jpeg"), quality(2, distortion="salt_and_pepper")]
    assert levels[3].safe
    lines = printed(replace(read_card(run), quality=tuple(levels))).splitlines()
    assert ["yes" in line for line in lines if "[" in line] == [True, True, False, False]
    assert "yes" not in printed(replace(read_card(run), quality=tuple(levels[:1])))  # one level is no range


def test_undistorted_photographs_have_their_output_and_loss(run: Path) -> None:
    clean = Quality.of(UNDISTORTED, "set", [(math.inf, 33.0), (math.inf, 33.2)], 0.5)
    text = " ".join(printed(replace(read_card(run), quality=(quality(5), clean))).split())
    assert "∞ 33.10 loss" in text
    assert "lossless input; output 33.1 dB (set)" in text
    assert "−∞" not in text
    (measured,) = [q for q in read_card(run).quality if q.level == UNDISTORTED]
    assert math.isfinite(measured.psnr)


def test_a_level_that_distorts_nothing_and_undistorted_photographs_are_one_row(run: Path) -> None:
    outputs = [(math.inf, 33.0), (math.inf, 33.2)]
    clean = Quality.of(UNDISTORTED, "set", outputs, 0.5)
    twice = Quality.of(Level("seen", "gaussian_noise", 0), "set", outputs, 0.5)
    for others, rows in [((clean,), 1), ((replace(clean, psnr=34.0),), 2), ((), 1)]:
        text = printed(replace(read_card(run), quality=(quality(5), twice, *others)))
        assert text.count("∞") == rows


def test_the_training_with_whose_weights_another_began_is_told(run: Path) -> None:
    card = read_card(run)
    config = card.config | {"init": "runs/first", "init_share": 0.4}
    earlier = EarlierTraining.of(replace(card, evaluations=64787, config=config | {"budget": "6min"}))
    again = replace(card, config=config, earlier=earlier)
    assert read_card_json(again.to_json(), run) == again
    text = " ".join(printed(again).split())
    assert f"first training dil_sf, 6min: 64787 gradient evaluations spent, on {card.config['data'][0]}" in text
    assert "; its weights have a share of 0.4" in text
    older = " ".join(printed(replace(again, earlier=None)).split())
    assert "first training runs/first: how that was trained is not recorded" in older


@pytest.mark.parametrize(("field", "value"), [("init_share", "y"), ("init", {"a": 1})])
def test_a_card_with_another_kind_of_earlier_training_is_refused_by_its_field(
    run: Path, field: str, value: object
) -> None:
    card = read_card(run)
    hostile = replace(card, config=card.config | {field: value}).to_json()
    with pytest.raises(UserError, match=rf"field 'config.{field}': expected"):
        read_card_json(hostile, run)


# ------------------------------------------------------------------------------------------------ readings


def test_the_quality_is_of_the_images_that_are_restored_and_results_stand_for_them(tests: Path) -> None:
    protocol = load_protocol("denoise")
    benchmark = testing.BenchmarkSets.load(EvaluateConfig(test=[f"mine={tests}"]), protocol, [])
    network = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    qualities = measured_quality(network, benchmark.photos, protocol, "cpu", seed=7)
    assert [q.level for q in qualities] == [*(level for level, _ in protocol.levels()), UNDISTORTED]
    level, confounder = protocol.levels()[-1]
    noise, gains = [], []
    for dataset, photo in benchmark.photos:
        image, clean = distort(photo, confounder, protocol.convention, 7, dataset), to_tensor(photo.pixels)
        noise.append(estimate_noise([image[0].permute(1, 2, 0).numpy()]))
        gains.append(float(psnr(network(image), clean, protocol.convention) - psnr(image, clean, protocol.convention)))
    assert qualities[-2].noise == pytest.approx(np.mean(noise))
    assert qualities[-2].gain == pytest.approx(np.mean(gains), abs=1e-4)
    rows = [
        result(dataset="mine", image=photo.name, psnr=99.0, input_psnr=9.0, **level._asdict())
        for _, photo in benchmark.photos
    ]
    known = measured_quality(network, benchmark.photos, protocol, "cpu", seed=7, results=rows)
    assert known[-2].gain == 90
    assert known[:-2] == qualities[:-2]


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("erm", "method erm protocol"),
        ("ceiling", "ceiling, which trains on the unseen levels too: a yardstick"),
        ("widened_erm", "widened_erm, which trains on degrees made of the seen ones too"),
    ],
)
def test_a_card_tells_what_its_method_trained_on_beside_the_seen_levels(
    run: Path, tmp_path: Path, unseen: CommandLine, method: str, told: str
) -> None:
    config = read_card(run / CHECKPOINT).config | {"method": method}
    said = unseen("card", old_checkpoint(run, tmp_path / "x.safetensors", config=config)).out
    assert told in " ".join(said.split())
