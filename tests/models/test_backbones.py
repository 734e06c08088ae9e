"""The backbones: size, initialisation, receptive field, homogeneity, second derivatives, and that others open them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from support.backbones_table import WRAPPERS
from torch import Tensor, nn
from torch.func import functional_call

from unseen.core.errors import UserError
from unseen.core.registry import build as build_part
from unseen.models.backbones import BACKBONES, RRDB, ZOO, NormalisationEquivariantCNN, PlainCNN, UNet, rrdb_small
from unseen.models.card import Card
from unseen.models.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from unseen.training.config import TrainConfig


def tiny_rrdb(bias: bool = True) -> RRDB:
    return RRDB(features=4, growth=3, blocks=1, bias=bias)


def tiny_rrdb_x2(bias: bool = True) -> RRDB:
    return RRDB(features=4, growth=3, blocks=1, bias=bias, scale=2)


def tiny_rrdb_x4(bias: bool = True) -> RRDB:
    return RRDB(features=4, growth=3, blocks=1, bias=bias, scale=4)


def tiny_unet(bias: bool = True) -> UNet:
    return UNet(features=4, levels=2, bias=bias)


def tiny_plain(bias: bool = True) -> PlainCNN:
    return PlainCNN(features=4, depth=3, bias=bias)


def tiny_direct_plain(bias: bool = True) -> PlainCNN:
    return PlainCNN(features=4, depth=3, bias=bias, residual=False)


def tiny_plain_ne() -> NormalisationEquivariantCNN:
    return NormalisationEquivariantCNN(features=4, depth=3)


def tiny_direct_plain_ne() -> NormalisationEquivariantCNN:
    return NormalisationEquivariantCNN(features=4, depth=3, residual=False)


WITH_BIAS = [tiny_rrdb, tiny_rrdb_x2, tiny_rrdb_x4, tiny_plain, tiny_direct_plain, tiny_unet]
TINY = pytest.mark.parametrize("build", [*WITH_BIAS, tiny_plain_ne, tiny_direct_plain_ne])
TINY_WITH_BIAS = pytest.mark.parametrize("build", WITH_BIAS)


def enlarge_weights(network: nn.Module) -> None:
    """Give each layer's weights the size of a trained network's, and biases that matter."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            nn.init.kaiming_normal_(parameter)
        else:
            nn.init.normal_(parameter, std=0.1)


def rrdb_parameters(features: int, growth: int, blocks: int, bias: bool, channels: int = 3) -> int:
    """The closed form: 3 dense blocks a block, convolutions of growing width, and the four outside."""
    dense = 9 * (features**2 + 8 * features * growth + 6 * growth**2) + bias * (4 * growth + features)
    outside = 9 * (2 * channels * features + 2 * features**2) + bias * (3 * features + channels)
    return 3 * blocks * dense + outside


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_papers_rrdb_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        network = RRDB()
    # 16 697 987 for the ×4 network of ESRGAN, less its two up-convolutions.
    assert count(network) == 16_697_987 - 2 * (9 * 64 * 64 + 64) == 16_624_131
    assert count(network) == rrdb_parameters(64, 32, 23, bias=True)
    assert network.receptive_radius == 349


@pytest.mark.parametrize("bias", [True, False])
def test_other_sizes_follow_the_closed_form(bias: bool) -> None:
    assert count(RRDB(5, 3, 2, bias, channels=1)) == rrdb_parameters(5, 3, 2, bias, channels=1)
    assert count(rrdb_small(bias=bias)) == rrdb_parameters(16, 8, 2, bias)
    assert rrdb_parameters(16, 8, 2, bias=True) == 95_667
    assert count(PlainCNN(bias=bias)) == 9 * (2 * 3 * 32 + 4 * 32**2) + bias * (5 * 32 + 3)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("features", "levels"), [(16, 2), (3, 1), (2, 3)])
def test_a_unet_s_size_follows_the_closed_form(features: int, levels: int, bias: bool) -> None:
    widths = [features * 2**level for level in range(levels + 1)]
    blocks = [(3, features), *pairwise(widths), *((2 * width, width) for width in widths[:-1])]
    convs = sum(9 * (inputs + outputs) * outputs + bias * 2 * outputs for inputs, outputs in blocks)
    enlarging = sum(4 * 2 * width * width + bias * width for width in widths[:-1])
    last = 9 * features * 3 + bias * 3
    assert count(UNet(features, levels, bias)) == convs + enlarging + last
    assert count(UNet()) == 117_459


