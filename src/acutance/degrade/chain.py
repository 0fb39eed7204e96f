"""Degradation recipes: the steps from a sharp picture to what a viewer of a call sees, as data of a configuration.

The order is that of a call: scaling down, sensor noise, a camera's JPEG, the stream's encoder, scaling up for display.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple, cast, get_args

import numpy as np
from numpy.typing import NDArray

from acutance.degrade.amounts import Amount, check_amount, check_choice, describe_amount, draw_amount, is_number
from acutance.degrade.camera import CameraPath, film
from acutance.degrade.codec import Codec, encode_decode, smallest_side
from acutance.degrade.jpeg import ChromaSubsampling, jpeg
from acutance.degrade.resize import (
    FACTORS,
    ResizeMethod,
    check_picture,
    crop_to_multiple,
    low_size,
    resize,
)
from acutance.degrade.yuv import rgb_from_yuv420, yuv420_from_rgb
from acutance.errors import ConfigError, UsageError

__all__ = ["Degradation", "Triple"]

Motion = Literal["drift", "camera"]
"""How a still picture moves in a clip."""

_OMITTED = ("motion", "window")  # not in tables at their defaults, so that recipes without them keep their digests
_EARLY = 0.1  # share of filmed and real clips that give a frame from their first half
_WIDEST_SWITCH = 4.0  # largest ratio of the bit rates before and after a switch
_LARGEST_DRIFT = 2  # pixels of the sharp picture from frame to frame


class Triple(NamedTuple):
    """A training example.

    Attributes:
        low: the decoded picture, H/factor x W/factor x 3, uint8.
        degraded: ``low`` scaled up, H x W x 3, uint8.
        sharp: the truth, H x W x 3, uint8.
        record: all draws and measurements, as a table for JSON.
    """

    low: NDArray[np.uint8]
    degraded: NDArray[np.uint8]
    sharp: NDArray[np.uint8]
    record: dict[str, Any]


class _Draws(NamedTuple):
    """The draws of a clip. None means that the recipe lacks the step."""

    noise_sigma: float | None
    jpeg_quality: int | None
    bitrate_kbps: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Degradation:
    """A recipe. Steps that are None are left out. Every step rounds to 8 bit, as in a call.

    ``noise_sigma``, ``jpeg_quality``, ``bitrate_kbps``, ``bits_per_pixel`` and ``packet_loss`` may be ranges. Bit rates
    are drawn on a logarithmic scale, the others on a linear one.

    Attributes:
        factor: scaling factor, one of :data:`acutance.degrade.FACTORS`.
        down: filter of scaling down.
        up: filter of scaling up.
        noise_sigma: standard deviation of Gaussian noise at low resolution, in 8-bit code values. Every frame has noise
            of its own.
        jpeg_quality: JPEG quality, 1 to 100.
        jpeg_subsampling: chroma subsampling of the JPEG.
        codec: ``h264``, ``vp8``, ``vp9`` or ``av1``. It needs either ``bitrate_kbps`` or ``bits_per_pixel``.
        bitrate_kbps: bit rate in 1000 bit/s.
        bits_per_pixel: bit rate relative to size and frame rate, which suits pictures of different sizes. For example,
            800 kbit/s at 960x540 and 30 fps are 0.051 bits per pixel.
        frame_rate: frames a second of the clip, 1 to 1000.
        codec_frames: frames of the clip, 1 to 1000. One of them is taken. A filmed or real clip gives a frame of its
            first half, with the key frame, in one of ten cases; otherwise the frame comes from the second half.
        motion: how a still picture becomes a clip. ``drift``: whole pixels of constant motion. ``camera``: filmed with
            pan, zoom and shake, or from a tripod (:mod:`acutance.degrade.camera`); each frame has its own truth.
        window: side of a filmed frame in pixels, a multiple of 12.
        packet_loss: share of frames after the first whose packet is lost, 0 to 0.9. The picture freezes and then
            continues from the references that arrived. The truth is that of the shown frame.
        switch: share of clips whose bit rate changes in their first three quarters, 0 to 1. The rate before is between
            a quarter and four times the rate after (see ``switch`` of :func:`acutance.degrade.encode_decode`).

    Raises:
        ConfigError: a value is out of range.
    """

    factor: float = 2.0
    down: ResizeMethod = "bicubic"
    up: ResizeMethod = "bicubic"
    noise_sigma: Amount | None = None
    jpeg_quality: Amount | None = None
    jpeg_subsampling: ChromaSubsampling = "4:2:0"
    codec: Codec | None = None
    bitrate_kbps: Amount | None = None
    bits_per_pixel: Amount | None = None
    frame_rate: float = 30.0
    codec_frames: int = 8
    motion: Motion = "drift"
    window: int = 384
    packet_loss: Amount | None = None
    switch: float | None = None

    def __post_init__(self) -> None:
        if not is_number(self.factor) or self.factor not in FACTORS:
            raise ConfigError(
                f"degradation factor must be one of {', '.join(f'{f:g}' for f in FACTORS)}, not {self.factor!r}"
            )
        check_choice("down", self.down, get_args(ResizeMethod))
        check_choice("up", self.up, get_args(ResizeMethod))
        check_choice("jpeg_subsampling", self.jpeg_subsampling, get_args(ChromaSubsampling))
        check_amount("noise_sigma", self.noise_sigma, 0.0, 255.0)
        check_amount("jpeg_quality", self.jpeg_quality, 1.0, 100.0)
        check_amount("bitrate_kbps", self.bitrate_kbps, 1.0, 1e6)
        check_amount("bits_per_pixel", self.bits_per_pixel, 1e-4, 100.0)
        rates = (self.bitrate_kbps is not None) + (self.bits_per_pixel is not None)
        if self.codec is not None:
            check_choice("codec", self.codec, get_args(Codec))
            if rates != 1:
                raise ConfigError(f"codec {self.codec} needs either bitrate_kbps or bits_per_pixel")
        elif rates:
            raise ConfigError("bitrate_kbps and bits_per_pixel need a codec")
        if not is_number(self.frame_rate) or not 1 <= self.frame_rate <= 1000:
            raise ConfigError(f"degradation frame_rate must be a number from 1 to 1000, not {self.frame_rate!r}")
        if not isinstance(self.codec_frames, int) or not 1 <= self.codec_frames <= 1000:
            raise ConfigError(f"degradation codec_frames must be an integer from 1 to 1000, not {self.codec_frames!r}")
        check_amount("packet_loss", self.packet_loss, 0.0, 0.9)
        if self.packet_loss is not None and self.codec is None:
            raise ConfigError("packet_loss needs a codec")
        check_amount("switch", self.switch, 0.0, 1.0)
        if self.switch is not None and self.codec is None:
            raise ConfigError("switch needs a codec")
        check_choice("motion", self.motion, get_args(Motion))
        if not isinstance(self.window, int) or self.window < 12 or self.window % 12:
            raise ConfigError(f"degradation window must be a positive multiple of 12, not {self.window!r}")
        # 2 and 2.0 are the same recipe and need the same digest.
        for name in (
            "factor",
            "noise_sigma",
            "jpeg_quality",
            "bitrate_kbps",
            "bits_per_pixel",
            "frame_rate",
            "packet_loss",
            "switch",
        ):
            value = getattr(self, name)
            if value is not None:
                normal = tuple(float(end) for end in value) if isinstance(value, tuple) else float(value)
                object.__setattr__(self, name, normal)

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> "Degradation":
        """Create a recipe from a table of a configuration.

        Args:
            table: attributes of this class; lists are ranges.

        Returns:
            The recipe.

        Raises:
            ConfigError: an unknown key or a bad value.
        """
        unknown = sorted(set(table) - {f.name for f in fields(cls)})
        if unknown:
            known = ", ".join(f.name for f in fields(cls))
            raise ConfigError(f"unknown key {', '.join(unknown)} in a degradation; known are {known}")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as a plain table that :meth:`from_dict` reads back. It omits None."""
        out = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if value is not None and not (f.name in _OMITTED and value == f.default):
                out[f.name] = list(value) if isinstance(value, tuple) else value
        return out

    @property
    def needs_codec(self) -> bool:
        """True if an encoder runs. That is too slow for a training step, so such examples are prepared on disk."""
        return self.codec is not None

    def describe(self) -> str:
        """Return the recipe in words, for the metadata of a model."""
        parts = [f"down x{self.factor:g} {self.down}"]
        if self.noise_sigma is not None:
            parts.append(f"noise sigma {describe_amount(self.noise_sigma)}")
        if self.jpeg_quality is not None:
            parts.append(f"JPEG quality {describe_amount(self.jpeg_quality)} {self.jpeg_subsampling}")
        if self.codec is not None:
            rate = (self.bitrate_kbps, "kbit/s") if self.bitrate_kbps is not None else (self.bits_per_pixel, "bit/px")
            parts.append(f"{self.codec} at {describe_amount(cast(Amount, rate[0]))} {rate[1]}")
            if self.motion == "camera":
                parts.append("filmed")
            if self.packet_loss is not None:
                parts.append(f"packets lost {describe_amount(self.packet_loss)}")
            if self.switch is not None:
                parts.append(f"rate switched in {self.switch:.0%}")
        return ", ".join([*parts, f"up {self.up}"])

    def apply(self, sharp: NDArray[np.uint8], rng: np.random.Generator) -> Triple:
        """Degrade a picture.

        Args:
            sharp: uint8, H x W x 3, RGB. It is cropped to a multiple of 12.
            rng: source of all draws.

        Returns:
            The training example.

        Raises:
            UsageError: another type or shape, or a picture that is too small for the codec.
        """
        check_picture(sharp)
        if sharp.ndim != 3:
            raise UsageError(f"expected an H x W x 3 picture, not shape {sharp.shape}")
        if self.motion == "camera":
            side = min(self.window, *(length - length % 12 for length in sharp.shape[:2]))
            path = CameraPath.draw(rng, sharp.shape, side=side, frames=self.codec_frames)
            clip = list(film(sharp, path, rng, side=side, frames=self.codec_frames))
            return self.apply_clip(clip, rng, record={"camera": path.to_dict()})
        sharp = crop_to_multiple(sharp)
        self._check_size(sharp)
        draws = self._draw_clip(sharp, rng)
        if self.codec is None:
            return self._degrade([sharp], 0, rng, draws, {})
        taken = int(rng.integers(self.codec_frames // 2, self.codec_frames))
        drift = tuple(int(v) for v in rng.integers(-_LARGEST_DRIFT, _LARGEST_DRIFT, 2, endpoint=True))
        # Drift gives every frame another phase of the scaling, as in a real clip, so that there is motion to encode.
        # The taken frame has no offset and lies exactly over its truth.
        clip = [_shifted(sharp, drift[0] * k, drift[1] * k) for k in range(-taken, self.codec_frames - taken)]
        return self._degrade(clip, taken, rng, draws, {"drift": list(drift)})

    def apply_clip(
        self, clip: Sequence[NDArray[np.uint8]], rng: np.random.Generator, *, record: Mapping[str, Any] | None = None
    ) -> Triple:
        """Degrade a clip and take one frame of it.

        Args:
            clip: frames of one size, uint8, H x W x 3, RGB, with sides that are multiples of 12.
            rng: source of all draws.
            record: facts about the clip to add to the record.

        Returns:
            The training example.

        Raises:
            UsageError: the frames are too small for the codec.
        """
        self._check_size(clip[0])
        draws = self._draw_clip(clip[0], rng)
        early = rng.random() < _EARLY
        half = len(clip) // 2
        taken = int(rng.integers(0, max(1, half)) if early else rng.integers(half, len(clip)))
        return self._degrade(clip, taken, rng, draws, dict(record or {}))

    def _check_size(self, sharp: NDArray[np.uint8]) -> None:
        height, width = sharp.shape[:2]
        low_width, low_height = low_size(width, height, self.factor)
        if self.codec is not None and min(low_width, low_height) < smallest_side(self.codec):
            raise UsageError(
                f"{self.codec} needs at least {smallest_side(self.codec)} pixels a side; "
                f"{width}x{height} down by {self.factor:g} leaves {low_width}x{low_height}"
            )

    def _draw_clip(self, sharp: NDArray[np.uint8], rng: np.random.Generator) -> "_Draws":
        sigma = None if self.noise_sigma is None else draw_amount(self.noise_sigma, rng, logarithmic=False)
        quality = None if self.jpeg_quality is None else round(draw_amount(self.jpeg_quality, rng, logarithmic=False))
        low_width, low_height = low_size(sharp.shape[1], sharp.shape[0], self.factor)
        return _Draws(sigma, quality, None if self.codec is None else self._draw_rate(low_width * low_height, rng))

    def _degrade(
        self,
        clip: Sequence[NDArray[np.uint8]],
        taken: int,
        rng: np.random.Generator,
        draws: "_Draws",
        known: dict[str, Any],
    ) -> Triple:
        sharp, (sigma, quality, rate) = clip[taken], draws
        height, width = sharp.shape[:2]
        low_width, low_height = low_size(width, height, self.factor)
        record: dict[str, Any] = {"factor": self.factor, "down": self.down, "up": self.up, **known}
        if sigma is not None:
            record["noise_sigma"] = sigma
        if quality is not None:
            record |= {"jpeg_quality": quality, "jpeg_subsampling": self.jpeg_subsampling}

        def capture(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
            out = resize(picture, low_width, low_height, self.down)
            if sigma is not None:
                noise = rng.standard_normal(out.shape, np.float32) * np.float32(sigma)
                out = np.clip(np.rint(out + noise), 0, 255).astype(np.uint8)
            return out if quality is None else jpeg(out, quality=quality, subsampling=self.jpeg_subsampling).picture

        if self.codec is None or rate is None:
            low = capture(sharp)
        else:
            frames = (yuv420_from_rgb(_to_even(capture(frame))) for frame in clip)
            lost: frozenset[int] = frozenset()
            if self.packet_loss is not None:
                share = draw_amount(self.packet_loss, rng, logarithmic=False)
                lost = frozenset((1 + np.flatnonzero(rng.random(len(clip) - 1) < share)).tolist())
                record |= {"packet_loss": share, "lost": sorted(lost)}
            first, switch = rate, None
            if self.switch is not None and len(clip) > 1 and rng.random() < self.switch:
                # The taken frame has the recorded rate; the frames before the switch have another.
                first = min(max(rate * math.exp(rng.uniform(-1, 1) * math.log(_WIDEST_SWITCH)), 1.0), 1e6)
                switch = (int(rng.integers(1, max(2, min(taken + 1, 3 * len(clip) // 4)))), rate)
                record |= {"switch": switch[0], "bitrate_kbps_before": first}
            result = encode_decode(
                frames, codec=self.codec, bitrate_kbps=first, frame_rate=self.frame_rate, lost=lost, switch=switch
            )
            sharp = clip[result.shown[taken]]
            if lost:
                record["shown"] = result.shown[taken]
            low = np.ascontiguousarray(rgb_from_yuv420(result.frames[taken])[:low_height, :low_width])
            record |= {
                "codec": self.codec,
                "bitrate_kbps": rate,
                "frame_rate": self.frame_rate,
                "frames": len(clip),
                "frame": taken,
                "size_bytes": result.size_bytes,
            }
        return Triple(low, resize(low, width, height, self.up), sharp, record)

    def _draw_rate(self, pixels: int, rng: np.random.Generator) -> float:
        if self.bitrate_kbps is not None:
            return draw_amount(self.bitrate_kbps, rng, logarithmic=True)
        per_pixel = draw_amount(cast(Amount, self.bits_per_pixel), rng, logarithmic=True)
        return max(1.0, per_pixel * pixels * self.frame_rate / 1000)


def _shifted(picture: NDArray[np.uint8], dy: int, dx: int) -> NDArray[np.uint8]:
    """Move a picture by whole pixels; replicate its edge."""
    if not dy and not dx:
        return picture
    rows = np.clip(np.arange(picture.shape[0]) - dy, 0, picture.shape[0] - 1)
    columns = np.clip(np.arange(picture.shape[1]) - dx, 0, picture.shape[1] - 1)
    return picture[rows][:, columns]


def _to_even(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Replicate the last row or column of odd sides, because 4:2:0 needs even ones. The caller crops them again."""
    height, width = picture.shape[:2]
    if height % 2 or width % 2:
        return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return picture
