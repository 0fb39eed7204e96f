"""Recipes: what a picture goes through on its way to a viewer, as data that a configuration can hold.

The order is that of a call: scaled down, sensor noise, a camera's JPEG, the stream's encoder, scaled up for display.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple, cast, get_args

import numpy as np
from numpy.typing import NDArray

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

__all__ = ["Amount", "Degradation", "Triple", "is_number"]

Amount = float | tuple[float, float]
"""A fixed value, or a range (low, high) from which one is drawn for each picture."""

Motion = Literal["drift", "camera"]
"""How a still picture moves in the clip that is made of it."""

_LATER = ("motion", "window")  # left out of tables where they say nothing: older recipes keep their digests
_EARLY = 0.1  # of the filmed clips, and of real ones, give a frame from their first half
_WIDEST_SWITCH = 4.0  # between the rates before and after
_LARGEST_DRIFT = 2  # pixels of the sharp picture from one frame to the next, in the clip made of a still


class Triple(NamedTuple):
    """One training example.

    low: H/factor x W/factor x 3, uint8, as decoded. degraded: H x W x 3, uint8, ``low`` scaled up again.
    sharp: H x W x 3, uint8, the truth. record: everything that was drawn and measured, fit for JSON.
    """

    low: NDArray[np.uint8]
    degraded: NDArray[np.uint8]
    sharp: NDArray[np.uint8]
    record: dict[str, Any]


class _Draws(NamedTuple):
    """What is drawn once for a clip: sigma of the noise, JPEG quality, kbit/s; None for what is left out."""

    noise_sigma: float | None
    jpeg_quality: int | None
    bitrate_kbps: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Degradation:
    """One recipe. What is None is left out; everything is rounded to 8 bit at every stage that would be.

    factor: 1, 1.5, 2, 3 or 4. down, up: filters of the scaling.
    noise_sigma: standard deviation of Gaussian noise at low resolution, in 8-bit code values, fresh in every frame.
    jpeg_quality: 1..100; jpeg_subsampling: its chroma.
    codec: ``h264``, ``vp8``, ``vp9`` or ``av1``, with either ``bitrate_kbps`` or ``bits_per_pixel``: the second keeps
    pictures of different sizes alike (800 kbit/s at 960x540 and 30 fps are 0.051 bits per pixel).
    packet_loss: the share of a clip's frames, after the first, whose packet never arrives: the picture freezes, then
    goes on from the references there are. The truth is that of the frame that is shown.
    switch: the share of clips whose rate changes in mid-stream, in their first three quarters: the frames before have
    between a quarter and four times the rate (see ``switch`` of :func:`acutance.degrade.codec.encode_decode`).
    motion: how a still picture is made into a clip for the encoder. ``drift``: it moves by whole pixels, the same from
    frame to frame. ``camera``: it is filmed, in frames of ``window`` pixels a side, with pan, zoom and the shake of a
    hand, or from a tripod (:mod:`acutance.degrade.camera`); each frame has a truth of its own.
    frame_rate, codec_frames: of the clip. One frame is taken: from its second half or, of nine in ten filmed ones, so;
    else from the first, with the key frame.

    ``noise_sigma``, ``jpeg_quality``, ``bitrate_kbps``, ``bits_per_pixel`` and ``packet_loss`` may be ranges: rates are
    drawn evenly on a logarithmic scale, the others on a linear one. Raises ConfigError for values out of range.
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
        _check_choice("down", self.down, get_args(ResizeMethod))
        _check_choice("up", self.up, get_args(ResizeMethod))
        _check_choice("jpeg_subsampling", self.jpeg_subsampling, get_args(ChromaSubsampling))
        _check_amount("noise_sigma", self.noise_sigma, 0.0, 255.0)
        _check_amount("jpeg_quality", self.jpeg_quality, 1.0, 100.0)
        _check_amount("bitrate_kbps", self.bitrate_kbps, 1.0, 1e6)
        _check_amount("bits_per_pixel", self.bits_per_pixel, 1e-4, 100.0)
        rates = (self.bitrate_kbps is not None) + (self.bits_per_pixel is not None)
        if self.codec is not None:
            _check_choice("codec", self.codec, get_args(Codec))
            if rates != 1:
                raise ConfigError(f"codec {self.codec} needs either bitrate_kbps or bits_per_pixel")
        elif rates:
            raise ConfigError("bitrate_kbps and bits_per_pixel need a codec")
        if not is_number(self.frame_rate) or not 1 <= self.frame_rate <= 1000:
            raise ConfigError(f"degradation frame_rate must be a number from 1 to 1000, not {self.frame_rate!r}")
        if not isinstance(self.codec_frames, int) or not 1 <= self.codec_frames <= 1000:
            raise ConfigError(f"degradation codec_frames must be an integer from 1 to 1000, not {self.codec_frames!r}")
        _check_amount("packet_loss", self.packet_loss, 0.0, 0.9)
        if self.packet_loss is not None and self.codec is None:
            raise ConfigError("packet_loss needs a codec")
        _check_amount("switch", self.switch, 0.0, 1.0)
        if self.switch is not None and self.codec is None:
            raise ConfigError("switch needs a codec")
        _check_choice("motion", self.motion, get_args(Motion))
        if not isinstance(self.window, int) or self.window < 12 or self.window % 12:
            raise ConfigError(f"degradation window must be a positive multiple of 12, not {self.window!r}")
        # 2 and 2.0 are one recipe, and must have one digest.
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
        """A recipe from a table of a configuration. Raises ConfigError for unknown keys and bad values."""
        unknown = sorted(set(table) - {f.name for f in fields(cls)})
        if unknown:
            known = ", ".join(f.name for f in fields(cls))
            raise ConfigError(f"unknown key {', '.join(unknown)} in a degradation; known are {known}")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as a plain table, what is None left out; :meth:`from_dict` reads it back equal."""
        out = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if value is not None and not (f.name in _LATER and value == f.default):
                out[f.name] = list(value) if isinstance(value, tuple) else value
        return out

    @property
    def needs_codec(self) -> bool:
        """Whether an encoder runs (slow: for files on disk rather than within a training step)."""
        return self.codec is not None

    def describe(self) -> str:
        """The recipe in words, for a model's metadata."""
        parts = [f"down x{self.factor:g} {self.down}"]
        if self.noise_sigma is not None:
            parts.append(f"noise sigma {_words(self.noise_sigma)}")
        if self.jpeg_quality is not None:
            parts.append(f"JPEG quality {_words(self.jpeg_quality)} {self.jpeg_subsampling}")
        if self.codec is not None:
            rate = (self.bitrate_kbps, "kbit/s") if self.bitrate_kbps is not None else (self.bits_per_pixel, "bit/px")
            parts.append(f"{self.codec} at {_words(cast(Amount, rate[0]))} {rate[1]}")
            if self.motion == "camera":
                parts.append("filmed")
            if self.packet_loss is not None:
                parts.append(f"packets lost {_words(self.packet_loss)}")
            if self.switch is not None:
                parts.append(f"rate switched in {self.switch:.0%}")
        return ", ".join([*parts, f"up {self.up}"])

    def apply(self, sharp: NDArray[np.uint8], rng: np.random.Generator) -> Triple:
        """Degrade a picture.

        sharp: uint8, H x W x 3, RGB; cropped here to a multiple of 12. rng: where every draw comes from.
        Raises UsageError for another type or shape, and where a picture is too small for the codec.
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
        draws = self._draw(sharp, rng)
        if self.codec is None:
            return self._degrade([sharp], 0, rng, draws, {})
        taken = int(rng.integers(self.codec_frames // 2, self.codec_frames))
        drift = tuple(int(v) for v in rng.integers(-_LARGEST_DRIFT, _LARGEST_DRIFT, 2, endpoint=True))
        # Drifting over the sharp picture gives every frame another phase of the scaling, as in a real clip, and so
        # something to encode; the taken frame has no offset and lies exactly over its truth.
        clip = [_shifted(sharp, drift[0] * k, drift[1] * k) for k in range(-taken, self.codec_frames - taken)]
        return self._degrade(clip, taken, rng, draws, {"drift": list(drift)})

    def apply_clip(
        self, clip: Sequence[NDArray[np.uint8]], rng: np.random.Generator, *, record: Mapping[str, Any] | None = None
    ) -> Triple:
        """Degrade a clip and take one frame of it.

        clip: frames of one size, uint8, H x W x 3, RGB, sides multiples of 12. record: what is known of it already.
        Raises UsageError.
        """
        self._check_size(clip[0])
        draws = self._draw(clip[0], rng)
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

    def _draw(self, sharp: NDArray[np.uint8], rng: np.random.Generator) -> "_Draws":
        sigma = None if self.noise_sigma is None else _draw(self.noise_sigma, rng, logarithmic=False)
        quality = None if self.jpeg_quality is None else round(_draw(self.jpeg_quality, rng, logarithmic=False))
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
                share = _draw(self.packet_loss, rng, logarithmic=False)
                lost = frozenset((1 + np.flatnonzero(rng.random(len(clip) - 1) < share)).tolist())
                record |= {"packet_loss": share, "lost": sorted(lost)}
            first, switch = rate, None
            if self.switch is not None and len(clip) > 1 and rng.random() < self.switch:
                # The taken frame has the rate of the record; what came before had another.
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
            return _draw(self.bitrate_kbps, rng, logarithmic=True)
        per_pixel = _draw(cast(Amount, self.bits_per_pixel), rng, logarithmic=True)
        return max(1.0, per_pixel * pixels * self.frame_rate / 1000)


def _draw(amount: Amount, rng: np.random.Generator, *, logarithmic: bool) -> float:
    if not isinstance(amount, tuple):
        return float(amount)
    low, high = amount
    if logarithmic:
        return float(math.exp(math.log(low) + (math.log(high) - math.log(low)) * rng.random()))
    return float(low + (high - low) * rng.random())


def _words(amount: Amount) -> str:
    return f"{amount[0]:g} to {amount[1]:g}" if isinstance(amount, tuple) else f"{amount:g}"


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_choice(name: str, value: object, accepted: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in accepted:
        raise ConfigError(f"degradation {name} must be one of {', '.join(accepted)}, not {value!r}")


def _check_amount(name: str, value: object, lowest: float, highest: float) -> None:
    if value is None:
        return
    ends = value if isinstance(value, tuple) else (value,)
    if not all(is_number(end) for end in ends) or (isinstance(value, tuple) and len(ends) != 2):
        raise ConfigError(f"degradation {name} must be a number or a range of two, not {value!r}")
    if not all(lowest <= end <= highest for end in ends) or ends[0] > ends[-1]:
        raise ConfigError(f"degradation {name} must lie from {lowest:g} to {highest:g}, low before high, not {value!r}")


def _shifted(picture: NDArray[np.uint8], dy: int, dx: int) -> NDArray[np.uint8]:
    """The picture moved by whole pixels, its edge replicated."""
    if not dy and not dx:
        return picture
    rows = np.clip(np.arange(picture.shape[0]) - dy, 0, picture.shape[0] - 1)
    columns = np.clip(np.arange(picture.shape[1]) - dx, 0, picture.shape[1] - 1)
    return picture[rows][:, columns]


def _to_even(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Replicate the last row and column where a side is odd, since 4:2:0 needs even sides; cropped again later."""
    height, width = picture.shape[:2]
    if height % 2 or width % 2:
        return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return picture