def test_a_unet_starts_at_kaiming_and_near_the_identity() -> None:
    torch.manual_seed(0)
    network = UNet(features=16, levels=2)
    for name, conv in network.named_modules():
        if isinstance(conv, nn.Conv2d | nn.ConvTranspose2d):
            seen = 9 * conv.in_channels if isinstance(conv, nn.Conv2d) else conv.in_channels  # by an output pixel
            gain = 2 / (1 + 0.2**2) if isinstance(conv, nn.Conv2d) else 1
            expected = (0.1 if name == "last" else 1) * (gain / seen) ** 0.5
            error = 4 / (2 * conv.weight.numel()) ** 0.5  # four standard deviations of a standard deviation
            assert conv.weight.std().item() == pytest.approx(expected, rel=error), name
            assert conv.bias is not None
            assert not conv.bias.any()
    images = torch.rand(2, 3, 32, 32)
    assert (network(images) - images).square().mean() < 0.05 * images.square().mean()


def test_a_doubling_adds_one_convolution_each() -> None:
    sizes = [count(RRDB(5, 3, 1, scale=scale)) for scale in (1, 2, 4)]
    assert [after - before for before, after in pairwise(sizes)] == [9 * 5 * 5 + 5] * 2
    with torch.device("meta"):
        assert count(RRDB(scale=4)) == 16_697_987  # ESRGAN's own
    with pytest.raises(UserError, match=r"^backbone\.scale: 3 is none of 1, 2, 4$"):
        RRDB(scale=3)  # type: ignore[arg-type]


def test_dense_blocks_start_at_a_tenth_of_kaiming_with_zero_bias() -> None:
    torch.manual_seed(0)
    network = RRDB(features=32, growth=32, blocks=1)
    convs = {name: m for name, m in network.named_modules() if isinstance(m, nn.Conv2d)}
    inside = {name: conv for name, conv in convs.items() if ".rdb" in name}
    assert len(inside) == 15
    assert len(convs) == 19
    for conv in inside.values():
        expected = 0.1 * (2 / (9 * conv.in_channels)) ** 0.5
        assert conv.weight.std().item() == pytest.approx(expected, rel=0.04)
        assert conv.weight.mean().abs() < 0.05 * expected
        assert conv.bias is not None
        assert not conv.bias.any()


def test_the_other_convolutions_start_as_pytorch_starts_them() -> None:
    torch.manual_seed(0)
    network = RRDB(features=32, growth=4, blocks=1)
    for conv in (network.conv_first, network.conv_body, network.conv_hr, network.conv_last):
        bound = (9 * conv.in_channels) ** -0.5
        assert conv.weight.abs().max() <= bound
        assert conv.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.06)
        assert conv.bias is not None
        assert conv.bias.any()


@TINY
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (7, 5), (13, 16)])
def test_shape_is_kept_or_multiplied_at_any_size(build: Callable[[], nn.Module], size: tuple[int, int]) -> None:
    network = build()
    scale = getattr(network, "scale", 1)
    assert network(torch.rand(2, 3, *size)).shape == (2, 3, scale * size[0], scale * size[1])


@TINY_WITH_BIAS
@pytest.mark.parametrize("factor", [0.01, 0.7, 30.0])
def test_bias_free_networks_scale_with_their_input(build: Callable[[bool], nn.Module], factor: float) -> None:
    torch.manual_seed(1)
    network = build(False).double()
    enlarge_weights(network)
    images = torch.rand(2, 3, 9, 8, dtype=torch.float64)
    torch.testing.assert_close(network(factor * images), factor * network(images), rtol=1e-12, atol=1e-13)


@TINY_WITH_BIAS
def test_biased_networks_do_not(build: Callable[[bool], nn.Module]) -> None:
    torch.manual_seed(1)
    network = build(True).double()
    enlarge_weights(network)
    images = torch.rand(1, 3, 9, 8, dtype=torch.float64)
    assert (network(2 * images) - 2 * network(images)).abs().max() > 1e-3


