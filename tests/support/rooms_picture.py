"""The picture of the rooms in docs/architecture.md: one floor for each layer of the import contract."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

WIDTH, FLOOR, GAP, MARGIN = 840, 46, 16, 12
"""Pixels: the picture's width, a floor's height, the space between floors, the space around them."""


def floors_of(pyproject: Path) -> list[list[str]]:
    """The layers of the import contract, from the top; rooms of one floor do not import each other."""
    (contract,) = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    return [re.split(r"\s*\|\s*", layer) for layer in contract["layers"]]


def rooms_svg(floors: Sequence[Sequence[str]], questions: Mapping[str, str]) -> str:
    """The rooms as floors of a house, with an arrow from each floor to the one below.

    Args:
        floors: names of the rooms, from the top.
        questions: the question that each room answers.
    """
    height = 2 * MARGIN + len(floors) * FLOOR + (len(floors) - 1) * GAP
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="Helvetica, Arial, sans-serif">',
        "<title>The twelve rooms: imports only point down</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#626c77"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" rx="6" fill="#ffffff"/>',
    ]
    for i, rooms in enumerate(floors):
        top = MARGIN + i * (FLOOR + GAP)
        width = (WIDTH - 2 * MARGIN - (len(rooms) - 1) * GAP) / len(rooms)
        for j, room in enumerate(rooms):
            left = MARGIN + j * (width + GAP)
            lines += [
                f'<rect x="{left:g}" y="{top}" width="{width:g}" height="{FLOOR}" rx="4" fill="#e9eff6" '
                'stroke="#9fb0c3"/>',
                f'<text x="{left + 12:g}" y="{top + 19}" font-size="14" font-weight="bold" fill="#1b2026">'
                f"{escape(room)}</text>",
                f'<text x="{left + 12:g}" y="{top + 37}" font-size="12.5" fill="#3f4954">'
                f"{escape(questions[room])}</text>",
            ]
        if i + 1 < len(floors):
            bottom = top + FLOOR
            for x in arrows(len(rooms), len(floors[i + 1])):
                lines.append(
                    f'<line x1="{x:g}" y1="{bottom}" x2="{x:g}" y2="{bottom + GAP}" stroke="#626c77" '
                    'stroke-width="1.5" marker-end="url(#head)"/>'
                )
    return "\n".join([*lines, "</svg>"]) + "\n"


def arrows(above: int, below: int) -> list[float]:
    """Where the arrows between two floors stand: one for each room of the fuller floor."""
    count = max(above, below)
    return [WIDTH * (2 * i + 1) / (2 * count) for i in range(count)]
