"""Restoration of images in memory; the result is an image of the same kind as the input."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ..core.config import Machine
from ..core.errors import UserError
from ..core.precision import Precision
from ..core.trust import Names, trusting
from ..core.units import ValueRange, parse_bytes
from ..evaluation.noise import Crop, photo_noise, sampled_crops
from ..models.card import Envelope, envelope, safety
from ..models.files import DEFAULT
from ..models.loading import Model, load_model
from .colour import MARGIN
from .guarded_model import Change, MonitoredModel
from .imagefiles.transparency import spread_colours
from .report import NoiseRange
from .self_check import SelfCheck, self_check, with_change, worth_its_risk
from .tiles import Tiling, restore_tiled, tiling_for

AnyImage = TypeVar("AnyImage", NDArray[Any], Tensor, Image.Image)

Run = Callable[[Tensor, Tensor], tuple[Tensor, Sequence[int]]] | None
"""A function from the images to restore and the images to judge, which have their own colours under what is
transparent, to the restored images, not clipped, and the indices of those that are left as they are; images are float32
(B, 3, H, W) in [0, 1]. None to return all images as they are."""

WHITE = {"uint8": 255, "uint16": 65535}
"""The largest value of each integer dtype, which stands for 1."""
FLOATS = ("float16", "bfloat16", "float32", "float64")

ARRAY_SHAPES = "(H, W) or (H, W, C) with C from 1 to 4"
TENSOR_SHAPES = "(C, H, W) or (B, C, H, W) with C from 1 to 4"
MODES = ("L", "LA", "RGB", "RGBA", "P", "I;16", "I;16L", "I;16B")


@dataclass(frozen=True, eq=False)
class Restoration(Generic[AnyImage]):
    """A restored image with the judgement on it.

    Attributes:
        image: the restored image, as of `Restorer.restore`.
        noise_level: estimated noise level of the input, σ in gray levels of 255; nan where it cannot be estimated. The
            mean of what the network itself read, where it reads the noise.
        kept: share of the restoration in `image`: 1, or 0 where the input was left as it is.
        warnings: reasons to look at `image`, each a short sentence.
        noise_range: mean and range of the noise that the network itself read; None where it reads none.
    """

    image: AnyImage
    noise_level: float
    kept: float
    warnings: tuple[str, ...]
    noise_range: NoiseRange | None = None


@dataclass(frozen=True)
class Restorer:
    """A model that restores images in memory, tile by tile; several threads may use it at once.

    Attributes:
        model: the model.
        tiling: the tiles into which images are cut for the model.
    """

    model: Model
    tiling: Tiling

    @classmethod
    def load(
        cls,
        model: str = DEFAULT,
        *,
        device: str = "auto",
        memory: str = "1GiB",
        tile: int = 0,
        backbone: str = "",
        value_range: ValueRange = "auto",
        precision: Precision = "auto",
    ) -> Self:
        """Load a model and choose its tiles.

        Args:
            model: the name of a shipped model, or a path (`load_model`).
            device: the device by its name in PyTorch, or `auto` for the best available.
            memory: largest memory of the tiles of one call, beside the loaded program: 512MiB, 2GiB.
            tile: side of a tile in pixels; 0 for the largest that memory allows.
            backbone: dotted path of the network, only for a checkpoint of the user's own network: my.module.Net. The
                path is trusted here (`unseen.trusting`), and must come from no file.
            value_range: range of values of another program's model; `auto` to find it by trials.
            precision: type in which the network multiplies: `fp32`; `bf16`; or `auto` for bf16 where the device has it
                and the model's card says that it loses at most 0.05 dB.

        Raises:
            UserError: the model, the device, the precision or the amount of memory cannot be used.
        """
        with trusting(*Names.dotted(backbone)):
            loaded = load_model(
                model, Machine(device=device, threads=1).resolved().device, backbone, value_range, precision
            )
        return cls(loaded, tiling_for(loaded, parse_bytes(memory, "memory"), tile))

    def restore(self, image: AnyImage, *, harm_check: bool = True, strength: float = 1.0) -> AnyImage:
        """Restore an image.

        Whole numbers stand for [0, 1] by their largest value, and results are rounded; all results are clipped. Gray is
        restored as a colour image of equal channels, and becomes the mean of the result's channels. Alpha is returned
        as it is, or enlarged bilinearly if the model enlarges. Tensors come back without gradients. A Pillow image
        keeps its `info`, such as profile and EXIF, and is not turned by EXIF; palettes become RGB or RGBA, and a
        transparent colour becomes an alpha channel; of several frames the current one is restored.

        Args:
            image: one of

                * a NumPy array (H, W) or (H, W, C): uint8, uint16, or floating-point in [0, 1];
                * a PyTorch tensor (C, H, W) or (B, C, H, W) of the same types, on any device;
                * a Pillow image of mode L, LA, RGB, RGBA, P or I;16.

                C: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha.
            harm_check: whether an image comes back as it is, to the bit, where its restoration changes so little that
                it is not worth its risk (`worth_its_risk`).
            strength: how strong the noise is taken for, times what the network reads itself, 0 to 2; at 0 the result
                is the image as it is, to the bit.

        Returns:
            The restored image: of the same type and dtype, on the same device, its height and width times the model's
            scale.

        Raises:
            TypeError: another type, dtype or mode.
            ValueError: another shape, an empty image, NaN, or floating-point values outside [0, 1].
            UserError: the model makes values that are not finite, and another strength than 1 for a model that does
                not read the noise itself.
        """
        model = self.model.with_strength(strength)
        if model.strength == 0:
            return self._converted(image, None)
        harm_check = harm_check and model.receptive_field.scale == 1

        def restored(values: Tensor, judged: Tensor) -> tuple[Tensor, Sequence[int]]:
            result = restore_tiled(model, values, self.tiling)
            if not harm_check:
                return result, ()
            changes = [Change.between(*pair).rms for pair in zip(values, result, strict=True)]
            noises = [noise_of(image) for image in judged]
            worth = [worth_its_risk(*pair, model.strength) for pair in zip(changes, noises, strict=True)]
            return result, [i for i, restore in enumerate(worth) if not restore]

        return self._converted(image, restored)

    def restore_checked(
        self, image: AnyImage, *, harm_check: bool = True, keep_colours: bool = False, strength: float = 1.0
    ) -> Restoration[AnyImage]:
        """Restore an image and judge the result, as `unseen restore` does.

        Args:
            image: one image, of the kinds that `restore` takes.
            harm_check: as of `restore`.
            keep_colours: whether to take back shifts of the colours of large areas.
            strength: as of `restore`; at 0 nothing is restored, and nothing judged.

        Raises:
            TypeError: as `restore`.
            ValueError: as `restore`, and a tensor of several images.
            UserError: as `restore`, and `keep_colours` with a model that enlarges.
        """
        model = self.model.with_strength(strength)
        if model.strength == 0:
            return Restoration(self._converted(image, None), math.nan, 0.0, ())
        if keep_colours and model.receptive_field.scale > 1:
            raise UserError(f"keep_colours: {model.name} enlarges, and its output cannot be compared with the input")
        judgements: list[SelfCheck] = []

        def restored(values: Tensor, judged: Tensor) -> tuple[Tensor, Sequence[int]]:
            if len(values) != 1:
                raise ValueError(f"restore_checked: {len(values)} images; give one at a time")
            for_tiles = model.for_tiles_of(values)
            check = self_check(crops_of(judged[0]), for_tiles, self.envelope)
            monitored = MonitoredModel(for_tiles, [check.noise_level], keep_colours)
            tiling = self.tiling.widened(MARGIN, model.receptive_field.stride) if keep_colours else self.tiling
            result = restore_tiled(monitored.model, values, tiling)
            monitored.measure(values, result)
            judgements.append(with_change(check, monitored.changes[0], harm_check, model.strength))
            return result, () if judgements[0].kept else (0,)

        result = self._converted(image, restored)
        (check,) = judgements
        texts = tuple(warning.text for warning in check.warnings)
        return Restoration(result, check.shown_noise, check.kept, texts, check.noise_range)

    @property
    def envelope(self) -> Envelope | None:
        """The noise levels at which the model is known to be safe; None if nothing is known."""
        return envelope(self.model.card.quality if self.model.card else ())

    @property
    def safety(self) -> str:
        """One sentence on where the model is safe."""
        return safety(self.model.card.quality if self.model.card else ())

    def _converted(self, image: AnyImage, run: Run) -> AnyImage:
        """Restore an image of any kind by a function of tensors."""
        if isinstance(image, np.ndarray):
            return self._array(image, run)
        if isinstance(image, Tensor):
            return self._tensor(image, run)
        if isinstance(image, Image.Image):
            return self._pillow(image, run)
        raise TypeError(f"restore: {type(image).__name__} is no NumPy array, PyTorch tensor or Pillow image")

    def _pillow(self, image: Image.Image, run: Run) -> Image.Image:
        if image.mode not in MODES:
            raise TypeError(f"restore: mode {image.mode} is none of {', '.join(MODES)}; convert it to one of them")
        info = dict(image.info)
        if image.mode == "P":
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        elif "transparency" in info and image.mode in ("L", "RGB"):
            image = image.convert(f"{image.mode}A")
        info.pop("transparency", None)  # an alpha channel by now
        restored = Image.fromarray(self._array(np.asarray(image), run))
        restored.info = info
        return restored

    def _array(self, array: NDArray[Any], run: Run) -> NDArray[Any]:
        if array.ndim not in (2, 3):
            raise ValueError(f"restore: an array of shape {array.shape} is no image; give {ARRAY_SHAPES}")
        _refuse_dtype(array.dtype.name, "an array")
        channels = array.shape[2] if array.ndim == 3 else 1
        _refuse_shape(channels, array.shape, ARRAY_SHAPES)
        native = np.array(array.reshape(*array.shape[:2], channels), array.dtype.newbyteorder("="), order="C")
        restored = self._images(torch.from_numpy(native).permute(2, 0, 1)[None], run)
        pixels = restored[0].permute(1, 2, 0).contiguous().numpy().astype(array.dtype, copy=False)
        return pixels if array.ndim == 3 else pixels[..., 0]

    def _tensor(self, tensor: Tensor, run: Run) -> Tensor:
        if tensor.ndim not in (3, 4):
            raise ValueError(f"restore: a tensor of shape {tuple(tensor.shape)} is no image; give {TENSOR_SHAPES}")
        _refuse_dtype(str(tensor.dtype).removeprefix("torch."), "a tensor")
        _refuse_shape(tensor.shape[-3], tuple(tensor.shape), TENSOR_SHAPES)
        restored = self._images(tensor.detach().cpu().reshape(-1, *tensor.shape[-3:]), run).to(tensor.device)
        return restored if tensor.ndim == 4 else restored[0]

    def _images(self, images: Tensor, run: Run) -> Tensor:
        """Restore (B, C, H, W) on the CPU, of an allowed dtype and number of channels, to the same dtype."""
        colours = images.shape[1] - 1 if images.shape[1] in (2, 4) else images.shape[1]
        values = to_unit(images)
        if run is None:
            return images.clone()
        own = values[:, :colours]
        spread = own if colours == images.shape[1] else spread_under(values)
        restored, left = run(*(layers.expand(-1, 3, -1, -1).contiguous() for layers in (spread, own)))
        if not restored.isfinite().all():
            raise UserError(f"{self.model.name}: makes values of this image that are not finite")
        if colours == 1:  # in float64, so that the mean of three equal values is that value
            restored = restored.double().mean(1, keepdim=True).float()
        restored = from_unit(restored, images.dtype)
        for i in left:
            restored[i] = images[i, :colours]
        if colours == images.shape[1]:
            return restored
        alpha = images[:, colours:]
        if self.model.receptive_field.scale > 1:
            enlarged = F.interpolate(
                values[:, colours:], scale_factor=self.model.receptive_field.scale, mode="bilinear"
            )
            alpha = from_unit(enlarged, images.dtype)
        else:  # what nobody sees stays what it was
            restored = torch.where(alpha == 0, images[:, :colours], restored)
        return torch.cat((restored, alpha), dim=1)


def crops_of(image: Tensor) -> list[Crop]:
    """Crops of one image (3, H, W) to judge it by."""
    pixels = image.permute(1, 2, 0).numpy()
    return sampled_crops(lambda top, bottom: pixels[top:bottom], *pixels.shape[:2])


def noise_of(image: Tensor) -> float:
    """Noise level of one image (3, H, W), gray levels of 255 (`photo_noise`)."""
    return photo_noise(crops_of(image))


def spread_under(layers: Tensor) -> Tensor:
    """Spread the colours of (B, C, H, W), alpha last, under what is transparent: (B, C - 1, H, W)."""
    pixels = layers.permute(0, 2, 3, 1).numpy()
    spread = [spread_colours(image[..., :-1], image[..., -1:]) for image in pixels]
    return torch.from_numpy(np.stack(spread)).permute(0, 3, 1, 2)


def to_unit(images: Tensor) -> Tensor:
    """Convert an image of any allowed dtype to float32 in [0, 1].

    Raises:
        ValueError: floating-point values outside [0, 1], or NaN.
    """
    if not images.is_floating_point():
        return images.float() / WHITE[str(images.dtype).removeprefix("torch.")]
    low, high = (float(value) for value in images.aminmax())
    if not (low >= 0 and high <= 1):  # NaN is neither
        raise ValueError(f"restore: values from {low:g} to {high:g}; floating-point images are in [0, 1], without NaN")
    return images.float()


def from_unit(images: Tensor, dtype: torch.dtype) -> Tensor:
    """Clip float32 to [0, 1] and convert it to `dtype`; whole numbers are scaled and rounded."""
    images = images.clamp(0, 1)
    if dtype.is_floating_point:
        return images.to(dtype)
    return (images * WHITE[str(dtype).removeprefix("torch.")]).round().to(dtype)


def _refuse_dtype(name: str, what: str) -> None:
    if name not in WHITE and name not in FLOATS:
        raise TypeError(f"restore: {what} of {name} is none of {', '.join((*WHITE, *FLOATS))}")


def _refuse_shape(channels: int, shape: tuple[int, ...], allowed: str) -> None:
    if not 1 <= channels <= 4 or 0 in shape:
        raise ValueError(f"restore: {shape} is no image; give {allowed}")