@TINY
def test_hessian_vector_products_agree_with_finite_differences(build: Callable[[], nn.Module]) -> None:
    torch.manual_seed(2)
    network = build().double()
    enlarge_weights(network)
    names, theta = zip(*network.named_parameters(), strict=True)
    distorted = torch.rand(1, 3, 5, 5, dtype=torch.float64)
    clean = torch.rand_like(network(distorted))
    direction = [torch.randn_like(parameter) for parameter in theta]

    def gradient(parameters: list[Tensor], create_graph: bool = False) -> tuple[Tensor, ...]:
        restored = functional_call(network, dict(zip(names, parameters, strict=True)), (distorted,))
        # A smooth loss: with L1 the finite difference would see its kinks.
        loss = (restored - clean).square().mean()
        return torch.autograd.grad(loss, parameters, create_graph=create_graph)

    def gradient_at(step: float) -> Tensor:
        moved = [(p + step * d).detach().requires_grad_() for p, d in zip(theta, direction, strict=True)]
        return torch.cat([g.flatten() for g in gradient(moved)])

    products = torch.autograd.grad(gradient(list(theta), create_graph=True), theta, grad_outputs=direction)
    exact = torch.cat([p.flatten() for p in products])
    step = 1e-7
    estimate = (gradient_at(step) - gradient_at(-step)) / (2 * step)
    assert exact.norm() > 1e-3
    assert (exact - estimate).norm() < 1e-5 * exact.norm()


