"""The dead leaves model against its closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unseen.core.errors import UserError
from unseen.data.arrays import Floats
from unseen.data.dead_leaves import DeadLeaves, Discs, _blur, _box_holds_any, _frontmost, dead_leaves_photos
from unseen.data.photo import Photo, Pixels

BLACK_WHITE = np.array([[0, 0, 0], [255, 255, 255]], dtype=np.uint8)
COLOURS = np.random.default_rng(0).integers(0, 256, (5000, 3), dtype=np.uint8)


def power_law_cdf(r: Floats, low: float, high: float, exponent: float) -> Floats:
    if exponent == 1:
        return np.asarray(np.log(r / low) / math.log(high / low))
    e = 1 - exponent
    return np.asarray((r**e - low**e) / (high**e - low**e))


def ks_distance(sample: Floats, low: float, high: float, exponent: float) -> float:
    """Kolmogorov-Smirnov distance of a sample from the truncated power law."""
    cdf = power_law_cdf(np.sort(sample), low, high, exponent)
    steps = np.arange(len(sample) + 1) / len(sample)
    return float(max(np.abs(cdf - steps[1:]).max(), np.abs(cdf - steps[:-1]).max()))


@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.0, 3.5])
def test_radii_follow_the_power_law(exponent: float) -> None:
    model = DeadLeaves(r_min=1.5, r_max=40.0, exponent=exponent)
    sample = model.radii(20_000, np.random.default_rng(1))
    critical = 1.95 / math.sqrt(len(sample))  # exceeded once in a thousand samples
    assert sample.min() >= 1.5
    assert sample.max() <= 40.0
    assert ks_distance(sample, 1.5, 40.0, exponent) < critical
    assert ks_distance(sample, 1.5, 40.0, exponent + 0.2) > critical  # the test can tell


@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.0])
def test_radii_of_discs_centred_in_the_frame_follow_the_power_law(exponent: float) -> None:
    """Discs that meet the frame are larger on average, yet places and radii are independent on the plane."""
    model = DeadLeaves(r_min=2.0, r_max=50.0, exponent=exponent)
    discs = model.discs(40_000, 64, np.random.default_rng(2))
    centred = (np.abs(discs.x - 31.5) < 32) & (np.abs(discs.y - 31.5) < 32)
    sample = discs.r[centred]
    assert ks_distance(sample, 2.0, 50.0, exponent) < 1.95 / math.sqrt(len(sample))
    assert ks_distance(discs.r, 2.0, 50.0, exponent) > 0.05


def test_each_disc_s_box_meets_the_frame_and_order_is_random() -> None:
    discs = DeadLeaves(r_min=1.0, r_max=30.0).discs(20_000, 50, np.random.default_rng(3))
    for centre in (discs.x, discs.y):
        assert (centre + discs.r >= -0.5).all()
        assert (centre - discs.r <= 49.5).all()
    half = len(discs.r) // 2
    assert abs(np.median(discs.r[:half]) - np.median(discs.r[half:])) < 0.05


def test_expected_number_of_layers() -> None:
    """`_count_for` and `discs` agree: each pixel lies under so many discs on average, at the border too."""
    model, size = DeadLeaves(r_min=1.0, r_max=20.0), 24
    discs = model.discs(model._count_for(400.0, size), size, np.random.default_rng(4))
    middle = np.arange(size)
    layers = np.zeros((size, size))
    for x, y, r in zip(*discs, strict=True):
        layers += (middle - x) ** 2 + (middle[:, None] - y) ** 2 <= r * r
    border = np.ones((size, size), dtype=bool)
    border[2:-2, 2:-2] = False
    assert layers.mean() == pytest.approx(400, rel=0.03)
    assert layers[border].mean() == pytest.approx(400, rel=0.03)


def test_the_frontmost_disc_is_found_as_by_brute_force() -> None:
    size = 48
    discs = DeadLeaves(r_min=0.4, r_max=35.0, exponent=2.0).discs(150, size, np.random.default_rng(5))
    middle = np.arange(size)
    inside = np.stack([(middle - x) ** 2 + (middle[:, None] - y) ** 2 <= r * r for x, y, r in zip(*discs, strict=True)])
    expected = np.where(inside.any(axis=0), inside.argmax(axis=0), len(discs.r))
    assert (expected < len(discs.r)).mean() > 0.5
    everything = np.ones((size, size), dtype=bool)
    np.testing.assert_array_equal(_frontmost(discs, everything), expected)
    # Dropping what is hidden must change nothing where pixels are wanted.
    few = np.random.default_rng(6).random((size, size)) < 0.01
    np.testing.assert_array_equal(_frontmost(discs, few)[few], expected[few])
    assert _box_holds_any(discs, few).sum() < _box_holds_any(discs, everything).sum()


def test_discs_touching_no_pixel_middle_paint_nothing() -> None:
    discs = Discs(np.array([3.5, -9.0, 2.0]), np.array([3.5, 2.0, 2.0]), np.array([0.3, 2.0, 0.5]))
    front = _frontmost(discs, np.ones((6, 6), dtype=bool))
    assert (front < 3).sum() == 1
    assert front[2, 2] == 2


def test_the_rim_belongs_to_the_disc_at_the_border_of_a_size_class() -> None:
    disc = Discs(np.array([2.5]), np.array([3.0]), np.array([1.5]))
    front = _frontmost(disc, np.ones((7, 7), dtype=bool))
    assert np.flatnonzero(front[3] == 0).tolist() == [1, 2, 3, 4]


def test_no_leaf_is_wider_than_a_disc() -> None:
    """Leaves of different batches never share a number, and so a colour."""
    leaves = DeadLeaves(r_min=1.0, r_max=3.0)._visible_leaves(96, np.random.default_rng(11))
    rows, columns = np.mgrid[:96, :96]
    for i in np.unique(leaves):
        assert np.ptp(rows[leaves == i]) <= 6
        assert np.ptp(columns[leaves == i]) <= 6


@pytest.mark.parametrize(("r_min", "r_max"), [(1.0, 200.0), (0.5, 3.0), (20.0, 30.0)])
def test_every_pixel_is_covered_by_a_colour_of_the_palette(r_min: float, r_max: float) -> None:
    palette = np.array([[200, 10, 30], [7, 90, 250]], dtype=np.uint8)
    image = DeadLeaves(r_min, r_max, edge_blur=0).image(70, palette, np.random.default_rng(7))
    assert image.shape == (70, 70, 3)
    assert image.dtype == np.uint8
    colours = {tuple(colour) for colour in image.reshape(-1, 3).tolist()}
    assert colours <= {(200, 10, 30), (7, 90, 250)}


def test_colours_are_drawn_evenly_from_the_palette() -> None:
    model = DeadLeaves(r_min=1.0, r_max=3.0, edge_blur=0)
    share = np.mean([model.image(96, BLACK_WHITE, np.random.default_rng(k)).mean() / 255 for k in range(4)])
    assert share == pytest.approx(0.5, abs=0.03)


def test_same_seed_same_image() -> None:
    model = DeadLeaves()
    first = model.image(64, COLOURS, np.random.default_rng(8))
    np.testing.assert_array_equal(first, model.image(64, COLOURS, np.random.default_rng(8)))
    assert not np.array_equal(first, model.image(64, COLOURS, np.random.default_rng(9)))


def test_photos_do_not_depend_on_how_many_are_asked_for() -> None:
    many, few = dead_leaves_photos(5, size=48, seed=3), dead_leaves_photos(2, size=48, seed=3)
    assert [photo.name for photo in many] == [f"dead_leaves/{i:05d}" for i in range(5)]
    for one, other in zip(few, many, strict=False):
        np.testing.assert_array_equal(one.pixels, other.pixels)
    assert not np.array_equal(many[0].pixels, many[1].pixels)
    assert not np.array_equal(many[0].pixels, dead_leaves_photos(1, size=48, seed=4)[0].pixels)
    assert dead_leaves_photos(0) == []


def test_the_colours_of_one_image_come_from_one_photograph() -> None:
    red = Photo("red", np.full((4, 4, 3), (255, 0, 0), dtype=np.uint8))
    blue = Photo("blue", np.full((4, 4, 3), (0, 0, 255), dtype=np.uint8))
    photos = dead_leaves_photos(12, size=16, palettes=[red, blue])
    drawn = [np.unique(photo.pixels.reshape(-1, 3), axis=0).tolist() for photo in photos]
    assert all(len(colours) == 1 for colours in drawn)
    assert {tuple(colours[0]) for colours in drawn} == {(255, 0, 0), (0, 0, 255)}


def test_by_default_no_image_is_gray() -> None:
    """Half of the embedded training photographs are; their pixels would make half of the images so."""
    for photo in dead_leaves_photos(8, size=32):
        assert (photo.pixels != photo.pixels[..., :1]).any()


@pytest.fixture(scope="module")
def stack() -> Floats:
    """Many small gray images, (N, size, size), to average over."""
    model = DeadLeaves(r_min=1.0, r_max=40.0)
    palette = np.arange(256, dtype=np.uint8)[:, None].repeat(3, axis=1)
    return np.stack([model.image(32, palette, np.random.default_rng(k))[..., 0] for k in range(400)]).astype(np.float64)


def test_the_border_is_like_the_middle(stack: Floats) -> None:
    """Variance over images, and steps between neighbours, are the same at the border as in the middle."""
    border = np.ones((32, 32), dtype=bool)
    border[2:-2, 2:-2] = False
    middle = np.zeros((32, 32), dtype=bool)
    middle[8:-8, 8:-8] = True
    variance = stack.var(axis=0)
    assert variance[border].mean() == pytest.approx(variance[middle].mean(), rel=0.08)
    steps = np.abs(np.diff(stack, axis=2)).mean(axis=0)
    assert steps[:, [0, 1, -1, -2]].mean() == pytest.approx(steps[:, 12:18].mean(), rel=0.08)
    assert steps[[0, 1, -1, -2]].mean() == pytest.approx(steps[12:18].mean(), rel=0.08)


def same_disc_probability(distance: int, r_min: float, r_max: float) -> float:
    """P(two pixels show one disc) = γ(h) / (2 γ(0) - γ(h)), γ(h) the mean area a disc shares with its shift.

    The first disc over either pixel covers both or one. The integral over r is taken numerically.
    """
    r = np.geomspace(r_min, r_max, 4001)
    weight = r**-3.0 * r  # r^-3 dr on a logarithmic grid
    h = np.minimum(distance / (2 * r), 1)
    shared = 2 * r**2 * (np.arccos(h) - h * np.sqrt(1 - h**2))
    covariogram, area = (weight * shared).sum(), (weight * math.pi * r**2).sum()
    return float(covariogram / (2 * area - covariogram))


@pytest.mark.parametrize("distance", [1, 3, 8])
def test_correlation_over_distance_is_that_of_the_model(distance: int) -> None:
    """Colours are independent from disc to disc: the correlation of two pixels is the chance of one disc."""
    model = DeadLeaves(r_min=1.0, r_max=10.0, edge_blur=0)
    images = np.stack([model.image(96, BLACK_WHITE, np.random.default_rng(k))[..., 0] for k in range(12)]) / 127.5 - 1
    products = np.concatenate(
        [
            (images[:, :, distance:] * images[:, :, :-distance]).ravel(),
            (images[:, distance:] * images[:, :-distance]).ravel(),
        ]
    )
    assert products.mean() == pytest.approx(same_disc_probability(distance, 1.0, 10.0), abs=0.02)


def test_edge_blur_softens_edges_keeps_the_mean_and_reaches_the_border() -> None:
    def gradient(image: Pixels) -> float:
        return float(np.abs(np.diff(image.astype(float), axis=0)).mean())

    images = [DeadLeaves(edge_blur=b).image(128, COLOURS, np.random.default_rng(10)) for b in (0, 0.5, 1.5)]
    gradients = [gradient(image) for image in images]
    assert gradients[0] > 1.1 * gradients[1]
    assert gradients[1] > 1.1 * gradients[2]
    assert np.abs(images[0].mean() - images[2].mean()) < 10


def test_blur_is_the_gaussian_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-plane blurred by σ = 2 is the normal distribution function."""
    step = np.zeros((60, 60, 3), dtype=np.uint8)
    step[:, 30:] = 255
    margin = 8
    row = _blur(step, 2.0, margin)
    assert row.shape == (44, 44, 3)
    x = np.arange(44) + margin - 29.5
    expected = [255 * 0.5 * (1 + math.erf(v / (2 * math.sqrt(2)))) for v in x]
    np.testing.assert_allclose(row[5, :, 1], expected, atol=1.5)
    np.testing.assert_array_equal(_blur(step.transpose(1, 0, 2), 2.0, margin), row.transpose(1, 0, 2))


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"r_min": 0.0}, "r_min"),
        ({"r_min": 5.0, "r_max": 5.0}, "r_min"),
        ({"r_max": math.inf}, "r_min"),
        ({"exponent": math.nan}, "exponent"),
        ({"edge_blur": -1.0}, "edge_blur"),
    ],
)
def test_settings_out_of_range_are_named(settings: dict[str, float], field: str) -> None:
    with pytest.raises(UserError, match=f"^{field}: "):
        DeadLeaves(**settings)


def test_bad_sizes_counts_and_palettes_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(UserError, match="size"):
        DeadLeaves().image(0, COLOURS, rng)
    with pytest.raises(UserError, match="count"):
        dead_leaves_photos(-1)
    for palette in (COLOURS[:0], COLOURS.astype(float), COLOURS[:, :2]):
        with pytest.raises(ValueError, match="palette"):
            DeadLeaves().image(8, palette, rng)
