"""YAML without surprises in its numbers: what is written in decimal is a number, and nothing else is.

YAML 1.1, which PyYAML reads, has more: 1:30 is 90 in base 60, 010 is 8, and 2001-01-01 is a day. YAML 1.2 has dropped
them (YAML Ain't Markup Language, revision 1.2.2, 2021, section 10.3.2), and here they are text.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

INT, FLOAT, TIMESTAMP = (f"tag:yaml.org,2002:{name}" for name in ("int", "float", "timestamp"))
WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)$")
# Without a point 1e-3 is text, as in YAML 1.1: PyYAML writes the text 1e-3 without quotes.
FRACTION = re.compile(r"([-+]?[0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$")


class PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader, less numbers of base 60, 16, 8 and 2, underscores in numbers, and days.

    What `yaml.safe_dump` wrote is read as it was, numbers and text.
    """


PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (INT, FLOAT, TIMESTAMP)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
PlainLoader.add_implicit_resolver(INT, WHOLE, list("-+0123456789"))
PlainLoader.add_implicit_resolver(FLOAT, FRACTION, list("-+.0123456789"))


def load_plain(text: str) -> Any:
    """The value of a YAML document. Raises yaml.YAMLError for what is none."""
    return yaml.load(text, PlainLoader)
