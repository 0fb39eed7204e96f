"""Streams of raw frames: buffers of other programs, PyAV's frames, asyncio."""

import asyncio
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from acutance import Frame, Sharpener
from acutance.errors import EngineError, UsageError

WIDTH, HEIGHT = 70, 46


@pytest.fixture(scope="module")
def sharpener(student_file: Path) -> Sharpener:
    return Sharpener(student_file, engine="numpy", threshold=0)


def plane(*, bits: int = 8, seed: int = 0, width: int = WIDTH, height: int = HEIGHT) -> NDArray[Any]:
    luma = np.random.default_rng(seed).integers(16, 236, (height, width)) << (bits - 8)
    return luma.astype(np.uint8 if bits == 8 else np.uint16)


def whole(luma: NDArray[Any]) -> NDArray[Any]:
    """A frame of 4:2:0 without gaps, in one dimension."""
    height, width = luma.shape
    chroma = np.arange(2 * ((width + 1) // 2) * ((height + 1) // 2)) % 251
    return np.concatenate([luma.ravel(), chroma.astype(luma.dtype)])


def expected(sharpener: Sharpener, luma: NDArray[Any], bits: int = 8) -> NDArray[Any]:
    return np.asarray(sharpener.frame(Frame(luma, bit_depth=bits)).luma)


@pytest.mark.parametrize(("format", "bits"), [("nv12", 8), ("i420", 8), ("yuv420p10", 10)])
@pytest.mark.parametrize("size", [(WIDTH, HEIGHT), (71, 45), (1, 1)])
def test_a_whole_frame_and_its_luma_alone_give_the_same(
    sharpener: Sharpener, format: Any, bits: int, size: tuple[int, int]
) -> None:
    luma = plane(bits=bits, width=size[0], height=size[1])
    sharp = expected(sharpener, luma, bits)
    frame = whole(luma)
    with sharpener.stream(*size, format) as stream:
        assert stream.frame_size == frame.nbytes
        np.testing.assert_array_equal(stream.process(luma), sharp)
        np.testing.assert_array_equal(stream.process(luma.ravel()), sharp.ravel())
        made = stream.process(frame)
        np.testing.assert_array_equal(made, np.concatenate([sharp.ravel(), frame[luma.size :]]))
        np.testing.assert_array_equal(stream.process(frame.tobytes()), made)


def test_a_frame_in_rows_as_opencv_has_it(sharpener: Sharpener) -> None:
    frame = whole(plane()).reshape(HEIGHT * 3 // 2, WIDTH)
    with sharpener.stream(WIDTH, HEIGHT, "i420") as stream:
        made = stream.process(frame)
    np.testing.assert_array_equal(made[:HEIGHT], expected(sharpener, frame[:HEIGHT]))
    np.testing.assert_array_equal(made[HEIGHT:], frame[HEIGHT:])


@pytest.mark.parametrize("kind", ["luma", "whole", "bytearray"])
def test_a_frame_is_sharpened_in_place(sharpener: Sharpener, kind: str) -> None:
    luma = plane()
    sharp = expected(sharpener, luma)
    given: Any = {"luma": luma.copy(), "whole": whole(luma), "bytearray": bytearray(whole(luma).tobytes())}[kind]
    with sharpener.stream(WIDTH, HEIGHT, "nv12") as stream:
        for _ in range(2):  # the second time what was sharp is the input
            stream.process(given, out=given)
            np.testing.assert_array_equal(np.asarray(given).ravel()[: luma.size].reshape(luma.shape), sharp)
            sharp = expected(sharpener, sharp)


def test_rows_may_have_gaps(sharpener: Sharpener) -> None:
    buffer = np.zeros((HEIGHT, WIDTH + 26), np.uint8)
    buffer[:, :WIDTH] = plane()
    with sharpener.stream(WIDTH, HEIGHT, "nv12") as stream:
        stream.process(buffer[:, :WIDTH], out=buffer[:, :WIDTH])
    np.testing.assert_array_equal(buffer[:, :WIDTH], expected(sharpener, plane()))
    assert not buffer[:, WIDTH:].any()


def test_rgb_gives_what_pictures_give(sharpener: Sharpener, picture: NDArray[np.uint8]) -> None:
    height, width = picture.shape[:2]
    with sharpener.stream(width, height, "rgb24") as stream:
        np.testing.assert_array_equal(stream.process(picture), sharpener(picture))
        np.testing.assert_array_equal(stream.process(picture.tobytes()), sharpener(picture).ravel())
        given = picture.copy()
        stream.process(given, out=given)
        np.testing.assert_array_equal(given, sharpener(picture))


def test_what_did_not_change_is_not_computed_again(sharpener: Sharpener) -> None:
    with sharpener.stream(WIDTH, HEIGHT, "nv12") as stream:
        stream.process(plane())
        first = stream.counts
        stream.process(plane())
        assert first.computed == first.tiles == stream.counts.reused
        stream.reset()
        stream.process(plane())
        assert stream.counts.computed == first.tiles
        assert stream.totals.tiles == 3 * first.tiles


def test_full_range_is_another_arithmetic(sharpener: Sharpener) -> None:
    with sharpener.stream(WIDTH, HEIGHT, "nv12", full_range=True) as stream:
        made = stream.process(plane())
    assert (made != expected(sharpener, plane())).any()


def test_what_does_not_fit_is_refused(sharpener: Sharpener) -> None:
    with sharpener.stream(WIDTH, HEIGHT, "nv12") as stream:
        for bad in (plane(bits=10), plane(width=WIDTH + 1), b"too short", "text", np.zeros((4, 4), np.float32)):
            with pytest.raises(UsageError, match=rf"a frame of {WIDTH}x{HEIGHT} nv12 is an array of uint8 of shape"):
                stream.process(bad)  # type: ignore[call-overload]
        with pytest.raises(UsageError, match="read-only"):
            stream.process(plane().ravel(), out=plane().tobytes())
        with pytest.raises(UsageError, match="out must be an array of shape"):
            stream.process(plane(), out=plane().ravel())
    with pytest.raises(EngineError, match="closed"):
        stream.process(plane())
    with pytest.raises(UsageError, match="format must be one of nv12, i420, yuv420p10, rgb24, not 'yuy2'"):
        sharpener.stream(WIDTH, HEIGHT, "yuy2")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="height must be an integer from 1 to 65535, not 0"):
        sharpener.stream(WIDTH, 0)


# -- PyAV --------------------------------------------------------------------------------------------------------------


def av_frame(luma: NDArray[Any], name: str, *, full: bool = False) -> Any:
    av = pytest.importorskip("av")
    frame = av.VideoFrame(luma.shape[1], luma.shape[0], name)
    for number, part in enumerate(frame.planes):
        rows = np.frombuffer(memoryview(part), luma.dtype).reshape(part.height, -1)
        rows[...] = 77 + number
        if not number:
            rows[:, : luma.shape[1]] = luma
    frame.pts, frame.time_base, frame.colorspace = 1234, Fraction(1, 90000), 1
    frame.color_range = 2 if full else 1
    return frame


@pytest.mark.parametrize(
    ("format", "name", "bits"), [("nv12", "nv12", 8), ("i420", "yuv420p", 8), ("yuv420p10", "yuv420p10le", 10)]
)
def test_a_pyav_frame_comes_back_as_one(sharpener: Sharpener, format: Any, name: str, bits: int) -> None:
    luma = plane(bits=bits)
    frame = av_frame(luma, name)
    with sharpener.stream(WIDTH, HEIGHT, format) as stream:
        made = stream.process(frame)
        again = stream.process(frame, out=av_frame(np.zeros_like(luma), name))
    for result in (made, again):
        assert (result.format.name, result.pts, result.colorspace) == (name, 1234, 1)
        assert result.time_base == Fraction(1, 90000)
        rows = np.frombuffer(memoryview(result.planes[0]), luma.dtype).reshape(HEIGHT, -1)
        np.testing.assert_array_equal(rows[:, :WIDTH], expected(sharpener, luma, bits))
        chroma = np.frombuffer(memoryview(result.planes[1]), luma.dtype).reshape(result.planes[1].height, -1)
        assert (chroma[:, : result.planes[1].width] == 78).all()
    own = np.frombuffer(memoryview(frame.planes[0]), luma.dtype).reshape(HEIGHT, -1)
    np.testing.assert_array_equal(own[:, :WIDTH], luma)  # a decoder's frame is not written to


def test_a_pyav_frame_of_rgb(sharpener: Sharpener, picture: NDArray[np.uint8]) -> None:
    av = pytest.importorskip("av")
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:, :101]), format="rgb24")  # rows with gaps
    with sharpener.stream(101, picture.shape[0], "rgb24") as stream:
        made = stream.process(frame)
    np.testing.assert_array_equal(made.to_ndarray(format="rgb24"), sharpener(picture[:, :101]))


