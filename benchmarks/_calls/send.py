"""Send a clip through a call."""

import hashlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from _calls.cases import Case, bitrate
from _calls.clips import Luma, Source
from acutance._util.av import av, plane_view
from acutance.degrade import Yuv420, encode_decode, smallest_side

__all__ = ["Call", "send"]

_SOFT = 1.0  # standard deviation of the blur, in pixels
_NOISE = 2.5  # standard deviation, in code values
_AGAIN = 0.1  # bits per pixel of the shown size of a recording


@dataclass(frozen=True)
class Call:
    """What was sent and what is shown, in step.

    Attributes:
        case: What the call did.
        truth, shown: Frames of one size.
        rate: Frames per second.
        coded: Width and height that were sent.
        kbps: Rate of the stream as it came out; 0 where it was not encoded.
    """

    case: Case
    truth: list[Yuv420]
    shown: list[Yuv420]
    rate: float
    coded: tuple[int, int]
    kbps: float

    @property
    def lumas(self) -> tuple[list[Luma], list[Luma]]:
        """Luma planes of what is shown, and of the truth."""
        return [frame.luma for frame in self.shown], [frame.luma for frame in self.truth]


def send(source: Source, case: Case) -> Call:
    """Send a source through a call: scale down, encode, decode, scale up, perhaps encode again."""
    truth = [_looked(frame, case.look) for frame in source.frames]
    height, width = truth[0].luma.shape
    seed = int.from_bytes(hashlib.sha256(case.key.encode()).digest()[:8])
    rng = np.random.default_rng(seed)
    sent = [_noisy(frame, rng) for frame in truth] if case.look == "noisy" else truth
    least = smallest_side(case.codec) if case.codec else 2
    coded = tuple(max(least, round(side / case.factor / 2) * 2) for side in (width, height))
    small = [_scaled(frame, coded[0], coded[1], case.down) for frame in sent]
    kbps = 0.0
    if case.codec is not None:
        target = bitrate(case, coded[0] * coded[1], source.rate)
        stream = encode_decode(small, codec=case.codec, bitrate_kbps=target, frame_rate=source.rate)
        small, kbps = stream.frames, stream.size_bytes * 8 / 1000 / (len(small) / source.rate)
    shown = [_scaled(frame, width, height, case.up) for frame in small]
    if case.again:
        target = _AGAIN * width * height * 25 * (source.rate / 25) ** 0.5 / 1000
        # A recorder has time: it looks ahead, and its rate is an average.
        recorder = {"preset": "medium", "tune": "film", "bf": "0", "rc-lookahead": "0", "sync-lookahead": "0"}
        shown = encode_decode(shown, codec="h264", bitrate_kbps=target, frame_rate=source.rate, options=recorder).frames
    return Call(case, truth, shown, source.rate, (coded[0], coded[1]), kbps)


def _looked(frame: Yuv420, look: str) -> Yuv420:
    if look == "soft":
        return frame._replace(luma=np.asarray(Image.fromarray(frame.luma).filter(ImageFilter.GaussianBlur(_SOFT))))
    if look == "sharpened":
        mask = ImageFilter.UnsharpMask(radius=1, percent=60, threshold=0)
        return frame._replace(luma=np.asarray(Image.fromarray(frame.luma).filter(mask)))
    return frame


def _noisy(frame: Yuv420, rng: np.random.Generator) -> Yuv420:
    noisy = frame.luma + rng.standard_normal(frame.luma.shape, np.float32) * np.float32(_NOISE)
    return frame._replace(luma=np.clip(np.rint(noisy), 0, 255).astype(np.uint8))


def _scaled(frame: Yuv420, width: int, height: int, how: str) -> Yuv420:
    if frame.luma.shape == (height, width):
        return frame
    if how == "pillow":
        sizes = ((width, height), (width // 2, height // 2), (width // 2, height // 2))
        planes = (
            np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC))
            for plane, size in zip(frame, sizes, strict=True)
        )
        return Yuv420(*planes)
    rows, columns = frame.luma.shape
    packed = np.concatenate([plane.ravel() for plane in frame]).reshape(rows * 3 // 2, columns)
    picture = av.VideoFrame.from_ndarray(packed, format="yuv420p")
    picture = picture.reformat(width, height, "yuv420p", interpolation=how.upper())
    return Yuv420(*(plane_view(picture, index, bit_depth=8).astype(np.uint8, copy=True) for index in range(3)))
