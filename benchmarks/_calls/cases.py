"""Which calls are made of which clip: a plan that varies everything a call may do."""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from _calls.clips import CLIPS, LEFT_OUT, Clip
from acutance.degrade import Codec

__all__ = ["CODECS", "FACTORS", "RATES", "Case", "bitrate", "full_plan", "quick_plan"]

Down = Literal["bicubic", "bilinear", "area", "pillow"]
Up = Literal["bicubic", "bilinear", "lanczos", "pillow"]
Rate = Literal["low", "middle", "high"]
Look = Literal["filmed", "soft", "sharpened", "noisy"]

FACTORS = (1.0, 1.5, 2.0, 3.0, 4.0)
CODECS: tuple[Codec, ...] = ("h264", "vp8", "vp9", "av1")
RATES: tuple[Rate, ...] = ("low", "middle", "high")

_BITS_PER_PIXEL = {
    1.0: (0.031, 0.062, 0.093),
    1.5: (0.035, 0.070, 0.122),
    2.0: (0.046, 0.093, 0.139),
    3.0: (0.042, 0.070, 0.139),
    4.0: (0.042, 0.070, 0.139),
}
"""Of the coded size at 25 frames per second, low, middle and high: those of the ladder from 60 to 1200 kbit/s."""


@dataclass(frozen=True)
class Case:
    """What one call does to a clip.

    Attributes:
        clip: The clip's name.
        factor: Size of the truth over the coded size.
        codec: The stream's; None: the clip is scaled and not encoded.
        rate: Which rate of the ladder.
        down, up: Filters to the coded size and back: FFmpeg's, or ``pillow`` for Pillow's bicubic.
        look: The source: as filmed, softened (a Gaussian of 1 pixel), sharpened in the camera, or noisy (only what is
            sent; the truth has no noise).
        halved: Every second frame is left out.
        again: The call was recorded and encoded a second time, at the shown size.
    """

    clip: str
    factor: float
    codec: Codec | None
    rate: Rate = "middle"
    down: Down = "bicubic"
    up: Up = "bicubic"
    look: Look = "filmed"
    halved: bool = False
    again: bool = False

    @property
    def key(self) -> str:
        """A name that no other call has."""
        parts = [self.clip, f"x{self.factor:g}", self.codec or "plain", self.rate, self.down, self.up, self.look]
        return "-".join(parts + ["halved"] * self.halved + ["again"] * self.again)

    def to_dict(self) -> dict[str, Any]:
        """Return the case as a dictionary for JSON."""
        return asdict(self)


def bitrate(case: Case, pixels: int, rate: float) -> float:
    """Return the target in kbit/s of a coded size with so many pixels, at so many frames per second."""
    bits = _BITS_PER_PIXEL[case.factor][RATES.index(case.rate)]
    # A stream of twice the frames needs less than twice the bits: they differ less.
    return max(8.0, bits * pixels * 25 * (rate / 25) ** 0.5 / 1000)


def full_plan(clips: Sequence[Clip] = CLIPS) -> list[Case]:
    """Return every call: of each clip at each factor one with each codec, and one that is not encoded.

    Everything else is drawn per clip from a list that has each value as often as it should, so that each clip meets
    each value. The plan of a clip does not depend on the other clips.
    """
    return [case for clip in clips for case in _clip_plan(clip)]


def _clip_plan(clip: Clip) -> list[Case]:
    rng = random.Random(clip.name)
    total = len(FACTORS) * (len(CODECS) + 1)

    def spread(*values: Any) -> list[Any]:
        some = [values[i % len(values)] for i in range(total)]
        rng.shuffle(some)
        return some

    rates, downs = spread(*RATES), spread("bicubic", "area", "bilinear")
    ups = spread("bicubic", "bilinear", "lanczos", "pillow")
    looks = spread("filmed", "filmed", "filmed", "soft", "sharpened", "noisy")
    halved, again = spread(False, True), spread(False, False, False, False, True)
    cases = []
    for factor in FACTORS:
        for codec in (*CODECS, None):
            n = len(cases)
            text = clip.role == "text"
            cases.append(
                Case(
                    clip.name,
                    factor,
                    codec,
                    rates[n] if codec else "middle",
                    downs[n] if factor > 1 else "bicubic",
                    ups[n] if factor > 1 else "bicubic",
                    "filmed" if text else looks[n],
                    halved[n] and clip.fast,
                    again[n] and codec is not None,
                )
            )
    return cases


_PLAIN = (
    Case("mixkit_call_720p", 2.0, None),
    Case("mixkit_call_720p", 2.0, None, down="pillow", up="pillow"),
)
"""A clip that was only scaled, by two implementations of bicubic: the plainest case of all."""

_QUICK_LEFT_OUT, _QUICK_TRAIN = 4, 2  # calls per factor


def quick_plan() -> list[Case]:
    """Return about thirty calls of the full plan, and the plainest cases: of each factor four of clips that are left
    out of all training and two of training clips; codecs take turns, H.264 twice as often as the others."""
    plans = {clip.name: _clip_plan(clip) for clip in CLIPS}
    left_out = [clip.name for clip in CLIPS if clip.role in LEFT_OUT]
    train = [clip.name for clip in CLIPS if clip.role == "train"][2::2]
    turns = ("h264", "vp8", "h264", "vp9", "av1")
    cases = list(_PLAIN)
    taken = {"left_out": 0, "train": 0}
    for factor in FACTORS:
        for names, kind, count in ((left_out, "left_out", _QUICK_LEFT_OUT), (train, "train", _QUICK_TRAIN)):
            for _ in range(count):
                number = taken[kind]
                taken[kind] += 1
                codec = turns[number % len(turns)]
                plan = plans[names[number % len(names)]]
                cases.append(next(c for c in plan if c.factor == factor and c.codec == codec))
    for page, codec in (("text_page_0", "h264"), ("text_page_1", "vp9")):
        cases += [case for case in plans[page] if case.codec == codec]
    return cases
