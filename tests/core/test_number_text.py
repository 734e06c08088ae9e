"""Numbers as text, for readers."""

from __future__ import annotations

import math

from unseen.core.number_text import duration, number, percent, signed


def test_numbers_have_a_true_minus_and_infinity_a_sign_of_its_own() -> None:
    assert [number(value) for value in (1.234, -1.236, math.inf, -math.inf, math.nan)] == [
        "1.23",
        "−1.24",
        "∞",
        "−∞",
        "",
    ]
    assert number(123456, ".4g") == "1.235e+05"


def test_differences_are_written_with_a_sign_and_zero_without() -> None:
    assert [signed(value) for value in (1.234, -1.236, 0.001, -0.001, 0)] == ["+1.23", "−1.24", "0.00", "0.00", "0.00"]


def test_durations_are_read_at_a_glance() -> None:
    assert [duration(s) for s in (0.53, 59.94, 60, 119.7, 3599.7, 7500)] == [
        "0.5 s",
        "59.9 s",
        "1 min 00 s",
        "2 min 00 s",
        "1 h 00 min",
        "2 h 05 min",
    ]


def test_differences_that_are_no_numbers_are_written_as_numbers_are() -> None:
    assert [signed(value) for value in (math.inf, -math.inf, math.nan)] == ["+∞", "−∞", ""]


def test_shares_are_whole_percent() -> None:
    assert [percent(value) for value in (0.504, -0.33, 0.001, -0.001, 1, math.nan)] == [
        "50 %",
        "−33 %",
        "0 %",
        "0 %",
        "100 %",
        "",
    ]
