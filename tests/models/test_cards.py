"""What a checkpoint says of itself: cards in files, old, new and damaged, and in words."""

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
from support.commandline import TINY, CommandLine, json_lines
from support.results import quality

from unseen.cli.card_text import card_text
from unseen.core.console import Console
from unseen.core.errors import UserError
from unseen.core.jsonl import to_json
from unseen.models.card import VALIDATION, EarlierTraining, Quality, read_card_json, safety
from unseen.models.checkpoint import CHECKPOINT, load_checkpoint, read_card, with_quality
from unseen.protocols.levels import UNDISTORTED, Level
from unseen.protocols.loading import load_protocol


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
    assert f"training before dil_sf, 6min: 64787 gradient evaluations spent, on {card.config['data'][0]}" in text
    assert "; its weights have a share of 0.4 in the next" in text
    third = replace(card, config=card.config, earlier=EarlierTraining.of(replace(again, evaluations=12)))
    assert read_card_json(third.to_json(), run) == third
    told = " ".join(printed(third).split())
    assert 0 < told.index("64787 gradient evaluations spent") < told.index("share of 0.4") < told.index("12 gradient")
    older = " ".join(printed(replace(again, earlier=None)).split())
    assert "training before runs/first: how that was trained is not recorded" in older


@pytest.mark.parametrize(("field", "value"), [("init_share", "y"), ("init", {"a": 1})])
def test_a_card_with_another_kind_of_earlier_training_is_refused_by_its_field(
    run: Path, field: str, value: object
) -> None:
    card = read_card(run)
    hostile = replace(card, config=card.config | {field: value}).to_json()
    with pytest.raises(UserError, match=rf"field 'config.{field}': expected"):
        read_card_json(hostile, run)


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
