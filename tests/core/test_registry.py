"""Components by name: settings are converted and checked by the component's own signature."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Le, MinLen

from unseen.core.errors import UserError
from unseen.core.registry import build, signature, summary_line
from unseen.core.trust import trusting
from unseen.core.wording import did_you_mean
from unseen.methods import DIL, METHODS, SGD, Adam, Method


def test_settings_by_name_by_place_and_by_dotted_path() -> None:
    by_name, by_place = (build(f"dil_sf:{setting}1e-3", METHODS, "method", Method) for setting in ("inner_lr=", ""))
    for method in (by_name, by_place):
        assert isinstance(method, DIL)
        assert isinstance(method.inner, Adam)
        assert method.inner.lr == 1e-3
    plain = build("unseen.methods.DIL:sampling=parallel,order=1,inner_lr=0.5", METHODS, "method", Method)
    assert isinstance(plain, DIL)
    assert isinstance(plain.inner, SGD)
    assert plain.inner.lr == 0.5


def two(first: int, second: tuple[float, float] = (1, 2), *rest: str, third: bool = True, **more: str) -> object:
    """Two lines
    that are one.

    And another.
    """
    return first, second, third


@pytest.mark.parametrize(
    ("spec", "made"),
    [
        ("two:3", (3, (1, 2), True)),
        ("two:3,[4,5],third=false", (3, (4.0, 5.0), False)),
        ("two: first=3 , third=no", (3, (1, 2), False)),
    ],
)
def test_values_take_the_annotated_type(spec: str, made: object) -> None:
    assert build(spec, {"two": two}, "field", object) == made


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("tow", "field: 'tow' is none of two (did you mean 'two'?)"),
        ("two", "field: 'two': needs first"),
        ("two:first=x", "field: 'two:first=x': first: expected a whole number, got 'x'"),
        ("two:1.5", "field: 'two:1.5': first: expected a whole number, got '1.5'"),
        ("two:1,second=x", "second: expected a range [low, high], got 'x'"),
        ("two:1,third=maybe", "third: expected true or false, got 'maybe'"),
        ("two:1,third=null", "third: expected true or false, got 'null'"),
        ("two:1:30", "first: expected a whole number, got '1:30'"),
        ("two:1,[1:30,90]", "second: expected a range [low, high], got '[1:30,90]'"),
        ("two:1,first=2", "field: 'two:1,first=2': first is given twice, as 1 and as 2"),
        ("two:1,third=no,third=no", "third is given twice, as no and as no"),
        ("two:1,frist=2", "no setting 'frist' (did you mean 'first'?)"),
        ("os.environ", "field: 'os.environ' is a _Environ, and no class of object"),
        ("..x", "field: '..x' is none of two"),
        ("os.nothing", "field: 'os.nothing' cannot be imported"),
        ("no_such_module.Part", "field: 'no_such_module.Part' cannot be imported"),
    ],
)
def test_what_cannot_be_made_is_refused_by_field(spec: str, message: str) -> None:
    with trusting("os", "no_such_module"), pytest.raises(UserError) as caught:
        build(spec, {"two": two}, "field", object)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


class Choosy:
    """A component of someone else's, which raises what it likes."""

    def __init__(self, way: Literal["serial", "parallel"], n: int | None = None, ratio: str = "4:2:0") -> None:
        if n == 0:
            raise RuntimeError("shape '[0]' is\ninvalid")
        if n == 1:
            raise KeyError("n")
        self.ratio = ratio


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("c:serail", "way: 'serail' is none of serial, parallel (did you mean 'serial'?)"),
        ("c:serial,x", "n: expected a whole number or null, got 'x'"),
        ("c:serial,0", "field: 'c:serial,0' cannot be made: RuntimeError: shape '[0]' is invalid"),
        ("c:serial,1", "field: 'c:serial,1' cannot be made: KeyError: 'n'"),
    ],
)
def test_whatever_a_constructor_raises_is_told_in_one_line(spec: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        build(spec, {"c": Choosy}, "field", object)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_may_look_like_a_number_of_base_60() -> None:
    assert build("c:serial,ratio=4:2:2", {"c": Choosy}, "field", Choosy).ratio == "4:2:2"


def test_a_component_of_another_kind_is_refused() -> None:
    with pytest.raises(UserError, match=r"method: 'unseen.methods.SGD' is the class SGD, and no class of Method"):
        build("unseen.methods.SGD:0.1", METHODS, "method", Method)
    with pytest.raises(UserError, match=r"field: 'two:1' makes a tuple, and no Method"):
        build("two:1", {"two": two}, "field", Method)  # type: ignore[dict-item]


def test_lists_show_the_first_sentence_and_the_settings() -> None:
    assert summary_line(two) == "Two lines that are one."
    assert signature(METHODS["dil_sf"]) == "inner_lr=0.0001, inner=adam, inner_steps=1"
    assert signature(two) == "first, second=[1,2], rest, third=true, more"
    assert signature(Choosy) == "way, n=null, ratio=4:2:0"
    assert did_you_mean("sed", ["seed", "device"]) == " (did you mean 'seed'?)"
    assert did_you_mean("xyz", ["seed"]) == ""


def untyped(strength, mode="fast"):  # type: ignore[no-untyped-def]
    """A component without annotations."""
    return strength, mode


def unresolved(n: Missing, way: Literal["a"] = "a") -> object:  # type: ignore[name-defined]  # noqa: F821
    """A component with an annotation that only a type checker knows."""
    return n, way


def test_without_a_usable_annotation_yaml_says_what_a_setting_is() -> None:
    assert build("u:2.5", {"u": untyped}, "field", object) == (2.5, "fast")
    assert build("u:[1,x],mode=4:2:0", {"u": untyped}, "field", object) == ([1, "x"], "4:2:0")
    assert build("u:3", {"u": unresolved}, "field", object) == (3, "a")


def unsigned(n: Annotated[int, Ge(1), Le(9)] = 1, values: Annotated[list[float], MinLen(1)] = [1.0]) -> object:  # noqa: B006
    """A component with ranges in its annotations."""
    return n, values


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("u:0", "field: 'u:0': n: 0 is below 1"),
        ("u:10", "field: 'u:10': n: 10 is above 9"),
        ("u:values=[]", "field: 'u:values=[]': values: none given"),
        ("u:1_000", "n: expected a whole number, got '1_000'"),
        ("u:0x1", "n: expected a whole number, got '0x1'"),
        ("u:01", "n: expected a whole number, got '01'"),
        ("u:values=[1,nan]", "values element 2: expected a number, got 'nan'"),
    ],
)
def test_ranges_and_numbers_are_those_of_options_and_files(spec: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        build(spec, {"u": unsigned}, "field", object)
    assert build("u:+4,values=[1,.5,1e-3]", {"u": unsigned}, "field", object) == (4, [1.0, 0.5, 1e-3])
