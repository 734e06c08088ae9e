"""Seen distortions one after the other, and faded: against closed forms; sizes, shares, recorded pairs."""

from __future__ import annotations

import pytest
import torch

from unseen.core.errors import UserError
from unseen.core.randomness import generator
from unseen.distortions import Choice, Distortion, Downsample, Faded, GaussianNoise, Sequence
from unseen.methods import METHODS
from unseen.protocols.confounder import Confounder, Synthetic, parse_confounder, widened
from unseen.protocols.loading import load_protocol
from unseen.training.episodes import mixture


def confounders(*specs: str) -> tuple[Confounder, ...]:
    return tuple(parse_confounder(spec, "seen") for spec in specs)


def test_every_confounder_comes_again_followed_by_any_and_faded() -> None:
    seen = confounders("gaussian_noise:5", "jpeg:30")
    found = widened(seen)
    assert found[:2] == seen
    assert [c.name for c in found[2:]] == ["gaussian_noise:5 widened", "jpeg:30 widened"]
    draw = found[2].sample(generator(0, "test"), 1000)
    assert 400 < int(draw["choice"].sum()) < 600  # faded, or followed by another
    assert 400 < int(draw["0.1.choice"].sum()) < 600  # which is the second of the two


def both_ways(spec: str) -> tuple[Distortion, Distortion]:
    """A distortion followed by itself, and the same faded."""
    (_, more) = widened(confounders(spec))
    assert isinstance(more, Synthetic)
    assert isinstance(more.distortion, Choice)
    twice, faded = more.distortion.parts
    return twice, faded


def test_two_blurs_make_the_one_of_the_root_of_their_squares() -> None:
    clean = torch.rand(1, 3, 96, 96, dtype=torch.float64, generator=generator(0, "test"))
    twice, _ = both_ways("gaussian_blur:3")
    found = twice.apply(clean, twice.sample(generator(1, "test"), 1))
    blurred, _ = parse_confounder(f"gaussian_blur:{18**0.5}", "seen").pair(clean, generator(1, "test"))
    inner = (..., slice(24, -24), slice(24, -24))  # away from the border, where mirroring twice is not mirroring once
    torch.testing.assert_close(found[inner], blurred[inner], atol=1e-4, rtol=0)


def test_two_noises_have_the_sum_of_their_variances() -> None:
    gray = torch.full((4, 3, 128, 128), 0.5)
    twice, _ = both_ways("gaussian_noise:10")
    found = twice.apply(gray, twice.sample(generator(0, "test"), 4))
    assert float((found - gray).std()) * 255 == pytest.approx(200**0.5, rel=0.01)


def test_a_faded_distortion_leaves_a_share_of_what_it_does() -> None:
    clean = torch.full((4000, 1, 4, 4), 0.5)
    _, faded = both_ways("gaussian_noise:10")
    draw = faded.sample(generator(0, "test"), 4000)
    found = faded.apply(clean, draw)
    shares = (found - clean).flatten(1).std(1) * 255 / 10  # of sixteen pixels each
    assert float(shares.mean()) == pytest.approx(0.5 * 0.983, abs=0.02)
    assert float((shares / draw["share"]).std()) == pytest.approx(1 / 30**0.5, rel=0.1)
    assert 0 <= float(draw["share"].min()) < 0.01 < 0.99 < float(draw["share"].max()) <= 1


@pytest.mark.parametrize("enlarge", [False, True])
def test_the_size_is_that_of_one_distortion_where_they_shrink(enlarge: bool) -> None:
    protocol = load_protocol("real-sr-d1")
    protocol = protocol.enlarged() if enlarge else protocol
    clean = torch.rand(2, 3, 64, 64, generator=generator(0, "test"))
    for confounder in protocol.training_confounders("widened"):
        distorted, _ = confounder.pair(clean, generator(1, "test"))
        assert distorted.shape == ((2, 3, 64, 64) if enlarge else (2, 3, 16, 16))


def test_recorded_pairs_are_left_as_they_are() -> None:
    seen = confounders("pairs:a", "jpeg:30")
    assert [c.name for c in widened(seen)] == ["pairs:a", "jpeg:30", "jpeg:30 widened"]
    with pytest.raises(UserError, match=r"^method: widens seen distortions, and all that .* are recorded pairs$"):
        widened(seen[:1])


def test_half_of_a_mixture_is_as_seen_and_a_quarter_each_followed_and_faded() -> None:
    """By the deviation of noise on gray: σ as seen, 1.41 σ twice, at most σ and even below it faded."""
    gray = torch.full((3000, 1, 12, 12), 0.5)
    batch = mixture(widened(confounders("gaussian_noise:10")), gray, generator(0, "test"))
    deviations = (batch.distorted - gray).flatten(1).std(1) * 255 / 10
    twice, weak = (deviations > 1.2).float().mean(), (deviations < 0.8).float().mean()
    assert float(twice) == pytest.approx(0.25, abs=0.03)
    assert float(weak) == pytest.approx(0.25 * 0.8, abs=0.03)


def test_a_faded_picture_that_shrinks_lies_between_the_small_clean_one_and_the_distorted_one() -> None:
    clean = torch.rand(2, 3, 16, 16, generator=generator(0, "test"))
    faded = Faded(Sequence((GaussianNoise(30), Downsample(2))))
    draw = faded.sample(generator(1, "test"), 2)
    small = Downsample(2).apply(clean, {})
    distorted = faded.distortion.apply(clean, {name.removeprefix("of."): v for name, v in draw.items()})
    expected = small + draw["share"].float().view(2, 1, 1, 1) * (distorted - small)
    torch.testing.assert_close(faded.apply(clean, draw), expected)
    assert (faded.scale, faded.degree) == (2, "up to 30 > 2")


def test_ranges_and_compositions_are_widened_too() -> None:
    seen = confounders("gaussian_noise:[5, 30]", "gaussian_blur:2 > jpeg:40")
    clean = torch.rand(2, 3, 24, 24, generator=generator(0, "test"))
    for confounder in widened(seen):
        distorted, same = confounder.pair(clean, generator(1, "test"))
        assert same is clean
        assert distorted.shape == clean.shape
        assert 0 <= float(distorted.min()) <= float(distorted.max()) <= 1
        assert not torch.equal(distorted, clean)


def test_widened_erm_alone_trains_on_them() -> None:
    assert [name for name, method in METHODS.items() if method.trains_on == "widened"] == ["widened_erm"]
