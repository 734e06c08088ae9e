"""YAML whose numbers are decimal: what looks like base 60, base 16, base 8 or a date is text.

YAML 1.1 reads 1:30 as 90 and 010 as 8; YAML 1.2 has dropped base 60 (YAML Ain't Markup Language, revision 1.2.2, 2021,
section 10.3.2). Hexadecimal numbers, underscores in numbers and dates are text here as well. `yes`, `no`, `on` and
`off` are truth values, as in the files that earlier versions wrote.
"""

from __future__ import annotations

import io
import re
from collections import defaultdict
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.constructor import ConstructorError, RoundTripConstructor, SafeConstructor
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode
from ruamel.yaml.representer import SafeRepresenter
from ruamel.yaml.resolver import VersionedResolver

from .errors import one_line

BOOL, INT, FLOAT, NULL = (f"tag:yaml.org,2002:{name}" for name in ("bool", "int", "float", "null"))

RULES = {
    BOOL: r"(?:true|True|TRUE|false|False|FALSE|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)$",
    INT: r"[-+]?(?:0|[1-9][0-9]*)$",
    FLOAT: r"[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))$"
    r"|\.(?:nan|NaN|NAN)$",
    NULL: r"(?:~|null|Null|NULL|)$",
}
"""Plain text that is no text, by tag; the first match counts."""

PATTERNS = defaultdict(list, {None: [(tag, re.compile(pattern)) for tag, pattern in RULES.items()]})
"""`RULES` as ruamel.yaml takes them: for every first character, of which none has rules of its own."""


class _Resolver(VersionedResolver):
    """Reads plain text by `RULES`."""

    @property
    def versioned_resolver(self) -> Any:
        return PATTERNS


MOST_VALUES = 10_000
"""Most values of a document, each alias counted as all that it stands for, and a long text as one value a hundred
characters."""

DEEPEST = 50
"""Most lists and mappings within each other."""

MOST_DIGITS = 309
"""Most characters of a whole number: floating point has no larger ones."""


class _Composer(Composer):
    """Refuses an alias inside the list or mapping that it stands for, and documents that are too large or too deep."""

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader=loader)
        self.nesting = self.values = 0
        self.warn_double_anchors = False  # a second anchor of a name is YAML, and no matter for standard error
        self.weights: dict[int, int] = {}
        """The values of each composed node by its id, those of its aliases counted."""

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        start = self.parser.peek_event().start_mark
        self.nesting += 1
        self.values += 1
        if self.nesting > DEEPEST:
            raise ComposerError(None, None, f"nested more than {DEEPEST} deep", start)
        node: Node | None = super().compose_node(parent, index)
        self.nesting -= 1
        if isinstance(node, CollectionNode) and node.end_mark is None:  # not at its end yet
            raise ComposerError(None, None, "an alias stands for a value that contains the alias", start)
        if node is not None:
            self.weights[id(node)] = self.weight(node)
            if max(self.values, self.weights[id(node)]) > MOST_VALUES:
                raise ComposerError(None, None, f"more than {MOST_VALUES} values, aliases counted", start)
        return node

    def weight(self, node: Node) -> int:
        """The values in a node whose own nodes are composed."""
        if isinstance(node, ScalarNode):
            return 1 + len(node.value) // 100
        inner = [child for pair in node.value for child in pair] if isinstance(node, MappingNode) else node.value
        return 1 + sum(self.weights.get(id(child), 1) for child in inner)


class _Constructor(RoundTripConstructor):
    """Makes mappings and lists that know their lines (`lc`), and plain Python values of everything else."""

    def construct_whole(self, node: ScalarNode) -> int:
        if len(node.value) > MOST_DIGITS:
            raise ConstructorError(None, None, f"a whole number of {len(node.value)} digits", node.start_mark)
        return int(node.value)


# The round-trip constructor lets unknown tags pass, and makes numbers that remember how they were written.
_Constructor.yaml_constructors = RoundTripConstructor.yaml_constructors | {
    **{tag: SafeConstructor.yaml_constructors[tag] for tag in (BOOL, FLOAT, NULL, None)},
    INT: _Constructor.construct_whole,
}


class _Representer(SafeRepresenter):
    """Writes 1e-05 as 1.0e-05, which YAML 1.1 reads as a number too."""

    def represent_float(self, data: float) -> ScalarNode:
        node: ScalarNode = super().represent_float(data)
        if "." not in node.value:
            node.value = node.value.replace("e", ".0e")
        return node


_Representer.add_representer(float, _Representer.represent_float)


def load(text: str) -> Any:
    """Read one YAML document.

    Returns:
        Plain values, lists and mappings. The last two have the attribute `lc` with the lines of their items, from 0.

    Raises:
        Exception: for malformed YAML, a field that occurs twice, an unknown tag, an alias inside what it stands for,
            and more than `MOST_VALUES`, `DEEPEST` or `MOST_DIGITS`. Mostly a `ruamel.yaml.error.YAMLError`, whose
            `problem` and `problem_mark` say what and where; but a ValueError for a tag that does not fit its text.
    """
    yaml = YAML()
    yaml.Resolver, yaml.Composer, yaml.Constructor = _Resolver, _Composer, _Constructor
    return yaml.load(text)


def fault(error: Exception) -> tuple[int | None, str]:
    """Say what is wrong with a text that `load` refused.

    Returns:
        The line, from 1, None where the error has none; and the reason in one line.
    """
    mark = getattr(error, "problem_mark", None)
    return mark.line + 1 if mark else None, getattr(error, "problem", None) or one_line(error)


def dump(values: Any) -> str:
    """Write a YAML document that this and earlier versions read back as it was, in the order of its fields."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Resolver, yaml.Representer = _Resolver, _Representer
    yaml.default_flow_style, yaml.allow_unicode = False, False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    stream = io.StringIO()
    yaml.dump(values, stream)
    return stream.getvalue()
