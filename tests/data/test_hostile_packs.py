"""Packs whose files were cut, changed or exchanged: none is believed, each is refused in one line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.packs import pack_of_several_shards, photographs_to_pack

from unseen.core.errors import UserError
from unseen.data.pack import INDEX
from unseen.data.sources import training_photos


@pytest.fixture
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return pack_of_several_shards(photographs_to_pack(tmp_path / "photos"), monkeypatch)


def with_header(change: Callable[[dict[str, dict[str, object]]], object]) -> Callable[[Path], None]:
    """A change of the header of the first shard."""

    def apply(pack: Path) -> None:
        path = pack / "00000.safetensors"
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        change(header)
        path.write_bytes(content[:8] + json.dumps(header).encode().ljust(length) + content[8 + length :])

    return apply


def with_line(**fields: object) -> Callable[[Path], None]:
    """A change of the first line of the index."""

    def apply(pack: Path) -> None:
        first, *rest = (pack / INDEX).read_text().splitlines()
        (pack / INDEX).write_text("\n".join([json.dumps(json.loads(first) | fields), *rest]))

    return apply


def with_bytes(change: Callable[[bytes], bytes], name: str = "00000.safetensors") -> Callable[[Path], object]:
    """A change of the bytes of a file."""
    return lambda pack: (pack / name).write_bytes(change((pack / name).read_bytes()))


def in_place_of_a_shard(pack: Path, make: Callable[[Path], object]) -> None:
    (pack / "00000.safetensors").unlink()
    make(pack / "00000.safetensors")


HUGE = (2**60).to_bytes(8, "little")
HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "header of an impossible size": (
        with_bytes(lambda b: HUGE + b[8:]),
        r"00000.safetensors: its header has \d+ bytes",
    ),
    "header cut short": (with_bytes(lambda b: b[:100]), "00000.safetensors: its header has .* cut short"),
    "file cut short": (with_bytes(lambda b: b[:-9]), r"00000.safetensors: has \d+ bytes, and its header describes \d+"),
    "file too long": (with_bytes(lambda b: b + b"x"), r"00000.safetensors: has \d+ bytes, and its header describes"),
    "empty file": (with_bytes(lambda b: b""), "00000.safetensors: cannot be read"),
    "no JSON": (with_bytes(lambda b: b[:8] + b"[" * 100 + b[108:]), "00000.safetensors: its header is no JSON"),
    "missing shard": (lambda pack: (pack / "00000.safetensors").unlink(), "00000.safetensors: cannot be read: No such"),
    "pipe": (lambda pack: in_place_of_a_shard(pack, os.mkfifo), "00000.safetensors: is no regular file"),
    "link": (
        lambda pack: in_place_of_a_shard(pack, lambda path: path.symlink_to("00001.safetensors")),
        "00000.safetensors: is no regular file",
    ),
    "other type": (
        with_header(lambda h: h["clean/0"].update(dtype="F32")),
        "'clean/0': dtype: expected 'U8', got 'F32'",
    ),
    "negative side": (with_header(lambda h: h["clean/0"].update(shape=[-1, 2, 3])), "'clean/0': shape: expected two"),
    "huge side": (with_header(lambda h: h["clean/0"].update(shape=[2**70, 1, 3])), "'clean/0': shape: expected two"),
    "true for one": (with_header(lambda h: h["clean/0"].update(shape=[True, 2, 3])), "'clean/0': shape: expected two"),
    "other offsets": (
        with_header(lambda h: h["clean/0"].update(data_offsets=[0, 5])),
        "'clean/0': data_offsets: expected 2160 bytes",
    ),
    "overlap": (
        with_header(lambda h: h.update({"x/y": h["clean/0"]})),
        "'x/y': data_offsets: begins at 0, and expected is 2160",
    ),
    "hole": (with_header(lambda h: h.pop("clean/0")), "'thumbnail/0': data_offsets: begins at 2160, and expected is 0"),
    "twice in the header": (
        with_bytes(lambda b: b.replace(b'"thumbnail/0"', b'"clean/0"    ', 1)),
        "00000.safetensors: its header names 'clean/0' twice",
    ),
    "path elsewhere": (with_line(shard="../00000.safetensors"), "line 1: field 'shard': expected a name such as 00000"),
    "no array": (with_line(clean="clean/99"), "'00.png': clean: 00000.safetensors has no array 'clean/99'"),
    "other size": (with_line(height=7), "'00.png': height and width: 7 and 60, and the array has"),
    "negative size": (with_line(height=-7), "line 1: field 'height': expected a whole number of 1 or more"),
    "a picture for a thumbnail": (with_line(thumbnail="clean/0"), "'00.png': thumbnail: expected two sides"),
    "no digest": (with_line(digest="../x"), "line 1: field 'digest': expected 64 hexadecimal digits"),
    "unknown field": (with_line(run="os.system"), "line 1: unknown field 'run'"),
    "named twice": (with_line(name="01.png"), "name: '01.png' is in two lines"),
    "lost lines": (
        with_bytes(lambda b: b.splitlines(keepends=True)[0], INDEX),
        "belongs to no line of pack.jsonl, which is cut short",
    ),
    "no line": (with_bytes(lambda b: b"\n", INDEX), "pack.jsonl: names no photograph"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_pack_is_refused_in_one_line(case: str, pack: Path) -> None:
    change, message = HOSTILE[case]
    change(pack)
    with pytest.raises(UserError, match=message) as refusal:
        training_photos([str(pack)])
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).startswith(str(pack))
