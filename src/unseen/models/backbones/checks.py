"""The check that every backbone makes of the sizes it is given."""

from __future__ import annotations

from ...core.errors import UserError


def require_at_least(smallest: int, **sizes: int) -> None:
    """Raise `UserError`, naming the first of `sizes` that is below `smallest`."""
    for name, size in sizes.items():
        if size < smallest:
            raise UserError(f"backbone.{name}: {size} is too small, give {smallest} or more")
