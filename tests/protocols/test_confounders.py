"""Gaussian noise against its moments, and episodes against what the paper asks of them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from unseen.core.errors import UserError
from unseen.core.randomness import derive, generator
from unseen.core.shares import ALONE, Shares
from unseen.data.patches import Patches
from unseen.data.photo import Photo
from unseen.data.tensors import to_tensor
from unseen.distortions import DISTORTIONS, GaussianNoise, Sequence
from unseen.distortions.spec import parse_distortion
from unseen.methods import Episode
from unseen.methods.method import TrainsOn
from unseen.protocols.confounder import Recorded, parse_confounder
from unseen.protocols.loading import load_protocol
from unseen.training.episodes import draw_episode, mixture

SEEN = [parse_confounder(f"gaussian_noise:{sigma}", "seen") for sigma in (5, 10, 15, 20)]
CPU = torch.device("cpu")


def photos(n: int = 3) -> list[Photo]:
    draws = np.random.default_rng(0)
    return [Photo(str(i), draws.integers(0, 256, (40 + i, 50, 3), dtype=np.uint8)) for i in range(n)]


def test_a_recorded_set_is_the_same_in_capitals() -> None:
    lower, upper, other = (parse_confounder(f"pairs:{name}", "seen") for name in ("rain100l", "Rain100L", "rain100h"))
    assert lower.overlaps(upper)
    assert upper.degree == "Rain100L"  # as it was given, and as its results name it
    assert not lower.overlaps(other)


@pytest.mark.parametrize("spec", ["pairs:a > jpeg:30", "pairs:a & pairs:b", "pairs:a | jpeg:30", "pairs:a>jpeg:30"])
def test_recorded_sets_are_not_joined(spec: str) -> None:
    with pytest.raises(UserError, match=r"^seen: .*: recorded pairs cannot be joined, and .* in no set's name$"):
        parse_confounder(spec, "seen")


@pytest.mark.parametrize(
    "spec", ["jpeg:5 > ", "jpeg:5 >", " > jpeg:5", "> jpeg:5", ">", "jpeg:5 >  > jpeg:6", "jpeg:5 > > jpeg:6"]
)
def test_a_part_that_is_missing_is_told(spec: str) -> None:
    with pytest.raises(UserError, match=rf"^seen: '{spec}': a distortion is missing beside >$"):
        parse_confounder(spec, "seen")


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("a>b", ""),
        ("jpeg:5>jpeg:6", "quality: expected a number or a range [low, high], got '5>jpeg:6'; "),
        ("haze:1 > jpeg:5>jpeg:6", "quality: expected a number or a range [low, high], got '5>jpeg:6'; "),
    ],
)
def test_signs_without_spaces_are_told(spec: str, reason: str) -> None:
    for sign in ">&|":
        hint = f"between distortions, put spaces around {sign}: one {sign} other"
        with pytest.raises(UserError, match=re.escape((reason + hint).replace(">", sign)) + "$"):
            parse_confounder(spec.replace(">", sign), "seen")


@dataclass(frozen=True)
class Named(GaussianNoise):
    """A distortion with a text among its settings."""

    words: str = ""


def test_a_text_may_hold_a_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DISTORTIONS, "named", Named)
    made = parse_distortion("named:5,words=a|b > haze:1", "seen")
    assert isinstance(made, Sequence)
    assert made.parts[0] == Named(5, words="a|b")


def test_recorded_pairs_are_made_of_no_photograph() -> None:
    for spec in ("pairs:sidd", "jpeg:30 > pairs:sidd"):
        with pytest.raises(UserError, match=r"^distortion: 'pairs:sidd': recorded pairs cannot be made"):
            parse_distortion(spec, "distortion")


@pytest.mark.parametrize("sigma", [5.0, 30.0, 50.0])
def test_unclipped_noise_has_its_moments(sigma: float) -> None:
    noise = GaussianNoise(sigma, clip=False)
    clean = torch.full((4, 3, 128, 128), 0.5)
    field = (noise.apply(clean, noise.sample(generator(0, "test"), 4)) - clean).double() * 255 / sigma
    n = field.numel()
    assert abs(field.mean()) < 4 / math.sqrt(n)
    assert abs(field.var() - 1) < 4 * math.sqrt(2 / n)
    assert abs((field**3).mean()) < 4 * math.sqrt(15 / n)
    assert abs((field**4).mean() - 3) < 4 * math.sqrt(96 / n)
    channels = field.permute(1, 0, 2, 3).reshape(3, -1)
    off_diagonal = torch.corrcoef(channels) - torch.eye(3)
    assert off_diagonal.abs().max() < 4 * math.sqrt(3 / n)
    neighbours = (field[..., 1:] * field[..., :-1]).mean()
    assert abs(neighbours) < 4 / math.sqrt(n)


def test_clipping_moves_the_mean_of_black_by_the_known_amount() -> None:
    """E max(0, σz) = σ/√2π; unclipped, zero."""
    black = torch.zeros(2, 3, 200, 200)
    for clip, expected in ((True, 40 / 255 / math.sqrt(2 * math.pi)), (False, 0.0)):
        noise = GaussianNoise(40, clip=clip)
        found = noise.apply(black, noise.sample(generator(1), 2))
        assert float(found.mean()) == pytest.approx(expected, abs=4 * 40 / 255 / math.sqrt(found.numel()))
        assert (float(found.min()) >= 0) is clip


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 5), (17, 33), (64, 64)])
def test_noise_is_replayed_from_its_parameters_at_any_size(size: tuple[int, int]) -> None:
    noise = GaussianNoise((5, 50))
    clean = torch.rand(5, 3, *size)
    parameters = noise.sample(generator(3), 5)
    first = noise.apply(clean, parameters)
    assert torch.equal(first, noise.apply(clean, parameters))
    assert torch.equal(first, noise.apply(clean, noise.sample(generator(3), 5)))
    assert not torch.equal(first, noise.apply(clean, noise.sample(generator(4), 5)))
    singles = [
        noise.apply(clean[i : i + 1], {name: value[i : i + 1] for name, value in parameters.items()}) for i in range(5)
    ]
    assert torch.equal(first, torch.cat(singles))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_noise_keeps_dtype_shape_and_channels(dtype: torch.dtype) -> None:
    noise = GaussianNoise(25)
    gray = torch.full((2, 1, 9, 9), 0.5, dtype=dtype)
    found = noise.apply(gray, noise.sample(generator(0), 2))
    assert found.dtype == dtype
    assert found.shape == gray.shape


def test_a_range_is_drawn_evenly() -> None:
    sigma = GaussianNoise((5, 50)).sample(generator(0), 4000)["sigma"]
    assert 5 <= float(sigma.min()) < 5.2
    assert 49.8 < float(sigma.max()) <= 50
    assert float(sigma.mean()) == pytest.approx(27.5, abs=4 * 45 / math.sqrt(12 * 4000))


@pytest.mark.parametrize("sigma", [-1, 256, (20, 10), math.nan])
def test_impossible_sigmas_are_refused(sigma: float) -> None:
    with pytest.raises(ValueError, match="sigma"):
        GaussianNoise(sigma)


def test_counterfactual_episodes_share_their_content_and_not_their_noise() -> None:
    episode = draw_episode(SEEN, Patches(photos(), 16), 4, "counterfactual", (0, 0, 7), CPU)
    first, *others = episode.confounders
    assert [batch.name for batch in episode.confounders] == [c.name for c in SEEN]
    assert all(torch.equal(batch.clean, first.clean) for batch in others)
    assert not torch.equal(episode.query.clean, first.clean)
    fields = [
        ((batch.distorted - batch.clean) / float(c.degree)).flatten()
        for batch, c in zip(episode.confounders, SEEN, strict=True)
    ]
    correlations = torch.corrcoef(torch.stack(fields)) - torch.eye(4)
    assert correlations.abs().max() < 0.1  # one draw used twice would give 1


def test_independent_episodes_have_content_of_their_own() -> None:
    episode = draw_episode(SEEN, Patches(photos(), 16), 4, "independent", (0, 0, 7), CPU)
    contents = [batch.clean for batch in episode.confounders] + [episode.query.clean]
    assert not any(torch.equal(a, b) for i, a in enumerate(contents) for b in contents[:i])


def test_an_episode_depends_on_seed_rank_and_step_alone() -> None:
    patches = Patches(photos(), 16)

    def draw(key: tuple[int, int, int]) -> torch.Tensor:
        return draw_episode(SEEN, patches, 2, "counterfactual", key, CPU).query.distorted

    assert torch.equal(draw((1, 2, 3)), draw((1, 2, 3)))
    assert not any(torch.equal(draw((1, 2, 3)), draw(other)) for other in ((0, 2, 3), (1, 0, 3), (1, 2, 4)))


def test_the_mixture_holds_every_confounder_evenly() -> None:
    clean = torch.full((800, 3, 20, 20), 0.5)
    batch = mixture(SEEN, clean, generator(0))
    sigmas = (batch.distorted - batch.clean).flatten(1).std(dim=1) * 255
    counts = torch.bincount((sigmas / 5).round().long(), minlength=5)[1:]
    assert counts.sum() == 800
    assert all(abs(count - 200) < 4 * math.sqrt(800 * 0.25 * 0.75) for count in counts.tolist())


@pytest.mark.parametrize("trains_on", ["seen", "widened"])
@pytest.mark.parametrize("protocol", ["denoise", "deblur", "hybrid", "all-in-one"])
def test_shares_of_a_batch_together_are_the_batch(protocol: str, trains_on: TrainsOn) -> None:
    """With recorded pairs among the confounders, of which a share may get none."""
    pictures = photos()
    pairs = Patches([replace(photo, recorded=photo.pixels // 2) for photo in pictures], 16)
    recorded = Recorded("pairs:x", pairs)
    confounders = [*load_protocol(protocol).training_confounders(trains_on), recorded]

    def draw(shares: Shares) -> Episode:
        key = (0, 0, 5)
        return draw_episode(confounders, Patches(pictures, 16), 6, "counterfactual", key, CPU, shares)

    whole, shares = draw(ALONE), [draw(Shares(rank, 3)) for rank in range(3)]
    for i in range(-1, len(confounders)):
        expected, *found = (e.query if i < 0 else e.confounders[i] for e in (whole, *shares))
        assert [len(batch) for batch in found] == [2, 2, 2]
        for name in ("distorted", "clean"):
            together = torch.cat([getattr(batch, name) for batch in found])
            assert torch.equal(together, getattr(expected, name)), (i, name)


def test_patches_are_windows_of_the_photographs_up_to_symmetry() -> None:
    only = photos(1)
    patches = Patches(only, 12).draw(50, generator(0))
    windows = (
        to_tensor(only[0].pixels).unfold(2, 12, 1).unfold(3, 12, 1)[0].permute(1, 2, 0, 3, 4).reshape(-1, 3, 12, 12)
    )
    seen = set()
    for patch in patches:
        found = [
            (int(match), k, flipped)
            for flipped in (False, True)
            for k in range(4)
            for match in (windows == (patch.flip(-1) if flipped else patch).rot90(k, (-2, -1)))
            .all(-1)
            .all(-1)
            .all(-1)
            .nonzero()
        ]
        assert len(found) == 1
        seen.add(found[0][1:])
    assert len(seen) == 8  # all symmetries of the square


def test_small_photographs_are_padded_by_mirroring() -> None:
    small = Photo("small", np.arange(5 * 3 * 3, dtype=np.uint8).reshape(5, 3, 3))
    patch = Patches([small], 8).draw(1, generator(0))
    assert patch.shape == (1, 3, 8, 8)
    assert set(np.unique(np.round(patch.numpy() * 255))) == set(range(45))  # nothing but its own pixels, all of them


def test_seeds_of_different_purposes_differ() -> None:
    seeds = {derive(seed, purpose, step) for seed in range(5) for purpose in ("a", "b") for step in range(5)}
    assert len(seeds) == 50
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive(1, "1") != derive(11)
