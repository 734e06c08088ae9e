"""Compositions against arithmetic done by hand: parts that do not commute give the order away."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from unseen.core.randomness import generator
from unseen.distortions import Distortion, GaussianNoise, Hybrid, Parameters, per_image, sample_range
from unseen.distortions.composition import Choice, Composition, RandomOrder, Sequence


@dataclass(frozen=True)
class Times(Distortion):
    """x → factor · x."""

    factor: float | tuple[float, float]

    @property
    def degree(self) -> float | tuple[float, float]:
        return self.factor

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        return {"factor": sample_range(self.factor, generator, n)}

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        return clean * per_image(parameters["factor"], clean)


@dataclass(frozen=True)
class Plus(Distortion):
    """x → x + offset, in words."""

    offset: float

    @property
    def degree(self) -> str:
        return "brighter"

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        return {}

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        return clean + self.offset


@dataclass(frozen=True)
class Halve(Plus):
    """Every second pixel."""

    offset: float = 0

    @property
    def scale(self) -> int:
        return 2

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        return clean[..., ::2, ::2]


TIMES, PLUS, NOISE = Times(0.5), Plus(0.25), GaussianNoise((5, 50))
ALL = [
    Sequence((NOISE, TIMES, Times((0.5, 1.5)))),
    RandomOrder((NOISE, TIMES, PLUS, Times((0.5, 1.5)))),
    Choice((NOISE, TIMES, Times((0.5, 1.5))), weights=(0.6, 0.2, 0.2)),
    Sequence((Choice((NOISE, TIMES)), RandomOrder((PLUS, NOISE)), Halve())),
    Choice((Sequence((NOISE, Halve())), Halve())),
]


def rows(parameters: Parameters, i: int) -> Parameters:
    return {name: values[i : i + 1] for name, values in parameters.items()}


def test_a_sequence_keeps_its_order() -> None:
    ramp = torch.linspace(0, 0.5, 12).view(1, 1, 3, 4)
    for parts, expected in (((TIMES, PLUS), ramp / 2 + 0.25), ((PLUS, TIMES), (ramp + 0.25) / 2)):
        sequence = Sequence(parts)
        assert torch.equal(sequence.apply(ramp, sequence.sample(generator(0), 1)), expected)


def test_a_sequence_draws_its_parts_from_one_generator_after_another() -> None:
    noises = GaussianNoise((5, 50), clip=False), GaussianNoise(20, clip=False)
    drawn, draws = Sequence(noises).sample(generator(5), 4), generator(5)
    assert list(drawn) == ["0.sigma", "0.seed", "1.sigma", "1.seed"]
    for i, noise in enumerate(noises):
        for name, values in noise.sample(draws, 4).items():
            assert torch.equal(drawn[f"{i}.{name}"], values)
    flat = torch.full((4, 3, 8, 8), 0.5)
    found = Sequence(noises).apply(flat, drawn)
    alone = [n.apply(flat, {k: drawn[f"{i}.{k}"] for k in ("sigma", "seed")}) - flat for i, n in enumerate(noises)]
    torch.testing.assert_close(found, flat + alone[0] + alone[1], rtol=0, atol=1e-6)  # unclipped noises add up


def test_random_orders_are_all_there_and_even() -> None:
    """Three parts, six orders, each of a sixth of the images; halving tells what came before it."""
    shuffled = RandomOrder((TIMES, PLUS, Plus(1.0)))
    parameters = shuffled.sample(generator(1), 6000)
    assert parameters["order"].dtype == torch.int64
    assert torch.equal(parameters["order"].sort(dim=1).values, torch.arange(3).expand(6000, 3))
    codes = parameters["order"] @ torch.tensor([9, 3, 1])
    counts = torch.bincount(codes)[torch.bincount(codes) > 0].double()
    assert len(counts) == 6
    assert float(((counts - 1000) ** 2 / 1000).sum()) < 20.5  # chi-square of 5 degrees of freedom, 0.1 %
    found = shuffled.apply(torch.ones(6000, 1, 1, 1), parameters).flatten()
    for order, value in zip(parameters["order"].tolist(), found.tolist(), strict=True):
        expected = 1.0
        for i in order:
            expected = (expected / 2, expected + 0.25, expected + 1)[i]
        assert value == expected


def test_a_choice_falls_on_every_part_by_its_weight() -> None:
    n, ones = 4000, torch.ones(4000, 1, 1, 2)
    for weights, shares in ((None, (1 / 3, 1 / 3, 1 / 3)), ((1.0, 0.0, 4.0), (0.2, 0.0, 0.8))):
        choice = Choice((Times(2.0), Times(3.0), Times(5.0)), weights)
        parameters = choice.sample(generator(2), n)
        found = choice.apply(ones, parameters)[:, 0, 0, 0]
        assert torch.equal(found, torch.tensor([2.0, 3.0, 5.0])[parameters["choice"]])
        for value, share in zip((2, 3, 5), shares, strict=True):
            bound = 4 * math.sqrt(share * (1 - share) / n)
            assert abs(float((found == value).double().mean()) - share) <= bound


@pytest.mark.parametrize("composition", ALL, ids=lambda c: c.degree)
@pytest.mark.parametrize("size", [(2, 2), (2, 6), (18, 10)])
def test_compositions_are_replayed_and_a_batch_equals_its_images(
    composition: Composition, size: tuple[int, int]
) -> None:
    clean = torch.rand(9, 3, *size, generator=generator(0))
    untouched = clean.clone()
    parameters = composition.sample(generator(3), 9)
    first = composition.apply(clean, parameters)
    assert first.shape == (9, 3, size[0] // composition.scale, size[1] // composition.scale)
    assert torch.equal(clean, untouched)
    assert all(len(values) == 9 for values in parameters.values())
    assert torch.equal(first, composition.apply(clean, composition.sample(generator(3), 9)))
    singles = torch.cat([composition.apply(clean[i : i + 1], rows(parameters, i)) for i in range(9)])
    assert torch.equal(first, singles)
    assert torch.equal(first, composition.apply(clean.contiguous(memory_format=torch.channels_last), parameters))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("composition", ALL, ids=lambda c: c.degree)
def test_compositions_keep_dtype_and_odd_sizes(composition: Composition, dtype: torch.dtype) -> None:
    for size in ((1, 1), (1, 5), (7, 3)):
        found = composition.apply(torch.full((3, 1, *size), 0.5, dtype=dtype), composition.sample(generator(0), 3))
        assert found.dtype == dtype
        assert found.shape[:2] == (3, 1)


def test_degree_says_what_is_done_in_the_order_given() -> None:
    two, ten = GaussianNoise(2), GaussianNoise((10, 12.5))
    assert Sequence((two, ten, PLUS)).degree == "2 > 10-12.5 > brighter"
    assert RandomOrder((two, ten)).degree == "2 & 10-12.5"
    assert Choice((two, ten), (1.0, 3.0)).degree == "2 | 10-12.5"
    assert Sequence((RandomOrder((two, ten)), PLUS)).degree == "(2 & 10-12.5) > brighter"


def test_alternatives_are_all_that_an_image_may_get() -> None:
    both = Choice((NOISE, TIMES))
    assert NOISE.alternatives == [(NOISE,)]
    assert both.alternatives == [(NOISE,), (TIMES,)]
    assert Sequence((PLUS, both)).alternatives == [(PLUS, NOISE), (PLUS, TIMES)]
    assert Sequence((Sequence((PLUS, TIMES)), NOISE)).alternatives == [(PLUS, TIMES, NOISE)]
    assert RandomOrder((PLUS, Sequence((TIMES, NOISE)))).alternatives == [(PLUS, TIMES, NOISE), (TIMES, NOISE, PLUS)]
    assert Choice((both, RandomOrder((PLUS, TIMES)))).alternatives == [
        (NOISE,),
        (TIMES,),
        (PLUS, TIMES),
        (TIMES, PLUS),
    ]


def test_overlaps_look_at_the_parts() -> None:
    weak, strong, wide = GaussianNoise((5, 20)), GaussianNoise(50), GaussianNoise((10, 30))
    assert Sequence((weak, PLUS)).overlaps(Sequence((wide, Plus(1.0))))
    assert not Sequence((weak, PLUS)).overlaps(Sequence((strong, PLUS)))
    assert not Sequence((weak, PLUS)).overlaps(Sequence((PLUS, weak)))
    assert not Sequence((weak, PLUS)).overlaps(Sequence((weak, PLUS, PLUS)))
    assert RandomOrder((weak, PLUS)).overlaps(RandomOrder((PLUS, wide)))
    assert not RandomOrder((weak, strong)).overlaps(RandomOrder((weak, wide)))
    assert Choice((strong, weak)).overlaps(wide)
    assert Choice((strong, weak)).overlaps(Choice((PLUS, wide)))
    assert not Choice((strong, PLUS)).overlaps(Choice((TIMES, wide)))


def test_overlaps_look_at_every_order_and_choice_from_either_side() -> None:
    weak, strong, wide = GaussianNoise((5, 20)), GaussianNoise(50), GaussianNoise((10, 30))
    for one, other, overlapping in (
        (Sequence((PLUS, weak)), RandomOrder((weak, PLUS)), True),
        (Sequence((PLUS, strong)), RandomOrder((weak, PLUS)), False),
        (Sequence((PLUS, weak)), Choice((TIMES, Sequence((PLUS, wide)))), True),
        (Sequence((PLUS, Choice((strong, wide)))), RandomOrder((weak, PLUS)), True),
        (Sequence((weak,)), wide, True),
        (RandomOrder((weak, PLUS, TIMES)), RandomOrder((TIMES, wide, PLUS)), True),
        (RandomOrder((weak, PLUS, TIMES)), RandomOrder((TIMES, strong, PLUS)), False),
    ):
        assert one.overlaps(other) is other.overlaps(one) is overlapping
    severe, noisy = Hybrid("severe"), Hybrid("severe", "noise")
    assert Sequence((severe, PLUS)).overlaps(Sequence((noisy, PLUS)))  # by what a severity shares, not by its words


def test_scales_multiply_and_must_be_equal_where_images_part() -> None:
    assert Sequence((Halve(), PLUS, Halve())).scale == 4
    assert Choice((Halve(), Sequence((NOISE, Halve())))).scale == 2
    with pytest.raises(ValueError, match="keep the size, and one divides it by 2"):
        RandomOrder((PLUS, Halve()))
    with pytest.raises(ValueError, match="one scale, not of 1, 2"):
        Choice((PLUS, Halve()))


@pytest.mark.parametrize("weights", [(1.0,), (0.0, 0.0), (-1.0, 2.0), (math.nan, 1.0), (math.inf, 1.0)])
def test_impossible_weights_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="weights"):
        Choice((TIMES, PLUS), weights)


@pytest.mark.parametrize("composition", [Sequence, RandomOrder, Choice])
def test_a_composition_of_nothing_is_refused(composition: type[Composition]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        composition(())
