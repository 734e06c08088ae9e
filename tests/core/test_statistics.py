"""Intervals and p-values against closed forms, scipy, and simulated studies whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from unseen.core.statistics import Resampled, holm, paired_bootstrap


def simulated(
    generator: np.random.Generator, seeds: int, images: int, deviations: tuple[float, float, float]
) -> NDArray[np.float64]:
    """Differences (seeds, images) of true mean 0: an effect of the seed, one of the image, and one of both."""
    of_seed, of_image, of_both = deviations
    return (
        generator.normal(0, of_seed, (seeds, 1))
        + generator.normal(0, of_image, (1, images))
        + generator.normal(0, of_both, (seeds, images))
    )


def test_one_seed_is_the_ordinary_bootstrap_of_the_images() -> None:
    values = np.random.default_rng(0).gamma(2, 1, 40)
    found = paired_bootstrap(values[None])
    expected = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=40_000, rng=1)
    width = expected.confidence_interval.high - expected.confidence_interval.low
    assert found.mean == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(expected.confidence_interval, abs=0.02 * width)


@pytest.mark.parametrize("seeds", [2, 3, 6])
def test_one_image_is_student_s_t_of_the_seeds(seeds: int) -> None:
    values = np.random.default_rng(seeds).normal(0.5, 1, seeds)
    found = paired_bootstrap(values[:, None])
    expected = stats.ttest_1samp(values, 0)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(interval, rel=0.01)
    assert found.p == pytest.approx(expected.pvalue, abs=5e-4)


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("deviations", [(1, 0, 0.3), (0.3, 1, 0.3), (1, 1, 1), (0, 0, 1)])
def test_the_interval_holds_the_truth_as_often_as_it_says(seeds: int, deviations: tuple[float, float, float]) -> None:
    """95 % of 400 simulated studies, within four standard errors; more only where seeds and images do not differ."""
    generator = np.random.default_rng(7)
    found = [paired_bootstrap(simulated(generator, seeds, 24, deviations), resamples=1000) for _ in range(400)]
    held = sum(one.low <= 0 <= one.high for one in found) / len(found)
    false = sum(one.p < 0.05 for one in found) / len(found)
    error = 4 * math.sqrt(0.95 * 0.05 / len(found))
    assert held > 0.95 - error
    assert false < 0.05 + error
    if deviations == (1, 0, 0.3):
        assert held < 0.95 + error


def test_where_only_images_differ_the_interval_is_no_wider_than_theirs() -> None:
    values = np.tile(np.random.default_rng(0).normal(0, 1, 50), (5, 1))
    found = paired_bootstrap(values)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * values[0].std() / math.sqrt(50), rel=0.03)


def test_no_difference_is_no_evidence() -> None:
    assert paired_bootstrap(np.zeros((3, 5))) == Resampled(0.0, 0.0, 0.0, 1.0)


def test_a_difference_that_never_fails_is_as_sure_as_the_draws_can_tell() -> None:
    found = paired_bootstrap(np.ones((2, 5)), resamples=999)
    assert (found.mean, found.low, found.high, found.p) == pytest.approx((1, 1, 1, 2 / 1000))


def test_the_order_of_seeds_is_nothing_and_that_of_images_is_chance() -> None:
    values = simulated(np.random.default_rng(1), 3, 20, (0.5, 1, 0.5))
    found, other_seeds, other_images = (paired_bootstrap(v) for v in (values, values[[2, 0, 1]], values[:, ::-1]))
    width = found.high - found.low
    for other, tolerance in ((other_seeds, 1e-9), (other_images, 0.05 * width)):
        assert (other.low, other.high) == pytest.approx((found.low, found.high), abs=tolerance)


def test_what_is_added_moves_the_interval_and_what_is_multiplied_stretches_it() -> None:
    values = simulated(np.random.default_rng(2), 3, 20, (0.5, 1, 0.5))
    found, moved = paired_bootstrap(values), paired_bootstrap(2 * values + 3)
    assert (moved.mean, moved.low, moved.high) == pytest.approx(
        [2 * x + 3 for x in (found.mean, found.low, found.high)]
    )
    assert paired_bootstrap(2 * values).p == found.p


def test_equal_arguments_give_equal_numbers_and_another_seed_others() -> None:
    values = simulated(np.random.default_rng(3), 3, 20, (0.5, 1, 0.5))
    assert paired_bootstrap(values) == paired_bootstrap(values.copy())
    assert paired_bootstrap(values) != paired_bootstrap(values, seed=1)


def test_sets_keep_their_number_of_images() -> None:
    """Two sets that differ, and nothing else: drawn again within each, every mean is the same."""
    values = np.array([[1.0] * 6 + [3.0] * 2])
    apart, together = paired_bootstrap(values, ["a"] * 6 + ["b"] * 2), paired_bootstrap(values)
    assert (apart.low, apart.high) == pytest.approx((1.5, 1.5))
    assert together.low < 1.5 < together.high


def test_a_single_number_has_no_interval() -> None:
    found = paired_bootstrap(np.array([[0.5]]))
    assert found.mean == 0.5
    assert all(map(math.isnan, (found.low, found.high, found.p)))


@pytest.mark.parametrize(
    "values", [np.zeros(3), np.zeros((0, 3)), np.array([[1.0, math.inf]]), np.array([[1.0, math.nan]])]
)
def test_what_is_no_table_of_numbers_is_refused(values: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="finite numbers"):
        paired_bootstrap(values)


def test_holm_s_correction_by_hand() -> None:
    # Sorted: 4 * 0.005, 3 * 0.01, 2 * 0.03, 1 * 0.04, the last raised to the one before.
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert found == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert list(found) == ["a", "b", "c", "d"]
    assert holm({"a": 0.4, "b": 0.7}) == pytest.approx({"a": 0.8, "b": 0.8})
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({"a": 0.2}) == {"a": 0.2}
    assert holm({}) == {}


def test_holm_keeps_the_chance_of_any_false_finding() -> None:
    generator = np.random.default_rng(0)
    families = generator.uniform(size=(4000, 6))
    false = np.mean([min(holm(dict(enumerate(p))).values()) <= 0.05 for p in families])
    assert false < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 4000)
    assert false > 0.05 - 4 * math.sqrt(0.05 * 0.95 / 4000)  # of independent true hypotheses it wastes next to nothing
