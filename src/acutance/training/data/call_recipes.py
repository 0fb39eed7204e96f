"""Draw what a call does to a video, and do it: scale down, encode, decode, scale up."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, cast, get_args

import numpy as np
from PIL import Image, ImageFilter

from acutance.degrade import Codec, Yuv420, encode_decode

__all__ = ["CallRecipe", "DownFilter", "UpFilter", "draw_recipe", "send", "soften"]

DownFilter = Literal["bicubic", "bilinear", "area"]
"""Filters that scale down: FFmpeg's."""

UpFilter = Literal["bicubic", "pillow", "bilinear", "lanczos"]
"""Filters that scale up: FFmpeg's, and Pillow's bicubic."""

_FACTORS = (1.0, 1.5, 2.0, 3.0, 4.0)
_FACTOR_SHARES = (0.20, 0.19, 0.25, 0.16, 0.12)
_OTHER_FACTORS = (1.25, 4 / 3, 1.6, 16 / 9, 2.25, 2.5, 8 / 3)
_SOFT_FACTORS = (1.0, 1.0, 1.0, 1.5, 1.5, 2.0, 2.0, 3.0, 4.0, 4 / 3)
_FRAME_RATE = 30
_RATES = (0.022, 0.4)  # bits per pixel of the coded size
_RATES_AGAIN = (0.05, 0.4)  # bits per pixel of a recording of the call
_LOWEST_KBPS = 8.0


