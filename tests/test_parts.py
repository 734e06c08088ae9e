"""Parts by name: settings checked against a part's own signature."""

from __future__ import annotations

import pytest

from unseen.errors import UserError
from unseen.methods import DIL, METHODS, SGD, Adam, Method
from unseen.parts import about, build, nearest, signature


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
        ("two:first=x", "field: 'two:first=x': first='x' is not usable, expected int"),
        ("two:1.5", "field: 'two:1.5': first='1.5' is not usable, expected int"),
        ("two:1,frist=2", "no setting 'frist' (did you mean 'first'?)"),
        ("os.environ", "field: 'os.environ' cannot be imported as a class or function"),
        ("..x", "field: '..x' cannot be imported"),
        ("os.nothing", "field: 'os.nothing' cannot be imported"),
        ("no_such_module.Part", "field: 'no_such_module.Part' cannot be imported"),
    ],
)
def test_what_cannot_be_made_is_refused_by_field(spec: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        build(spec, {"two": two}, "field", object)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_part_of_another_kind_is_refused() -> None:
    with pytest.raises(UserError, match=r"method: 'unseen.methods.SGD:0.1' makes a SGD, and no Method"):
        build("unseen.methods.SGD:0.1", METHODS, "method", Method)


def test_lists_show_the_first_sentence_and_the_settings() -> None:
    assert about(two) == "Two lines that are one."
    assert signature(METHODS["dil_sf"]) == "inner_lr=0.0001"
    assert nearest("sed", ["seed", "device"]) == " (did you mean 'seed'?)"
    assert nearest("xyz", ["seed"]) == ""
