"""The algebra of parameter dictionaries: what is changed in place, what is asked for when, what autograd sees."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from unseen.methods import Params
from unseen.methods.params import accumulate, add_scaled, divide, interpolate, mean, norm, relative_distance, subtract


def vector(*values: float) -> Params:
    """A vector in two tensors."""
    return {"a": torch.tensor(values[:1], dtype=torch.float32), "b": torch.tensor(values[1:], dtype=torch.float32)}


def values(of: Params) -> list[float]:
    return [*of["a"].tolist(), *of["b"].tolist()]


def test_operations_are_those_of_vectors() -> None:
    a, b = vector(1, 2, 3), vector(4, 6, 8)
    assert values(add_scaled(a, 0.5, b)) == [3, 5, 7]
    assert values(subtract(b, a)) == [3, 4, 5]
    assert values(divide(b, 2)) == [2, 3, 4]
    assert values(interpolate(a, b, 0.5)) == [2.5, 4, 5.5]
    assert values(mean([a, b], 2, a)) == [2.5, 4, 5.5]
    assert norm(vector(2, 3, 6)) == 7
    assert relative_distance(vector(2, 3, 6), vector(2, 3, 13)) == 1
    assert (values(a), values(b)) == ([1, 2, 3], [4, 6, 8])


def test_accumulating_is_in_place() -> None:
    total = vector(1, 1, 1)
    before = total["a"]
    accumulate(total, vector(1, 2, 3), 3.0, 2.0)
    assert total["a"] is before
    assert values(total) == [2.5, 4, 5.5]


def test_a_mean_asks_for_one_term_at_a_time() -> None:
    """So that the memory of a sum over confounders does not grow with their number."""
    alive = 0

    class Counted(dict[str, torch.Tensor]):
        def __init__(self, of: Params):
            nonlocal alive
            super().__init__(of)
            alive += 1

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def terms() -> Iterator[Params]:
        for i in range(5):
            assert alive <= 1, "only the term before may still be held"
            yield Counted(vector(i, i, i))

    assert values(mean(terms(), 5, vector(0, 0, 0))) == [2, 2, 2]


def test_nothing_is_recorded_by_autograd() -> None:
    leaf = {"a": torch.tensor([1.0], requires_grad=True)}
    for result in (add_scaled(leaf, 2.0, leaf), subtract(leaf, leaf), divide(leaf, 2), interpolate(leaf, leaf, 0.5)):
        assert not result["a"].requires_grad


def test_the_norm_is_over_all_parameters_together() -> None:
    assert norm({"a": torch.full((2, 2), 3.0), "b": torch.full((4,), 4.0)}) == pytest.approx(10)