@dataclass(frozen=True, slots=True)
class CallRecipe:
    """What one call does to its frames.

    Attributes:
        factor: Size of the truth over the coded size, 1 to 4.
        down: Filter that scales to the coded size.
        up: Filter that scales back to the size of the truth.
        codec: Codec of the stream; None: not encoded.
        bits_per_pixel: Target rate of the stream, per pixel of the coded size; None without a codec.
        noise: Standard deviation of noise before encoding, in code values.
        softness: Standard deviation, in pixels, of a Gaussian blur of the truth itself (a soft lens).
        again: Target rate of a second encoding at the shown size, as of a recorded call; None: there is none.
        resampled: How the truth itself was resampled before, as pictures from the web often were: (factor down,
            size in between, filter). Its pixels then hold less detail than their number says. None: it was not.
    """

    factor: float
    down: DownFilter
    up: UpFilter
    codec: Codec | None
    bits_per_pixel: float | None
    noise: float
    softness: float
    again: float | None
    resampled: tuple[float, float, DownFilter | UpFilter] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as a dictionary for JSON."""
        return asdict(self)


def draw_recipe(rng: np.random.Generator, *, still: bool) -> CallRecipe:
    """Draw a recipe.

    Args:
        rng: Source of every draw.
        still: Whether the source is a still picture; those are left unencoded more often.
    """
    others = 1.0 - sum(_FACTOR_SHARES)
    factor = float(rng.choice([*_FACTORS, 0.0], p=[*_FACTOR_SHARES, others]))
    if not factor:
        factor = float(rng.choice(_OTHER_FACTORS))
    codec: Codec | None = None
    if rng.random() >= (0.3 if still else 0.1):
        codec = cast(Codec, str(rng.choice(get_args(Codec), p=[0.5, 0.22, 0.16, 0.12])))
    rate = None if codec is None else _logarithmic(rng, _RATES)
    again = None
    if codec is not None and factor > 1 and rng.random() < 0.12:
        again = _logarithmic(rng, _RATES_AGAIN)
    return CallRecipe(
        factor=factor,
        down=cast(DownFilter, str(rng.choice(get_args(DownFilter), p=[0.5, 0.2, 0.3]))),
        up=cast(UpFilter, str(rng.choice(get_args(UpFilter), p=[0.35, 0.3, 0.22, 0.13]))),
        codec=codec,
        bits_per_pixel=rate,
        noise=float(rng.uniform(0.3, 3.0)) if rng.random() < 0.35 else 0.0,
        softness=float(rng.uniform(0.5, 1.5)) if rng.random() < 0.15 else 0.0,
        again=again,
    )


def soften(recipe: CallRecipe, rng: np.random.Generator) -> CallRecipe:
    """Return the recipe with a soft source: out of focus, or resampled before. Factor 1 is drawn most often.

    A soft picture that was not scaled looks much like one that was. Without many of them a student sharpens both.
    """
    factor = float(rng.choice(_SOFT_FACTORS))
    blurred = rng.random() < 0.5
    changed = replace(
        recipe,
        factor=factor,
        again=recipe.again if factor > 1 else None,
        softness=float(rng.uniform(0.5, 1.8)) if blurred else 0.0,
    )
    if blurred:
        return changed
    filters: tuple[DownFilter | UpFilter, ...] = ("bicubic", "bilinear", "lanczos")
    down, between = float(rng.uniform(1.2, 2.6)), float(rng.uniform(1.05, 1.3))
    return replace(changed, resampled=(down, between, filters[int(rng.integers(3))]))


def send(
    frames: Sequence[Yuv420], recipe: CallRecipe, rng: np.random.Generator
) -> tuple[list[Yuv420], list[Yuv420], dict[str, Any]]:
    """Send frames through a call.

    Args:
        frames: Sharp frames of one size, sides multiples of 24.
        recipe: What the call does.
        rng: Source of the noise, and of the codec of a second encoding.

    Returns:
        (truth, shown, facts): the frames that the viewer should see, those that he sees, both of the size of
        ``frames``, and what is known of the stream, fit for JSON.

    Raises:
        EngineError: If the encoder refuses the settings.
    """
    truth = [_soft(frame, recipe) for frame in frames]
    height, width = truth[0].luma.shape
    smallest = 64 if recipe.codec == "av1" else 16
    coded = [max(smallest, round(side / recipe.factor / 2) * 2) for side in (width, height)]
    small = [_noisy(scaled(frame, coded[0], coded[1], recipe.down), recipe.noise, rng) for frame in truth]
    facts: dict[str, Any] = {"coded": coded}
    if recipe.codec is not None and recipe.bits_per_pixel is not None:
        kbps = _kbps(recipe.bits_per_pixel, coded[0] * coded[1])
        result = encode_decode(small, codec=recipe.codec, bitrate_kbps=kbps, frame_rate=_FRAME_RATE)
        small, facts["bytes"] = result.frames, result.size_bytes
    shown = [scaled(frame, width, height, recipe.up) for frame in small]
    if recipe.again is not None:
        codec: Codec = "h264" if rng.random() < 0.7 else "vp8"
        kbps = _kbps(recipe.again, width * height)
        shown = encode_decode(shown, codec=codec, bitrate_kbps=kbps, frame_rate=_FRAME_RATE).frames
    return truth, shown, facts


def scaled(picture: Yuv420, width: int, height: int, how: str) -> Yuv420:
    """Scale all planes by FFmpeg's filter of that name, or by Pillow's bicubic (``pillow``)."""
    if picture.luma.shape == (height, width):
        return picture
    if how == "pillow":
        sizes = ((width, height), (width // 2, height // 2), (width // 2, height // 2))
        planes = (
            np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC))
            for plane, size in zip(picture, sizes, strict=True)
        )
        return Yuv420(*planes)
    from acutance._util.av import av, plane_view

    rows, columns = picture.luma.shape
    packed = np.concatenate([plane.ravel() for plane in picture]).reshape(rows * 3 // 2, columns)
    frame = av.VideoFrame.from_ndarray(packed, format="yuv420p")
    frame = frame.reformat(width, height, "yuv420p", interpolation=how.upper())
    return Yuv420(*(plane_view(frame, index, bit_depth=8).astype(np.uint8, copy=True) for index in range(3)))


def _kbps(bits_per_pixel: float, pixels: int) -> float:
    return max(_LOWEST_KBPS, bits_per_pixel * pixels * _FRAME_RATE / 1000)


def _soft(picture: Yuv420, recipe: CallRecipe) -> Yuv420:
    if recipe.softness:
        blurred = Image.fromarray(picture.luma).filter(ImageFilter.GaussianBlur(recipe.softness))
        picture = picture._replace(luma=np.asarray(blurred))
    if recipe.resampled:
        factor, between, up = recipe.resampled
        height, width = picture.luma.shape
        small = scaled(picture, _even(width / factor), _even(height / factor), "bicubic")
        large = scaled(small, _even(width * between), _even(height * between), up)
        picture = scaled(large, width, height, "bicubic")
    return picture


def _even(length: float) -> int:
    return round(length / 2) * 2


def _noisy(picture: Yuv420, sigma: float, rng: np.random.Generator) -> Yuv420:
    if not sigma:
        return picture
    noisy = picture.luma + rng.standard_normal(picture.luma.shape, np.float32) * np.float32(sigma)
    return picture._replace(luma=np.clip(np.rint(noisy), 0, 255).astype(np.uint8))


def _logarithmic(rng: np.random.Generator, ends: tuple[float, float]) -> float:
    return float(math.exp(rng.uniform(math.log(ends[0]), math.log(ends[1]))))
