"""Small files of weights that ask for huge work, and files that are no weights: one line, in little time and memory."""

from __future__ import annotations

import json
import re
import resource
import struct
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Thread

import pytest
import torch
from safetensors.torch import save_file

from unseen.core.errors import UserError
from unseen.models.backbones import PlainCNN
from unseen.models.card import Card
from unseen.models.checkpoint import load_checkpoint, read_card, save_checkpoint
from unseen.models.limits import building_for
from unseen.models.loading import load_model
from unseen.models.spandrel_weights import read_tensors
from unseen.training.config import TrainConfig


@contextmanager
def little_work(seconds: float = 5, mebibytes: int = 500) -> Iterator[None]:
    """Check the processor time and the growth of the peak memory of a block."""
    began, peak = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert time.process_time() - began < seconds
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < mebibytes * 1024


def checkpoint_naming(spec: str, path: Path) -> Path:
    save_checkpoint(path, PlainCNN().state_dict(), Card("0", asdict(TrainConfig(backbone=spec)), "h", 1))
    return path


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("rrdb:blocks=100000000", "100000000 is too large for a setting of a network"),
        ("rrdb:blocks=9999", "has far more weights than the file holds"),
        ("plain:depth=9999", "has far more weights than the file holds"),
        ("plain:features=9999", "makes a tensor that is far larger than the file"),
        ("unet:levels=9999", "has far more weights than the file holds"),
        ("plain_ne:depth=100000000", "100000000 is too large for a setting of a network"),
    ],
)
def test_a_card_names_no_network_that_is_larger_than_its_file(spec: str, reason: str, tmp_path: Path) -> None:
    path = checkpoint_naming(spec, tmp_path / "a.safetensors")
    with little_work(), pytest.raises(UserError, match=re.escape(f"{path}: backbone: {spec!r}: {reason}")):
        load_checkpoint(path)


@pytest.mark.zoo
@pytest.mark.parametrize(
    "spec",
    [
        "swinir:window_size=200",
        "swinir:embed_dim=9000",
        "swinir:depths=[9999]",
        "hat:window_size=99",
        "grl:window_size=999",
        "drunet:nb=9999",
        "rcan:n_resgroups=9999,n_resblocks=9999",
    ],
)
def test_a_card_names_no_network_of_the_zoo_that_is_larger_than_its_file(spec: str, tmp_path: Path) -> None:
    path = checkpoint_naming(spec, tmp_path / "a.safetensors")
    with little_work(20), pytest.raises(UserError, match=rf"^{path}: backbone: .*(far larger|far more weights)"):
        load_checkpoint(path)


def test_what_a_limit_watches_is_made_as_without_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = PlainCNN(features=4, depth=3)
    path = tmp_path / "a.safetensors"
    spec = "plain:features=4,depth=3"
    save_checkpoint(path, network.state_dict(), Card("0", asdict(TrainConfig(backbone=spec)), "h", 1))
    torch.manual_seed(1)
    state = torch.get_rng_state()
    loaded, _ = load_checkpoint(path)
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in loaded.state_dict().items())
    torch.set_rng_state(state)
    PlainCNN(features=4, depth=3)
    after = torch.get_rng_state()
    torch.set_rng_state(state)
    load_checkpoint(path)
    assert torch.equal(torch.get_rng_state(), after)  # watching draws nothing


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth", "a.pt", "a.ckpt"])
@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE html>\n<html>",
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "Not found, sorry",
    ],
)
def test_text_in_place_of_weights_is_called_so(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    first = text.split("\n")[0]
    with pytest.raises(UserError, match=re.escape(f"{path}: holds text, {first!r}, and no weights")):
        load_model(str(path))
    with pytest.raises(UserError, match="holds text"):
        read_card(path)


@pytest.mark.parametrize("name", ["a.safetensors", "a.bin"])
def test_a_header_is_bounded_before_it_is_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(struct.pack("<Q", 2**25 + 1) + b"{" + b" " * 2**25)
    with little_work(1, 50), pytest.raises(UserError, match="its header is larger than 32 MiB, or damaged"):
        read_card(path)
    save_file({"a": torch.zeros(1)}, path, {"unseen": json.dumps({"version": "x" * 2**20})})
    with little_work(1, 50), pytest.raises(UserError, match="its card: larger than 1 MiB"):
        read_card(path)


@pytest.mark.parametrize(
    "config",
    ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, '"' + "x" * 500_000 + '"', "NaN", "null", '{"seed": 1e999}'],
    ids=range(7),
)
def test_a_card_bounds_the_work_that_it_makes(config: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    text = '{"version": "0", "protocol_hash": "", "evaluations": 1, "config": ' + config + "}"
    save_file({"a": torch.zeros(1)}, path, {"unseen": text})
    with little_work(1, 100), pytest.raises(UserError, match="its card: ") as error:
        read_card(path)
    assert len(str(error.value)) < 1000


def test_weights_with_one_number_for_all_are_refused_however_they_are_nested(tmp_path: Path) -> None:
    torch.save({"params": [{"a": torch.zeros(1).expand(10**9)}]}, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"a\.pth: its weights have more numbers than the file holds"):
        read_tensors(tmp_path / "a.pth")
    same = torch.zeros(10)
    torch.save({"params": {"a": same}, "params_ema": {"a": same}}, tmp_path / "a.pth")
    assert read_tensors(tmp_path / "a.pth")["params_ema"]["a"].shape == (10,)


def test_a_network_that_another_thread_builds_does_not_count() -> None:
    with building_for({}):
        thread = Thread(target=lambda: made.append(PlainCNN(features=1100)))
        made: list[PlainCNN] = []
        thread.start()
        thread.join()
    assert len(made) == 1


def test_an_archive_that_unpacks_to_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(10_000_000)}, tmp_path / "plain.pth")
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as plain,
        zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    with little_work(), pytest.raises(UserError, match="it unpacks to more than it holds"):
        load_model(str(tmp_path / "packed.pth"))
    torch.save({"weight": torch.zeros(()).expand(10**6, 10**6)}, tmp_path / "wide.pth")
    with little_work(), pytest.raises(UserError, match="its weights have more numbers than the file holds"):
        load_model(str(tmp_path / "wide.pth"))


@pytest.mark.parametrize(
    ("name", "value"), [("select", {}), ("select", 1), ("enlarge", "x"), ("seed", 1.5), ("data", "x"), ("backbone", [])]
)
def test_a_field_of_a_card_of_another_kind_is_refused(name: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    card = json.loads(Card("0", asdict(TrainConfig()), "h", 1).to_json())
    card["config"][name] = value
    save_file({"a": torch.zeros(1)}, path, {"unseen": json.dumps(card)})
    with pytest.raises(UserError, match=rf"^{path}: its card: field 'config\.{name}'"):
        read_card(path)
