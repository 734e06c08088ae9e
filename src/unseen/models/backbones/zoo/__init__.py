"""The field's networks by name, out of the core of spandrel, whose licences are all permissive (extra `zoo`).

Each function gives a network for RGB with random weights, for any image size (`Padded`); its settings are those of the
authors' code, by their names, and `scale` where the network enlarges. Defaults are large: sizes that were published.
For further arguments of the class, name the class by its path, such as
`spandrel.architectures.SwinIR.SwinIR:upscale=1,window_size=8`; it then takes only the sizes of its own.

Not here:

* ESRGAN: it is `rrdb`, with the initialisation that it is trained from.
* HVI-CIDNet: clamps its output, and cuts off the derivative by one of its parameters.
* IPT: takes only the size that it is built for, 48×48 pixels.
* AuraSR, GFPGAN, RestoreFormer: generators that draw noise or faces; LaMa: fills masks.
"""

from __future__ import annotations

from collections.abc import Callable

from ..padded import Padded
from .attention import atd, craft, dat, dctlsa, ditn, drct, fdat, grl, hat, omnisr, rgt, swin2sr, swinir
from .convolutions import (
    compact,
    dncnn,
    mmrealsr,
    moesr,
    mosr,
    plksr,
    rcan,
    realcugan,
    realplksr,
    safmn,
    safmnbcie,
    seemore,
    span,
    swiftsrgan,
)
from .unets import drunet, fbcnn, fftformer, kbnet_l, kbnet_s, mixdehazenet, nafnet, retinexformer, scunet, uformer

ZOO: dict[str, Callable[..., Padded]] = {
    build.__name__: build
    for build in (
        atd,
        compact,
        craft,
        dat,
        dctlsa,
        ditn,
        dncnn,
        drct,
        drunet,
        fbcnn,
        fdat,
        fftformer,
        grl,
        hat,
        kbnet_l,
        kbnet_s,
        mixdehazenet,
        mmrealsr,
        moesr,
        mosr,
        nafnet,
        omnisr,
        plksr,
        rcan,
        realcugan,
        realplksr,
        retinexformer,
        rgt,
        safmn,
        safmnbcie,
        scunet,
        seemore,
        span,
        swiftsrgan,
        swin2sr,
        swinir,
        uformer,
    )
}
"""Name → function that builds the network."""

__all__ = ["ZOO"]
