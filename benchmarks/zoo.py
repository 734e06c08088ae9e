"""What each backbone is like: the table of docs/backbones.md, measured.

    python benchmarks/zoo.py [NAME ...]

Parameters are counted at the defaults and in a small form. In the small form, in float64 and with weights pushed off
their initial values (some start at zero), a Hessian-vector product by double backward is compared with central
differences of the gradient over steps from 1e-3 to 1e-9; the least relative error is shown, since a step across the
kink of a ReLU tells nothing. A sound network comes below 1e-6. Takes about five minutes.
"""

from __future__ import annotations

import argparse
import inspect
import typing
import warnings

import torch
from torch import nn

from unseen.backbones import BACKBONES
from unseen.hypergradients import gradient, hessian_vector_product
from unseen.methods import Batch, objective_for
from unseen.parts import build

SMALL = {
    "rrdb": "features=4,growth=3,blocks=1",
    "rrdb_small": "features=4,growth=3,blocks=1",
    "plain": "features=4,depth=3",
    "unet": "features=4,levels=1",
    "atd": "embed_dim=12,depths=[2],num_heads=[2],window_size=4,category_size=16,num_tokens=8,reducted_dim=4",
    "compact": "num_feat=8,num_conv=2",
    "craft": "embed_dim=48,depths=[1],num_heads=[6]",
    "dat": "embed_dim=32,depth=[2],num_heads=[2],split_size=[2,4],expansion_factor=1",
    "dctlsa": "nf=10,num_head=5",
    "ditn": "dim=12,itl_blocks=1,sal_blocks=1",
    "dncnn": "nc=8,nb=3",
    "drct": "embed_dim=12,depths=[2],num_heads=[2],window_size=4,gc=4",
    "drunet": "nc=[4,8,8,8],nb=1",
    "fbcnn": "nc=[4,8,8],nb=1",
    "fdat": "embed_dim=16,num_groups=1,depth_per_group=1,num_heads=2,window_size=4",
    "fftformer": "dim=4,num_blocks=[1,1,1],num_refinement_blocks=1",
    "grl": "embed_dim=16,depths=[2],num_heads=[2],window_size=4,stripe_size=[4,8],anchor_window_down_factor=2",
    "hat": "embed_dim=12,depths=[2],num_heads=[2],window_size=4,squeeze_factor=2",
    "kbnet_l": "dim=2,num_blocks=[1,1,1,1],num_refinement_blocks=1",
    "kbnet_s": "width=8,enc_blk_nums=[1,1],middle_blk_num=1,dec_blk_nums=[1,1]",
    "mixdehazenet": "embed_dims=[8,8,8,8,8],depths=[1,1,1,1,1]",
    "mmrealsr": "num_feat=8,num_block=1,num_grow_ch=4,num_feats=[4,4,8,8],num_blocks=[1,1,1,1]",
    "moesr": "dim=16,n_blocks=1,n_block=1",
    "mosr": "dim=8,n_block=2",
    "nafnet": "width=8,enc_blk_nums=[1,1],middle_blk_num=1,dec_blk_nums=[1,1]",
    "omnisr": "num_feat=16,res_num=1,window_size=4",
    "plksr": "dim=8,n_blocks=2,kernel_size=5",
    "rcan": "n_feats=8,n_resgroups=1,n_resblocks=1,reduction=4",
    "realcugan": "",
    "realplksr": "dim=8,n_blocks=2,kernel_size=5",
    "retinexformer": "n_feat=8,stage=1",
    "rgt": "embed_dim=32,depth=[2],num_heads=[2],split_size=[4,4],mlp_ratio=1",
    "safmn": "dim=8,n_blocks=1",
    "safmnbcie": "dim=8,n_blocks=1,num_layers=1",
    "scunet": "config=[1,0,0,1,0,0,1]",
    "seemore": "embedding_dim=12,num_layers=1",
    "span": "feature_channels=8",
    "swiftsrgan": "num_channels=8,num_blocks=1",
    "swin2sr": "embed_dim=12,depths=[2],num_heads=[2],window_size=4",
    "swinir": "embed_dim=12,depths=[2],num_heads=[2],window_size=4",
    "uformer": "embed_dim=4,depths=[1,1,1,1,1,1,1,1,1],num_heads=[1,1,1,1,1,1,1,1,1],win_size=2",
}
"""Name → settings of a form small enough for tests; Real-CUGAN has one size only."""