def test_the_range_of_a_pyav_frame_counts(sharpener: Sharpener) -> None:
    luma = plane()
    with sharpener.stream(WIDTH, HEIGHT, "nv12", full_range=True) as stream:
        full = stream.process(luma)
    with sharpener.stream(WIDTH, HEIGHT, "i420") as stream:
        made = stream.process(av_frame(luma, "yuv420p", full=True))
    rows = np.frombuffer(memoryview(made.planes[0]), np.uint8).reshape(HEIGHT, -1)
    np.testing.assert_array_equal(rows[:, :WIDTH], full)


def test_a_pyav_frame_of_another_kind_is_refused(sharpener: Sharpener) -> None:
    with sharpener.stream(WIDTH, HEIGHT, "i420") as stream:
        frame = av_frame(plane(), "yuv420p")
        with pytest.raises(UsageError, match=rf"a frame of this stream is {WIDTH}x{HEIGHT} yuv420p, not .* nv12"):
            stream.process(av_frame(plane(), "nv12"))
        with pytest.raises(UsageError, match="out must be another frame"):
            stream.process(frame, out=frame)
        with pytest.raises(UsageError, match=r"out must be an av\.VideoFrame"):
            stream.process(frame, out=plane())


# -- asyncio -----------------------------------------------------------------------------------------------------------


def test_frames_are_sharpened_beside_an_event_loop(sharpener: Sharpener) -> None:
    """Tasks that share a stream take turns; each gets what it asked for."""
    planes = [plane(seed=seed) for seed in range(6)]

    async def run() -> list[NDArray[Any]]:
        with sharpener.stream(WIDTH, HEIGHT, "nv12") as stream:
            return list(await asyncio.gather(*(asyncio.to_thread(stream.process, luma) for luma in planes)))

    for luma, sharp in zip(planes, asyncio.run(run()), strict=True):
        np.testing.assert_array_equal(sharp, expected(sharpener, luma))
