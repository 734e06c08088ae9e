"""Files of protocols: those of one's own, and those that must be refused."""

from __future__ import annotations

import json
import math
import re
import time
from pathlib import Path

import pytest
from support.protocol_files import GOOD

from unseen.core.errors import UserError
from unseen.core.yaml12 import dump, load
from unseen.protocols.loading import load_protocol


def test_a_file_of_one_s_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(dump(GOOD | {"convention": {"channels": "y"}}))
    protocol = load_protocol(str(path))
    assert (protocol.name, protocol.convention.channels) == ("mine", "y")
    changed = tmp_path / "changed.yaml"
    changed.write_text(json.dumps(GOOD | {"unseen": ["gaussian_noise:31"]}))
    assert load_protocol(str(changed)).hash() != protocol.hash()


@pytest.mark.parametrize(
    ("change", "line", "message"),
    [
        ({"seeen": []}, "seeen: []", "unknown field 'seeen' (did you mean 'seen'?)"),
        ({"seen": ["gausian_noise:5"]}, "- gausian_noise:5", "seen[0]: 'gausian_noise' is none of "),
        ({"seen": ["gausian_noise:5"]}, "- gausian_noise:5", "(did you mean 'gaussian_noise'?)"),
        ({"seen": "gaussian_noise:5"}, "seen: gaussian_noise:5", "seen: expected a list"),
        ({"seen": []}, "seen: []", "seen: expected a list"),
        (
            {"unseen": ["gaussian_noise:30", "gaussian_noise:300"]},
            "- gaussian_noise:300",
            "unseen[1]: 'gaussian_noise:300': sigma 300.0 is not within 0 to 255",
        ),
        ({"unseen": ["gaussian_noise"]}, "- gaussian_noise", "unseen[0]: 'gaussian_noise': needs sigma"),
        ({"unseen": ["gaussian_noise:20"]}, "- gaussian_noise:20", "gaussian_noise:20, which is seen"),
        ({"unseen": ["gaussian_noise:12"]}, "- gaussian_noise:12", "overlaps the seen range 5 to 20"),
        ({"unseen": ["gaussian_noise:[6,9]"]}, "- gaussian_noise:[6,9]", "overlaps the seen range 5 to 20"),
        ({"unseen": ["gaussian_noise:[1,90]"]}, "- gaussian_noise:[1,90]", "overlaps gaussian_noise:5, which is seen"),
        ({"unseen": ["gaussian_noise:25"]}, "- gaussian_noise:25", "gaussian_noise:25, which is held-out"),
        (
            {"unseen": ["unseen.distortions.GaussianNoise:12"]},
            "- unseen.distortions.GaussianNoise:12",
            "overlaps the seen range 5 to 20",
        ),
        (
            {"seen": ["gaussian_noise:5", "gaussian_noise:5,clip=false"]},
            "- gaussian_noise:5,clip=false",
            "seen[1]: gaussian_noise:5,clip=false would be one with gaussian_noise:5 in the results, which name both "
            "gaussian_noise of degree 5: change a degree, or join the two by ' | '",
        ),
        (
            {"seen": ["pairs:b", "pairs:a", "pairs:b"]},
            "- pairs:b",
            "seen[2]: pairs:b is listed twice",
        ),
        (
            {"seen": ["pairs:a"], "unseen": ["pairs:b", "pairs:a"]},
            "- pairs:a",
            "unseen[1]: pairs:a overlaps pairs:a, which is seen",
        ),
        (
            {"seen": ["hybrid:severe,noise"], "unseen": ["hybrid:mild", "hybrid:severe"]},
            "- hybrid:severe",
            "unseen[1]: hybrid:severe overlaps hybrid:severe,noise, which is seen",
        ),
        (
            {"seen": ["gaussian_noise:5 > jpeg:40"], "unseen": ["gaussian_noise:5 > jpeg:40"]},
            "- gaussian_noise:5 > jpeg:40",
            "which is seen",
        ),
        ({"seen": ["pairs:"]}, "- 'pairs:'", "seen[0]: 'pairs:': needs the name of a set"),
        (
            {"unseen": ["jpeg:5 > jpeg:6 | jpeg:7"]},
            "- jpeg:5 > jpeg:6 | jpeg:7",
            "joins in two ways at once, > and | ; keep to one",
        ),
        ({"unseen": ["downsample:4"]}, "- downsample:4", "downsample:4 shrinks by 4, and the protocol's scale is 1"),
        ({"scale": 0}, "scale: 0", "scale: 0 is below 1"),
        ({"tests": 5}, "tests: 5", "tests: expected a list"),
        ({"notes": [5]}, "- 5", "notes[0]: expected text, not 5"),
        (
            {"convention": {"chanels": "y"}},
            "chanels: y",
            "convention: unknown field 'chanels' (did you mean 'channels'?)",
        ),
        ({"convention": {"border": -1}}, "border: -1", "convention.border: -1 is no number of pixels"),
        (
            {"reported": [{"source": "x", "columns": ["a", "b"], "rows": [["1", "2"], ["3"]]}]},
            "- - '3'",
            "reported[0].rows[1]: 1 cells for 2 columns",
        ),
        (
            {"reported": [{"source": "x", "columns": ["a", "b"], "rows": "none"}]},
            "rows: none",
            "reported[0].rows: expected a list",
        ),
        ({"reported": [{"source": "x"}]}, "- source: x", "reported[0]: field 'columns' is missing"),
        ({"version": "one"}, "version: one", "version: expected a whole number"),
        ({"seen": [{"haze": [1, 2]}]}, "- haze:", "seen[0]: YAML reads {'haze': [1, 2]} here; "),
        ({"version": True}, "version: true", "version: expected a whole number, not True"),
        ({"scale": True}, "scale: true", "scale: expected a whole number, not True"),
        ({"enlarged_by": 4}, "enlarged_by: 4", "unknown field 'enlarged_by'"),
        ({"seen": ["pairs:a > jpeg:30"]}, "- pairs:a > jpeg:30", "seen[0]: 'pairs:a > jpeg:30': recorded pairs cannot"),
    ],
)
def test_bad_files_are_refused_by_file_line_and_field(
    change: dict[str, object], line: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(dump(GOOD | change))
    with pytest.raises(UserError) as caught:
        load_protocol(str(path))
    said = str(caught.value)
    assert message in said
    assert "\n" not in said
    where = re.match(rf"{re.escape(str(path))}, line (\d+): ", said)
    assert where, said
    assert path.read_text().splitlines()[int(where[1]) - 1].strip() == line


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{'bcdefghij'[i]}: &{'bcdefghij'[i]} [{','.join(['*' + 'abcdefghi'[i]] * 10)}]\n" for i in range(9)
)
"""Ten lines that stand for 10¹⁰ values."""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nunseen: [jpeg:5]\nunseen: [jpeg:6]", 'line 3: not YAML: found duplicate key "unseen"'),
        ("name: a\nconvention: {border: 1,\n  border: 2}", 'line 3: not YAML: found duplicate key "border"'),
        ("about: a\nname: &a [*a]", "line 2: not YAML: an alias stands for a value that contains the alias"),
        (
            "about: a\nconvention: &a {border: [*a]}",
            "line 2: not YAML: an alias stands for a value that contains the alias",
        ),
        ("name: " + "[" * 5000, "line 1: not YAML: nested more than 50 deep"),
        ("".join(" " * i + "a:\n" for i in range(200)), "line 50: not YAML: nested more than 50 deep"),
        ("scale: " + "9" * 5000, "line 1: not YAML: a whole number of 5000 digits"),
        ("about: " + "x" * 65536, "not a protocol: larger than 64 KiB"),
        (BOMB, "line 4: not YAML: more than 10000 values, aliases counted"),
        ("about: &a " + "x" * 30000 + "\nnotes: [" + "*a," * 40 + "]", "line 2: not YAML: more than 10000 values"),
        ("notes: [" + "x," * 20000 + "]", "line 1: not YAML: more than 10000 values, aliases counted"),
        ("name: !!int x", "not YAML: invalid literal for int() with base 10: 'x'"),
        ("name: !!timestamp x", "line 1: not YAML: "),
    ],
)
def test_what_yaml_lets_pass_is_refused_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    began = time.process_time()
    with pytest.raises(UserError, match=rf"bad\.yaml(, |: ){re.escape(message)}") as caught:
        load_protocol(str(path))
    assert time.process_time() - began < 2  # half of a second, on a processor that does nothing else
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("seen", "message"),
    [
        ("gaussian_blur:1e9", "seen[0]: 'gaussian_blur:1e9': sigma 1000000000.0 is not within 0 to 100"),
        ("gaussian_blur:1,size=1000000001", "size 1000000001 is not an odd number of pixels, 1 to 1001"),
        ("sinc_blur:1,size=1003", "size 1003 is not an odd number of pixels, 1 to 1001"),
        ("real_esrgan:1,scale=1000000", "scale 1000000 is not a whole number from 1 to 16"),
        (" & ".join(["jpeg:50"] * 7), "joins too many: at most 16, with 720 outcomes"),
        (" > ".join(["jpeg:50"] * 17), "joins too many: at most 16, with 720 outcomes"),
        (" > ".join(["camera_noise:python,0.1,0.1"] * 6), "joins too many: at most 16, with 720 outcomes"),
        ("jpeg:" + "5," * 3000, "longer than 4000 characters"),
        ("jpeg:" + "5" * 3000, "expected a number or a range [low, high]"),
    ],
)
def test_a_line_cannot_ask_for_work_without_end(seen: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(dump({"name": "a", "version": 1, "about": "", "seen": [seen], "held_out": ["a"], "unseen": ["b"]}))
    began = time.process_time()
    with pytest.raises(UserError, match=re.escape(message)):
        load_protocol(str(path))
    assert time.process_time() - began < 2


def test_a_role_of_a_protocol_cannot_have_ways_without_end(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    orders = [" & ".join(f"jpeg:{50 + i + j}" for j in range(6)) for i in range(2)]
    path.write_text(dump({"name": "a", "version": 1, "about": "", "seen": orders, "held_out": ["a"], "unseen": ["b"]}))
    with pytest.raises(UserError, match=r"seen: 1440 ways to distort, more than 1000"):
        load_protocol(str(path))


@pytest.mark.parametrize("kind", ["device", "folder"])
def test_what_is_no_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    (tmp_path / "zero.yaml").symlink_to("/dev/zero" if kind == "device" else tmp_path)
    reason = "not a protocol: larger than 64 KiB" if kind == "device" else "cannot be read: Is a directory"
    with pytest.raises(UserError, match=reason):
        load_protocol(str(tmp_path / "zero.yaml"))


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        ("[gaussian_noise:[5,30]]", "not YAML: expected ',' or ']', but got '['"),
        ("[jpeg:40, gaussian_noise: 5]", "seen[1]: YAML reads {'gaussian_noise': 5} here"),
        ("[gaussian_noise:5,clip=false]", "seen[1]: YAML reads 'clip=false' here"),
        ("[camera_noise:paper,[0,1],[0,1]]", "seen[1]: YAML reads [0, 1] here"),
        ("\n  - jpeg:40\n  - gaussian_noise: 5", "seen[1]: YAML reads {'gaussian_noise': 5} here"),
    ],
)
def test_what_lacks_quotes_is_told_of_them(seen: str, found: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(dump({k: v for k, v in GOOD.items() if k != "seen"}) + f"seen: {seen}\n")
    hint = "; brackets and commas need quotes around the whole, as in 'gaussian_noise:[5,30]'"
    with pytest.raises(UserError, match=re.escape(found + hint)):
        load_protocol(str(path))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("version: 1:30", "version: expected a whole number, not '1:30'"),
        ("version: 010", "version: expected a whole number, not '010'"),
        ("version: 2001-01-01", "version: expected a whole number, not '2001-01-01'"),
        (
            "seen: [gaussian_noise:1:30]",
            "seen[0]: 'gaussian_noise:1:30': sigma: expected a number or a range [low, high], got '1:30'",
        ),
        ("convention: {border: 0:10}", "convention.border: "),
    ],
)
def test_numbers_are_decimal(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    key = line.partition(":")[0]
    path.write_text(dump({k: v for k, v in GOOD.items() if k != key}) + line)
    with pytest.raises(UserError, match=re.escape(message)):
        load_protocol(str(path))


def test_reported_numbers_are_kept_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    table = "{source: x, columns: [a, b, c, d, e], rows: [[1:30, 24.90, 010, -2, .inf]]}"
    path.write_text(dump(GOOD) + f"reported: [{table}]\n")
    assert load_protocol(str(path)).reported[0].rows == (("1:30", "24.9", "010", "-2", "inf"),)


def test_plain_yaml_reads_what_was_written() -> None:
    values = [1e-5, 3.0, 1e300, math.inf, -2, 0, True, None]
    texts = ["1:30", "1:30.5", "010", "1e-3", "1e3", "-.5", "0x10", "1_0", "+4", "1.", "2001-01-01", "yes", ".5e+3"]
    assert load(dump(values + texts)) == values + texts
    assert load("[1:30, 1:30.5, 010, 0x10, 1_000, 2001-01-01, 1, -3, +4, 1.5, 1., .5, 1.0e-05]") == [
        *("1:30", "1:30.5", "010", "0x10", "1_000", "2001-01-01"),
        *(1, -3, 4, 1.5, 1.0, 0.5, 1e-5),
    ]


def test_an_alias_may_repeat_a_list(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(dump(GOOD) + "tests: &a [set5]\nnotes: *a\n")
    assert load_protocol(str(path)).notes == ("set5",)


@pytest.mark.parametrize("text", ["seen: [", "just words", "- 1\n- 2", "", "\x00\x01"])
def test_files_that_are_no_protocol(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"bad\.yaml"):
        load_protocol(str(path))


def test_missing_fields_and_names() -> None:
    with pytest.raises(UserError, match=r"'denoize' is none of .* \(did you mean 'denoise'\?\)"):
        load_protocol("denoize")
    with pytest.raises(UserError, match=r"nowhere.yaml: cannot be read: No such file"):
        load_protocol("nowhere.yaml")


@pytest.mark.parametrize("field", ["name", "version", "about", "seen", "held_out", "unseen"])
def test_every_field_is_needed(field: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(dump({k: v for k, v in GOOD.items() if k != field}))
    with pytest.raises(UserError, match=f"field '{field}' is missing"):
        load_protocol(str(path))