STEPS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", default=list(BACKBONES), metavar="NAME")
    print(
        "| name | scales | multiple of | parameters | small form | its parameters | error of H·v | spandrel opens it |"
    )
    print("| :--- | :--- | :--- | ---: | :--- | ---: | ---: | :--- |")
    for name in parser.parse_args().names:
        print(f"| `{name}` | {' | '.join(row(name))} |", flush=True)


def row(name: str) -> list[str]:
    """The cells that follow a backbone's name."""
    small, full = made(name, SMALL[name]), made(name, "")
    return [
        ", ".join(map(str, scales(name))),
        taken(full),
        f"{count(full):,}".replace(",", " "),
        f"`{SMALL[name]}`" if SMALL[name] else "",
        f"{count(small):,}".replace(",", " "),
        second_order(small),
        "yes" if opens(full) else "no",
    ]


def made(name: str, settings: str) -> nn.Module:
    torch.manual_seed(0)
    return build(f"{name}:{settings}", BACKBONES, "backbone", nn.Module).eval()


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def scales(name: str) -> tuple[int, ...]:
    """The scales that a backbone can be built for; its own scale where it has no such setting."""
    part = BACKBONES[name]
    hints = typing.get_type_hints(part.__init__ if inspect.isclass(part) else part)
    return typing.get_args(hints["scale"]) if "scale" in hints else (getattr(made(name, SMALL[name]), "scale", 1),)


def taken(network: nn.Module) -> str:
    """What the image is continued to, in words, for a network at its defaults."""
    multiple = getattr(network, "multiple", getattr(network, "stride", 1))
    words = [str(multiple)] if multiple > 1 else []
    words += [f"at least {network.smallest}"] if getattr(network, "smallest", 1) > multiple else []
    words += ["square"] if getattr(network, "square", False) else []
    return ", ".join(words)


def second_order(network: nn.Module) -> str:
    """The least relative error of H·v over the steps, for a squared loss on one image of 8×8 pixels."""
    objective = objective_for(network.double(), "l2")
    at = {name: pushed(p.detach()) for name, p in network.named_parameters()}
    direction = {name: torch.randn_like(p) * p.square().mean().sqrt() for name, p in at.items() if p.numel()}
    at = {name: at[name] for name in direction}
    image = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        batch = Batch(image, torch.rand_like(network(image)))
    try:
        exact = hessian_vector_product(objective, at, batch, direction)
    except RuntimeError as error:
        return f"raises {type(error).__name__}"
    size = torch.cat([v.flatten() for v in exact.values()]).norm()

    def error_at(step: float) -> float:
        ahead, behind = (
            gradient(objective, {name: at[name] + side * step * v for name, v in direction.items()}, batch)
            for side in (1, -1)
        )
        miss = [((ahead[name] - behind[name]) / (2 * step) - exact[name]).flatten() for name in at]
        return float(torch.cat(miss).norm() / size)

    return f"{min(map(error_at, STEPS)):.0e}"


def pushed(parameter: torch.Tensor) -> torch.Tensor:
    """A parameter off its initial value by a tenth of its size, or by normal noise of 0.1 if it is all zero."""
    size = parameter.square().mean().sqrt() if parameter.any() else torch.ones(())
    return parameter + 0.1 * size * torch.randn_like(parameter)


def opens(network: nn.Module) -> bool:
    """Whether spandrel makes the same network of its state dict, as it comes."""
    import spandrel

    image = torch.rand(1, 3, 64, 64)
    try:
        found = spandrel.ModelLoader().load_from_state_dict(dict(network.state_dict())).model.eval()
        with torch.no_grad():
            theirs, ours = found(image), network(image)
    except Exception:  # what it does not know, or knows as something else
        return False
    theirs = theirs[0] if isinstance(theirs, tuple) else theirs
    return theirs.shape == ours.shape and torch.allclose(theirs, ours, atol=1e-4)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=UserWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    main()
