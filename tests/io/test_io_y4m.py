"""Y4M pipes: what is written is read back, and what is not a stream is refused."""

import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from acutance.errors import NotMediaError, OutputError, UnsupportedMediaError, UsageError
from acutance.frame import ColourInfo, ColourRange, Frame
from acutance.io import VideoReader, Y4MReader, Y4MWriter
from io_clips import make_clip


def frames(depth: int, chroma: tuple[int, int] | None, size: tuple[int, int] = (47, 61), count: int = 3) -> list[Frame]:
    rng = np.random.default_rng(5)
    dtype = np.uint8 if depth == 8 else np.uint16

    def plane(shape: tuple[int, int]) -> np.ndarray:  # type: ignore[type-arg]
        return rng.integers(0, 1 << depth, shape, dtype=dtype)

    return [
        Frame(
            luma=plane(size),
            chroma=(plane(chroma), plane(chroma)) if chroma else None,
            bit_depth=depth,
            pts=i,
            time_base=Fraction(1001, 30000),
            colour=ColourInfo(ColourRange.FULL, chroma_location=2 if chroma == (24, 31) and depth == 8 else 0),
            sample_aspect_ratio=Fraction(4, 3),
        )
        for i in range(count)
    ]


@pytest.mark.parametrize("depth", [8, 10, 12])
@pytest.mark.parametrize("chroma", [(24, 31), (47, 31), (47, 61), None])
def test_frames_come_back_as_they_went(depth: int, chroma: tuple[int, int] | None) -> None:
    pipe = io.BytesIO()
    writer = Y4MWriter(pipe)
    sent = frames(depth, chroma)
    for frame in sent:
        writer.write(frame)
    pipe.seek(0)
    reader = Y4MReader(pipe)
    got = list(reader)
    assert reader.rate == Fraction(30000, 1001)
    assert reader.damaged is None
    assert len(got) == writer.frames_written == 3
    for a, b in zip(sent, got, strict=True):
        assert np.array_equal(a.luma, b.luma)
        assert a.luma.dtype == b.luma.dtype
        for x, y in zip(a.chroma or (), b.chroma or (), strict=True):
            assert np.array_equal(x, y)
        assert (a.pts, a.time_base, a.bit_depth) == (b.pts, b.time_base, b.bit_depth)
        assert a.colour.range is b.colour.range
        assert a.sample_aspect_ratio == b.sample_aspect_ratio


@pytest.mark.parametrize(
    "name", ["420jpeg", "420mpeg2", "420paldv", "420", "422", "444", "mono", "420p10", "422p10", "444p12"]
)
def test_every_sampling_is_read(name: str) -> None:
    depth = 8 if not name[-2:].isdigit() or "p" not in name else int(name[-2:])
    samples = {"420": 96, "422": 128, "444": 192, "mon": 64}[name[:3]] * (1 if depth == 8 else 2)
    stream = io.BytesIO(f"YUV4MPEG2 W8 H8 F25:1 C{name}\nFRAME\n".encode() + bytes(samples))
    (frame,) = Y4MReader(stream)
    assert frame.bit_depth == depth
    assert (frame.chroma is None) == (name == "mono")


def test_ffmpeg_reads_what_is_written(tmp_path: Path) -> None:
    sent = frames(8, (24, 32), size=(48, 64))
    with (tmp_path / "a.y4m").open("wb") as file:
        writer = Y4MWriter(file)
        for frame in sent:
            writer.write(frame)
    with VideoReader(tmp_path / "a.y4m") as reader:
        got = list(reader)
    assert all(np.array_equal(a.luma, b.luma) for a, b in zip(sent, got, strict=True))
    assert reader.info.full_range
    assert reader.info.average_rate == Fraction(30000, 1001)


def test_video_goes_out_as_a_pipe(tmp_path: Path) -> None:
    pipe = io.BytesIO()
    with VideoReader(make_clip(tmp_path / "a.mp4", pix_fmt="yuv420p10le")) as reader:
        rate = reader.info.average_rate
        writer = Y4MWriter(pipe, rate=rate)
        for frame in reader:
            writer.write(frame)
    assert pipe.getvalue().startswith(b"YUV4MPEG2 W64 H48 F25:1 Ip A0:0 C420p10 XCOLORRANGE=LIMITED\nFRAME\n")


@pytest.mark.parametrize("mark", ["It", "Ib", "Im"])
def test_interlaced_is_refused(mark: str) -> None:
    with pytest.raises(UnsupportedMediaError, match="interlaced"):
        Y4MReader(io.BytesIO(f"YUV4MPEG2 W8 H8 F25:1 {mark} C420\n".encode()))


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (b"", NotMediaError, "empty"),
        (b"hello\n", NotMediaError, "not a YUV4MPEG2"),
        (b"x" * 5000, NotMediaError, "not a YUV4MPEG2"),
        (b"YUV4MPEG2 F25:1\n", NotMediaError, "no size"),
        (b"YUV4MPEG2 W8 H8 Fx:1\n", NotMediaError, "ratio"),
        (b"YUV4MPEG2 W8 H8 C411\n", UnsupportedMediaError, "C411"),
        (b"YUV4MPEG2 W99999 H99999\n", UnsupportedMediaError, "larger"),
    ],
)
def test_bad_headers_are_refused(data: bytes, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"^-: .*{message}"):
        Y4MReader(io.BytesIO(data))


@pytest.mark.parametrize(("cut", "message"), [(50, "breaks off within frame 3"), (-1, "breaks off within frame 3")])
def test_a_stream_that_breaks_off_keeps_its_frames(cut: int, message: str) -> None:
    pipe = io.BytesIO()
    writer = Y4MWriter(pipe)
    sent = frames(8, None)
    for frame in sent:
        writer.write(frame)
    last = 47 * 61
    data = pipe.getvalue()
    reader = Y4MReader(io.BytesIO(data[: len(data) - last + cut] if cut > 0 else data[:cut]))
    assert len(list(reader)) == 2
    assert reader.damaged == f"the stream {message}"


def test_noise_between_frames_ends_the_stream() -> None:
    reader = Y4MReader(io.BytesIO(b"YUV4MPEG2 W8 H8 Cmono\nFRAME\n" + bytes(64) + b"garbage\n" + bytes(64)))
    assert len(list(reader)) == 1
    assert reader.damaged == "what follows frame 1 is not a frame"


def test_a_stream_cannot_change_its_size() -> None:
    writer = Y4MWriter(io.BytesIO())
    writer.write(frames(8, None)[0])
    with pytest.raises(UsageError, match="cannot change"):
        writer.write(frames(8, None, size=(8, 8))[0])


def test_unlikely_chroma_is_refused() -> None:
    frame = frames(8, (24, 31))[0]
    assert frame.chroma is not None
    odd = frame.chroma[0][:, :7]
    with pytest.raises(UsageError, match="chroma of 7 x 24"):
        Y4MWriter(io.BytesIO()).write(replace(frame, chroma=(odd, odd)))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_output_error() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OutputError, match="-: cannot be written"):
        Y4MWriter(full).write(frames(8, None)[0])


def test_a_reader_that_went_away_is_an_output_error() -> None:
    class Closed(io.BytesIO):
        def write(self, _: object) -> int:
            raise BrokenPipeError

    with pytest.raises(OutputError, match="nobody reads"):
        Y4MWriter(Closed()).write(frames(8, None)[0])
