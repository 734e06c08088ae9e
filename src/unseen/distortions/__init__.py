"""Distortions g(I_c, d), which turn the clean image I_c into a distorted one; d are the drawn parameters."""

from collections.abc import Callable

from .air import Haze
from .blur import DefocusBlur, GaussianBlur, GeneralisedGaussianBlur, MotionBlur, PlateauBlur, SincBlur
from .camera import CameraNoise
from .composition import Choice, RandomOrder, Sequence
from .compression import JPEG, WebP
from .distortion import (
    Distortion,
    Parameters,
    Range,
    ends,
    normal_fields,
    per_image,
    require_within,
    sample_range,
    sample_seeds,
    uniform_fields,
)
from .enlarged import Enlarged
from .faded import Faded
from .grain import FilmGrain
from .gray_kept import GrayKept
from .hybrid import Hybrid
from .jpeg_transform import JPEGTransform
from .light import LowLight
from .noise import CorrelatedNoise, GaussianNoise, PoissonNoise, SaltAndPepper, ScaledPoissonNoise, SpeckleNoise
from .rain import DenseRain, HeavyRain, RainStreaks
from .real_esrgan import RealESRGAN
from .resampling import Downsample, Resample

DISTORTIONS: dict[str, Callable[..., Distortion]] = {
    "gaussian_noise": GaussianNoise,
    "poisson_noise": PoissonNoise,
    "scaled_poisson_noise": ScaledPoissonNoise,
    "speckle_noise": SpeckleNoise,
    "salt_and_pepper": SaltAndPepper,
    "correlated_noise": CorrelatedNoise,
    "camera_noise": CameraNoise,
    "film_grain": FilmGrain,
    "gaussian_blur": GaussianBlur,
    "generalised_gaussian_blur": GeneralisedGaussianBlur,
    "plateau_blur": PlateauBlur,
    "sinc_blur": SincBlur,
    "defocus_blur": DefocusBlur,
    "motion_blur": MotionBlur,
    "jpeg": JPEG,
    "jpeg_transform": JPEGTransform,
    "webp": WebP,
    "downsample": Downsample,
    "resample": Resample,
    "rain_streaks": RainStreaks,
    "dense_rain": DenseRain,
    "heavy_rain": HeavyRain,
    "haze": Haze,
    "low_light": LowLight,
    "hybrid": Hybrid,
    "real_esrgan": RealESRGAN,
}
"""Name → class of a built-in distortion. Specs join them by ` > `, ` & ` and ` | `: see `unseen.distortions.spec`."""

__all__ = [
    "DISTORTIONS",
    "JPEG",
    "CameraNoise",
    "Choice",
    "CorrelatedNoise",
    "DefocusBlur",
    "DenseRain",
    "Distortion",
    "Downsample",
    "Enlarged",
    "Faded",
    "FilmGrain",
    "GaussianBlur",
    "GaussianNoise",
    "GeneralisedGaussianBlur",
    "GrayKept",
    "Haze",
    "HeavyRain",
    "Hybrid",
    "JPEGTransform",
    "LowLight",
    "MotionBlur",
    "Parameters",
    "PlateauBlur",
    "PoissonNoise",
    "RainStreaks",
    "RandomOrder",
    "Range",
    "RealESRGAN",
    "Resample",
    "SaltAndPepper",
    "ScaledPoissonNoise",
    "Sequence",
    "SincBlur",
    "SpeckleNoise",
    "WebP",
    "ends",
    "normal_fields",
    "per_image",
    "require_within",
    "sample_range",
    "sample_seeds",
    "uniform_fields",
]
