"""What each backbone is like: the table of docs/backbones.md, measured.

    python benchmarks/zoo.py [NAME ...]

Parameters are counted at the defaults and in a small form. On the small form second derivatives are compared with
finite differences (`check_second_order`, which every second-order training begins with), on 16×16 pixels in float64.
At the defaults, spandrel's loader is given the weights, and its network has to give the same output on 64×64 pixels.
Takes about five minutes.
"""

from __future__ import annotations

import argparse
import inspect
import typing
import warnings
from itertools import chain

import torch
from torch import nn

from unseen.core.registry import build, summary_line
from unseen.methods.second_order import TINY, SecondOrderError, check_second_order
from unseen.models.backbones import BACKBONES, Padded

SMALL = {
    "rrdb": "features=4,growth=3,blocks=1",
    "rrdb_small": "features=4,growth=3,blocks=1",
    "plain": "features=4,depth=3",
    "plain_ne": "features=4,depth=3",
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
    "kbnet_l": "dim=24,num_blocks=[1,1,1,1],num_refinement_blocks=1",
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


COLUMNS = {
    "name": ":---",
    "what it is": ":---",
    "scales": ":---",
    "sizes it is given": ":---",
    "parameters": "---:",
    "second derivatives": ":---",
    "spandrel opens it": ":---",
    "a small form": ":---",
    "its parameters": "---:",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", default=list(BACKBONES), metavar="NAME")
    names: list[str] = parser.parse_args().names
    for cells in chain([[*COLUMNS], [*COLUMNS.values()]], map(row, names)):
        print(f"| {' | '.join(cells)} |", flush=True)


def row(name: str) -> list[str]:
    """The cells of a backbone, in the order of `COLUMNS`."""
    small, full = made(name, SMALL[name]), made(name, "")
    return [
        f"`{name}`",
        summary_line(BACKBONES[name]).removesuffix("."),
        ", ".join(map(str, scales(name))),
        taken(full),
        count(full),
        second_order(small),
        "yes" if opens(full) else "no",
        f"`{SMALL[name]}`" if SMALL[name] else "none",
        count(small),
    ]


def made(name: str, settings: str) -> nn.Module:
    torch.manual_seed(0)
    return build(f"{name}:{settings}", BACKBONES, "backbone", nn.Module).eval()


def count(network: nn.Module) -> str:
    """The number of parameters, in groups of three digits."""
    return f"{sum(parameter.numel() for parameter in network.parameters()):,}".replace(",", " ")


def scales(name: str) -> tuple[int, ...]:
    """The scales that a backbone can be built for; its own scale where it has no such setting."""
    part = BACKBONES[name]
    hints = typing.get_type_hints(part.__init__ if inspect.isclass(part) else part)
    return typing.get_args(hints["scale"]) if "scale" in hints else (getattr(made(name, SMALL[name]), "scale", 1),)


def taken(network: nn.Module) -> str:
    """What an image is continued to, in words, for a network at its defaults."""
    multiple = getattr(network, "multiple", getattr(network, "stride", 1))
    words = [f"multiples of {multiple}"] if multiple > 1 else []
    words += [f"{network.smallest} or more"] if getattr(network, "smallest", 1) > multiple else []
    words += ["square"] if getattr(network, "square", False) else []
    return ", ".join(words) or "any"


def second_order(network: nn.Module) -> str:
    """Whether second derivatives are right; if not, the class of the module at fault."""
    try:
        check_second_order(network, (1, 3, TINY, TINY))
    except SecondOrderError as error:
        return f"wrong: `{type(network.get_submodule(error.module)).__name__}`"
    return "right"


def opens(network: nn.Module) -> bool:
    """Whether spandrel makes the same network of its state dict, as it comes."""
    import spandrel

    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        ours = network(image)
        try:
            theirs = spandrel.ModelLoader().load_from_state_dict(dict(network.state_dict())).model.eval()
            if isinstance(network, Padded):  # so that it is given sizes it takes, and a copy
                network.module, theirs = theirs, network
            return torch.allclose(theirs(image), ours, atol=1e-4)
        except Exception:  # what it does not know, or takes for something else
            return False


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=UserWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    main()
