"""Seen distortions one after the other: blur and noise against their closed forms, sizes, shares, recorded pairs."""

from __future__ import annotations

import pytest
import torch

from unseen.core.errors import UserError
from unseen.core.randomness import generator
from unseen.methods import METHODS
from unseen.protocols.confounder import Confounder, composed, parse_confounder
from unseen.protocols.loading import load_protocol


def confounders(*specs: str) -> tuple[Confounder, ...]:
    return tuple(parse_confounder(spec, "seen") for spec in specs)


def test_every_confounder_comes_again_followed_by_any() -> None:
    seen = confounders("gaussian_noise:5", "jpeg:30")
    found = composed(seen)
    assert found[:2] == seen
    assert [c.name for c in found[2:]] == ["gaussian_noise:5 > seen", "jpeg:30 > seen"]
    draw = found[2].sample(generator(0, "test"), 1000)
    assert 400 < int(draw["1.choice"].sum()) < 600  # the second of the two, drawn evenly for every image


def test_two_blurs_make_the_one_of_the_root_of_their_squares() -> None:
    clean = torch.rand(1, 3, 96, 96, dtype=torch.float64, generator=generator(0, "test"))
    twice = composed(confounders("gaussian_blur:3"))[1]
    found, same = twice.pair(clean, generator(1, "test"))
    blurred, _ = parse_confounder(f"gaussian_blur:{18**0.5}", "seen").pair(clean, generator(1, "test"))
    assert torch.equal(same, clean)
    inner = (..., slice(24, -24), slice(24, -24))  # away from the border, where mirroring twice is not mirroring once
    torch.testing.assert_close(found[inner], blurred[inner], atol=1e-4, rtol=0)


def test_two_noises_have_the_sum_of_their_variances() -> None:
    gray = torch.full((4, 3, 128, 128), 0.5)
    found, _ = composed(confounders("gaussian_noise:10"))[1].pair(gray, generator(0, "test"))
    assert float((found - gray).std()) * 255 == pytest.approx(200**0.5, rel=0.01)


@pytest.mark.parametrize("enlarge", [False, True])
def test_the_size_is_that_of_one_distortion_where_they_shrink(enlarge: bool) -> None:
    protocol = load_protocol("real-sr-d1")
    protocol = protocol.enlarged() if enlarge else protocol
    clean = torch.rand(2, 3, 64, 64, generator=generator(0, "test"))
    distorted, _ = protocol.training_confounders("composed")[-1].pair(clean, generator(1, "test"))
    assert distorted.shape == ((2, 3, 64, 64) if enlarge else (2, 3, 16, 16))


def test_recorded_pairs_are_left_as_they_are() -> None:
    seen = confounders("pairs:a", "jpeg:30")
    assert [c.name for c in composed(seen)] == ["pairs:a", "jpeg:30", "jpeg:30 > seen"]
    with pytest.raises(UserError, match=r"^method: composes seen distortions, and all that .* are recorded pairs$"):
        composed(seen[:1])


def test_composed_erm_alone_trains_on_them() -> None:
    assert [name for name, method in METHODS.items() if method.trains_on == "composed"] == ["composed_erm"]
    protocol = load_protocol("deblur")
    unseen = {confounder.name for confounder in protocol.unseen}
    assert not unseen & {confounder.name for confounder in protocol.training_confounders("composed")}
