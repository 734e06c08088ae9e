"""Hostile documents: the real ones with fields replaced, by hypothesis and the types that read them."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from unseen.core.yaml12 import dump

DIGITS, DEEP, ALIASES = "@@DIGITS@@", "@@DEEP@@", "@@ALIASES@@"
"""Stand in a document for what no value of Python can be; `raw` puts it in their place."""

RAW = {
    DIGITS: "9" * 5000,
    DEEP: "[" * 3000 + "]" * 3000,
    ALIASES: "[&a0 [x,x,x,x,x,x,x,x,x]" + "".join(f",&a{i + 1} [{','.join([f'*a{i}'] * 9)}]" for i in range(9)) + "]",
}

NAMES = (
    "os.system:touch ran",
    "subprocess.call:touch ran",
    "torch.hub.load_state_dict_from_url:url=file:///etc/passwd",
    "builtins.exec",
    "unseen.core.atomic.write_text",
    "my_parts.Evil",
    "/etc/passwd",
    "../../escaped",
    "/dev/zero",
    "http://127.0.0.1:9/x",
    "plain:features=100000000,depth=2",
    "plain:features=4,depth=100000000",
    "rrdb:blocks=99999999",
    "gaussian_noise:[1,1e308]",
    "gaussian_noise:nan",
    "gaussian_blur:1e9",
    "gaussian_noise:5 > " * 500 + "jpeg:5",
    "erm",
    "dil_sf:inner_lr=1e999",
    "denoise",
    "unet",
)
"""Words that name something: code, files, too much work, and what is there."""

TROUBLE = (
    "\x1b[2J",
    "\x1b]0;t\x07",
    "\n",
    "\r",
    "\u202e",
    "\u2028",
    "\x9b",
    "\udc80",
    "\ud800",
    "\0",
    "é",
    "\ufeff",
    "'",
    '"',
    "{",
    "%s",
)

texts: SearchStrategy[str] = st.one_of(
    st.sampled_from(NAMES),
    st.lists(st.sampled_from((*TROUBLE, "a", "9", " ", ":", ".")), max_size=8).map("".join),
    st.sampled_from(
        ("", "A" * 100_000, "\x1b[31m" * 50_000, "inf", "-inf", "nan", "1e999", "true", "null", "=cmd|' /C calc'!A0")
    ),
)

numbers: SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        (0, -1, 1, 2, 2**31, 2**63, 2**64, -(2**70), 10**400, 0.5, -0.0, 1e-320, 1e308, float("inf"), float("nan"))
    ),
    st.integers(-3, 70),
)

scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
anything: SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)
hostile: SearchStrategy[Any] = st.one_of(
    anything,
    st.sampled_from((DIGITS, DEEP, ALIASES)),
    st.builds(lambda: [0] * 20_000),  # built anew: a document may be changed again
    st.builds(lambda: {str(i): i for i in range(5000)}),
)


def values_of(annotation: Any) -> SearchStrategy[Any]:
    """JSON values of the kind that an annotation states: records, lists, numbers and texts, with any content."""
    kind, arguments = get_origin(annotation), get_args(annotation)
    if kind is Annotated:
        return values_of(arguments[0])
    if kind is Literal:
        return st.sampled_from(arguments)
    if kind in (Union, types.UnionType):
        return st.one_of(*map(values_of, arguments))
    if kind is dict:
        return st.dictionaries(values_of(arguments[0]), values_of(arguments[1]), max_size=4)
    if kind in (list, tuple) and (kind is list or arguments[-1:] == (...,)):
        return st.lists(values_of(arguments[0]), max_size=4)
    if kind is tuple:
        return st.tuples(*map(values_of, arguments)).map(list)
    if hasattr(annotation, "_fields"):  # a named tuple is a list in JSON
        return st.tuples(*map(values_of, get_type_hints(annotation, include_extras=True).values())).map(list)
    if is_dataclass(annotation):
        return st.fixed_dictionaries({name: values_of(hint) for name, hint in hints_of(annotation).items()})
    plain: dict[Any, SearchStrategy[Any]] = {
        str: texts,
        int: st.one_of(st.integers(-3, 70), st.sampled_from((2**63, -(2**63), 10**30))),
        float: numbers,
        bool: st.booleans(),
        type(None): st.none(),
    }
    return plain.get(annotation, anything)


def hints_of(record: Any) -> dict[str, Any]:
    """The annotations of a record's fields, by name."""
    hints = get_type_hints(record, include_extras=True)
    return {field.name: hints[field.name] for field in fields(record)}


@st.composite
def changed(draw: st.DrawFn, document: Any, record: Any = None) -> Any:
    """A real document with one to three places changed: a field of its own kind or of another, gone, or renamed.

    Args:
        draw: hypothesis.
        document: mappings, lists and values that are accepted as they are.
        record: the dataclass that reads the document; None where none does.
    """
    document = deepcopy(document)
    hints = hints_of(record) if record else {}
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(_paths(document))))
        if not path:
            return draw(hostile)
        holder = document
        for step in path[:-1]:
            holder = holder[step]
        last = path[-1]
        own = values_of(hints[last]) if len(path) == 1 and last in hints else anything
        action = draw(st.sampled_from(("own", "own", "hostile", "hostile", "hostile", "gone", "renamed", "more")))
        if action in ("own", "hostile"):
            holder[last] = draw(own if action == "own" else hostile)
        elif action == "more" and isinstance(holder, dict):
            holder[draw(texts)] = draw(hostile)
        else:
            value = holder.pop(last)
            if action == "renamed" and isinstance(holder, dict):
                holder[draw(texts)] = value
    return document


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, member in items:
        yield from _paths(member, (*path, step))


def as_json(document: Any) -> str:
    """The document as JSON, with what no value of Python can be; two fields of one name where a text asks for it."""
    import json

    return _raw(json.dumps(document), '"')


def as_yaml(document: Any) -> str:
    """The document as YAML, with what no value of Python can be."""
    try:
        return _raw(dump(document), "'")
    except Exception:  # a key that is a list, a character that YAML has no way to write
        return as_json(document)


def _raw(text: str, quote: str) -> str:
    for stand_in, content in RAW.items():
        text = text.replace(f"{quote}{stand_in}{quote}", content).replace(stand_in, content)
    return text


@st.composite
def files_of(draw: st.DrawFn, document: Any, record: Any, write: Callable[[Any], str]) -> bytes:
    """The bytes of a changed document; now and then they are damaged as well."""
    content = write(draw(changed(document, record))).encode(errors="surrogatepass")
    if draw(st.integers(0, 6)) == 0 and content:
        place = draw(st.integers(0, min(len(content) - 1, 4000)))
        content = draw(
            st.sampled_from(
                (content[:place], content[:place] + b"\xff\x00\x1b[31m" + content[place:], content + b"\n" + content)
            )
        )
    return content
