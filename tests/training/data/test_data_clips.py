"""Real clips as a source of training pairs."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from acutance.degrade import DegradationMix, resize
from acutance.errors import InputNotFoundError, UnsupportedMediaError, UsageError
from acutance.training.data.clips import ClipFile, cut_window, find_clips
from acutance.training.data.pairs import prepare_clip_pairs
from io_clips import make_clip


@pytest.fixture
def clip(tmp_path: Path) -> ClipFile:
    return ClipFile(make_clip(tmp_path / "moving.mp4", size=(96, 72)), "clips/moving.mp4")


def test_frames_come_in_order_and_shrunk(clip: ClipFile) -> None:
    frames = clip.load(shrink=1.5)
    assert [f.shape for f in frames] == [(48, 64, 3)] * 10
    assert len({f.tobytes() for f in frames}) == 10


def test_deep_or_otherwise_sampled_clips_are_refused(tmp_path: Path) -> None:
    deep = make_clip(tmp_path / "deep.mp4", encoder="libx264", pix_fmt="yuv420p10le")
    with pytest.raises(UnsupportedMediaError, match=r"deep.mp4: .* not yuv420p10le"):
        ClipFile(deep, "deep.mp4").load(shrink=1.0)


def test_a_missing_clip_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match=r"nothing\.mp4: no such clip"):
        find_clips(tmp_path, ["nothing.mp4"])


def test_a_window_is_a_square_of_neighbouring_frames() -> None:
    frames = [np.full((40, 50, 3), number, np.uint8) for number in range(9)]
    window = cut_window(frames, np.random.default_rng(0), side=96, count=4)
    assert [w.shape for w in window] == [(36, 36, 3)] * 4
    numbers = [int(w[0, 0, 0]) for w in window]
    assert numbers == list(range(numbers[0], numbers[0] + 4))
    with pytest.raises(UsageError, match="9 frames has no window of 10"):
        cut_window(frames, np.random.default_rng(0), side=24, count=10)


def test_pairs_of_a_clip_are_made_once_and_again_the_same(clip: ClipFile, tmp_path: Path) -> None:
    mix = DegradationMix.from_list([{"factor": [1, 2], "codec": "h264", "bits_per_pixel": 0.2, "codec_frames": 4}])

    def prepare(cache: str) -> list[bytes]:
        pairs = prepare_clip_pairs([clip], mix, cache=tmp_path / cache, seed=3, windows=5, side=48, shrink=1.0)
        assert {p.record["factor"] for p in pairs.pairs} == {1.0, 2.0}
        assert all(p.sharp.shape == p.degraded.shape == (1, 48, 48) for p in pairs.pairs)
        assert all(p.record["clip"] == "clips/moving.mp4" for p in pairs.pairs)
        assert pairs.batch(0, seed=1, size=3, crop=24).low is None  # of several sizes
        return [p.degraded.tobytes() for p in pairs.pairs]

    first = prepare("one")
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*.npy")}
    assert prepare("one") == prepare("two") == first
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


class _Blurry:
    """A teacher of x2 that gives back what it is shown, scaled up: worse than an input that was not scaled."""

    name, scale, sha256 = "blurry", 2, "0" * 64

    def restore(self, low: NDArray[np.uint8]) -> NDArray[np.float32]:
        return resize(low, 2 * low.shape[1], 2 * low.shape[0]).astype(np.float32)


def test_where_the_input_is_better_than_a_privileged_teacher_the_truth_teaches(clip: ClipFile, tmp_path: Path) -> None:
    table = {"factor": [1, 4], "codec": "h264", "bits_per_pixel": 2.0, "codec_frames": 3}
    pairs = prepare_clip_pairs(
        [clip], DegradationMix.from_list([table]), cache=tmp_path / "cache", seed=1, windows=8, side=72, shrink=1.0,
        teacher=_Blurry(), teacher_sees="clean",
    )  # fmt: skip
    from_truth = {
        p.record["factor"]: bool(np.abs(p.teacher - (p.sharp.astype(float) - p.degraded) / 256).max() < 0.1)
        for p in pairs.pairs
        if p.teacher is not None
    }
    assert from_truth == {1.0: True, 4.0: False}