@pytest.mark.parametrize(
    ("network", "radius"),
    [
        (tiny_rrdb(), 19),
        (tiny_rrdb_x2(), 19),  # fewer at the input's resolution, as many more at the output's
        (tiny_rrdb_x4(), 19),
        (tiny_plain(), 3),
        (tiny_plain_ne(), 3),
        (tiny_direct_plain_ne(), 3),
        (UNet(features=2, levels=1), 10),
        (tiny_unet(), 24),
    ],
)
def test_receptive_radius_is_where_the_gradient_ends(
    network: RRDB | PlainCNN | NormalisationEquivariantCNN | UNet, radius: int
) -> None:
    assert network.receptive_radius == radius
    torch.manual_seed(3)
    network = network.double()
    enlarge_weights(network)
    scale, stride = getattr(network, "scale", 1), getattr(network, "stride", 1)
    centre = -(-(radius + 2) // stride) * stride
    side = 2 * centre + stride
    images = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    restored = network(images)
    distance = 0
    for place in range(scale * centre, scale * (centre + stride)):  # all that differ in their place on the grids
        (gradient,) = torch.autograd.grad(restored[0, :, place, place].sum(), images, retain_graph=True)
        touched = gradient[0].abs().sum(dim=0) > 0
        rows, columns = (touched.any(dim=dim).nonzero().flatten().tolist() for dim in (1, 0))
        assert rows == columns == list(range(rows[0], rows[-1] + 1))
        if isinstance(network, UNet):
            assert (rows[0] - centre, rows[-1] - centre) == network.seen_by(place - centre)
        distance = max(distance, place // scale - rows[0], rows[-1] - place // scale)
    assert distance == radius


@pytest.mark.parametrize("build", [tiny_rrdb_x2, tiny_unet])
def test_tiles_that_overlap_by_the_receptive_radius_are_exact(build: Callable[[], RRDB | UNet]) -> None:
    torch.manual_seed(3)
    network = build().double()
    enlarge_weights(network)
    scale, stride = getattr(network, "scale", 1), getattr(network, "stride", 1)
    overlap = -(-network.receptive_radius // stride) * stride
    image = torch.rand(1, 3, 12, 2 * overlap + 15, dtype=torch.float64)
    whole, right = network(image), network(image[..., 8:])
    torch.testing.assert_close(right[..., scale * overlap :], whole[..., scale * (8 + overlap) :], rtol=0, atol=1e-12)
    if stride > 1:  # and not where they begin between two points of its grid
        off = network(image[..., 9:])
        assert (off[..., overlap:] - whole[..., 9 + overlap :]).abs().max() > 1e-6


def test_a_doubled_rrdb_paints_over_repeated_pixels() -> None:
    """With the last three convolutions made identities, ×4 is the ×1 network's trunk with every pixel repeated."""
    torch.manual_seed(5)
    larger, plain = RRDB(3, 2, 1, scale=4), RRDB(3, 2, 1)
    plain.load_state_dict({name: value for name, value in larger.state_dict().items() if "conv_up" not in name})
    for network in (larger, plain):
        for name, conv in network.named_children():
            if name in ("conv_up1", "conv_up2", "conv_hr", "conv_last"):
                assert isinstance(conv, nn.Conv2d)
                nn.init.dirac_(conv.weight)
                assert conv.bias is not None
                nn.init.zeros_(conv.bias)
        assert network.conv_body.bias is not None
        nn.init.constant_(network.conv_body.bias, 9)  # so that nothing is negative, where the leaky ReLUs would tell
    images = torch.rand(1, 3, 4, 5)
    repeated = plain(images).repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    torch.testing.assert_close(larger(images), repeated)


def test_plain_residual_form_is_the_input_less_the_direct_form() -> None:
    direct, residual = tiny_direct_plain(), tiny_plain()
    residual.load_state_dict(direct.state_dict())
    images = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(residual(images), images - direct(images))


@TINY
def test_no_network_writes_over_its_input_or_draws_random_numbers(build: Callable[[], nn.Module]) -> None:
    images = torch.rand(1, 3, 8, 8)
    before = images.clone()
    network = build()
    assert torch.equal(network(images), network(images))
    assert torch.equal(images, before)


def test_a_unet_is_the_network_on_the_continued_image() -> None:
    """At 7×1: mirrored to 8 rows, its one column repeated to 4."""
    torch.manual_seed(6)
    network = tiny_unet()
    image = torch.rand(1, 3, 7, 1)
    continued = torch.cat([image, image[:, :, 5:6]], dim=2).expand(1, 3, 8, 4)
    assert torch.equal(network(image), network(continued)[:, :, :7, :1])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("features", "blocks", "scale"), [(16, 2, 1), (8, 1, 1), (8, 1, 2), (8, 1, 4)])
def test_spandrel_opens_our_checkpoints(features: int, blocks: int, scale: int, bias: bool, tmp_path: Path) -> None:
    spandrel = pytest.importorskip("spandrel")
    config = TrainConfig(backbone=f"rrdb:features={features},blocks={blocks},bias={str(bias).lower()},scale={scale}")
    torch.manual_seed(4)
    network = build_part(config.backbone, BACKBONES, "backbone", nn.Module).eval()
    enlarge_weights(network)
    save_checkpoint(tmp_path / CHECKPOINT, network.state_dict(), Card("1", asdict(config), "hash", 0))
    opened = spandrel.ModelLoader().load_from_file(tmp_path / CHECKPOINT)
    ours, _ = load_checkpoint(tmp_path)
    assert opened.architecture.id == "ESRGAN"
    assert opened.scale == scale
    assert (opened.input_channels, opened.output_channels) == (3, 3)
    assert opened.tags == [f"{features}nf", f"{blocks}nb"]
    images = torch.rand(2, 3, 11, 14)
    with torch.no_grad():
        assert torch.equal(ours(images), network(images))
        # `.model`: the descriptor itself would clip to [0, 1].
        torch.testing.assert_close(opened.model(images), network(images), rtol=1e-4, atol=1e-4)


def test_a_bias_free_unet_has_no_additive_constant_at_all() -> None:
    assert not any(name.endswith("bias") for name in tiny_unet(bias=False).state_dict())


def test_a_bias_free_state_dict_holds_zeros_that_are_not_trained() -> None:
    biased, bias_free = tiny_rrdb(), tiny_rrdb(bias=False)
    assert bias_free.state_dict().keys() == biased.state_dict().keys()
    assert not any(value.any() for name, value in bias_free.state_dict().items() if name.endswith("bias"))
    assert not any(name.endswith("bias") for name, _ in bias_free.named_parameters())


@pytest.mark.parametrize("name", [name for name in BACKBONES if name not in ZOO])
def test_every_named_backbone_builds_and_says_what_it_is(name: str) -> None:
    part = BACKBONES[name]
    summary = (inspect.getdoc(part) or "").splitlines()[0]
    assert re.search(r"(et al\.|and [A-Z]\w+) 20", summary)
    assert summary.endswith(".")
    with torch.device("meta"):
        if name in WRAPPERS:
            assert isinstance(part(PlainCNN(features=8)), nn.Module)
            return
        settings = {"bias": False} if "bias" in inspect.signature(part).parameters else {}
        assert isinstance(part(features=8, **settings), nn.Module)


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: RRDB(features=0), "features"),
        (lambda: RRDB(growth=0), "growth"),
        (lambda: rrdb_small(blocks=-1), "blocks"),
        (lambda: RRDB(channels=0), "channels"),
        (lambda: PlainCNN(depth=1), "depth"),
        (lambda: PlainCNN(features=0), "features"),
        (lambda: NormalisationEquivariantCNN(depth=1), "depth"),
        (lambda: NormalisationEquivariantCNN(features=0), "features"),
        (lambda: NormalisationEquivariantCNN(channels=0), "channels"),
        (lambda: UNet(features=0), "features"),
        (lambda: UNet(levels=0), "levels"),
        (lambda: UNet(channels=-3), "channels"),
    ],
)
def test_sizes_that_are_too_small_are_named(build: Callable[[], nn.Module], field: str) -> None:
    with pytest.raises(UserError, match=rf"^backbone\.{field}: "):
        build()
