"""Time: every frame where it belongs, also where the container is wrong about it, or says nothing."""

import zlib
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acutance._util.av import av
from acutance.frame import Frame
from acutance.io import VideoReader, VideoWriter
from acutance.io.joins import Joins
from io_clips import frame_times, make_clip, picture

RATE = 48_000


def write_clip(
    path: Path,
    frames: int,
    *,
    rate: int = 30,
    encoder: str = "libx264",
    options: dict[str, str] | None = None,
    sound: str | None = None,
    full_range: bool = False,
    seconds_each: Fraction | None = None,
) -> Path:
    """Write a clip of evenly timed frames, each to be seen for ``seconds_each``, with a tone beside it."""
    time_base = Fraction(1, rate) if seconds_each is None else Fraction(1, 1000)
    step = 1 if seconds_each is None else round(1000 * seconds_each)
    with av.open(str(path), "w") as output:
        video = output.add_stream(encoder, rate=rate, options=options or {}, time_base=time_base)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.color_range = 2 if full_range else 1
        audio: Any = output.add_stream(sound, rate=RATE) if sound else None
        packets: list[Any] = []
        for index in range(frames):
            frame = picture(index, 64, 48, "yuv420p")
            frame.pts, frame.time_base = index * step, time_base
            packets += video.encode(frame)
        packets += video.encode(None)
        if audio is not None:
            size = audio.codec_context.frame_size or 1024
            for start in range(0, RATE * frames // rate, size):
                block = av.AudioFrame(format="fltp" if sound == "aac" else "s16", layout="stereo", samples=size)
                for plane in block.planes:
                    view: Any = np.frombuffer(memoryview(plane), np.uint8)
                    view[:] = 0
                block.sample_rate, block.pts, block.time_base = RATE, start, Fraction(1, RATE)
                packets += audio.encode(block)
            packets += audio.encode(None)
        packets.sort(key=lambda p: p.dts * p.time_base)
        for packet in packets:
            if seconds_each is not None and packet.stream is video:
                packet.duration = round(seconds_each / packet.time_base)
            output.mux(packet)
    return path


def joined(target: Path, parts: Sequence[Path]) -> Path:
    target.write_bytes(b"".join(part.read_bytes() for part in parts))
    return target


def read(path: Path, **options: Any) -> list[Frame]:
    with VideoReader(path, **options) as reader:
        frames = list(reader)
        assert reader.damaged is None
    return frames


def gaps(frames: Sequence[Frame]) -> list[float]:
    times = [frame.time or 0.0 for frame in frames]
    return [round(1000 * (after - before), 1) for before, after in pairwise(times)]


def digests(frames: Sequence[Frame]) -> list[int]:
    return [zlib.crc32(np.ascontiguousarray(frame.luma).data) for frame in frames]


def copy_of(source: Path, target: Path, **options: Any) -> list[str]:
    """Write the frames of a file to another and return the reader's and the writer's notes."""
    with VideoReader(source, **options) as reader, VideoWriter(target, reader) as writer:
        for frame in reader:
            writer.write(frame)
    return [*reader.notes, *writer.notes]


@pytest.mark.parametrize(("encoder", "options"), [("libx264", {"bf": "3"}), ("mpeg4", {"bf": "2"}), ("mpeg4", {})])
def test_b_frames_in_avi_are_evenly_spaced(tmp_path: Path, encoder: str, options: dict[str, str]) -> None:
    frames = read(write_clip(tmp_path / "b.avi", 40, encoder=encoder, options=options))
    assert len(frames) == 40
    assert frames[0].time == 0
    assert set(gaps(frames)) <= {33.3, 33.4}
    copy_of(tmp_path / "b.avi", tmp_path / "o.mkv")
    spaces = {round(1000 * float(b - a)) for a, b in pairwise(frame_times(tmp_path / "o.mkv"))}
    assert spaces <= {33, 34}


@pytest.mark.parametrize(("suffix", "encoder"), [(".h264", "libx264"), (".264", "libx264"), (".hevc", "libx265")])
@pytest.mark.parametrize("rate", [24, 60])
def test_a_bare_bit_stream_has_the_rate_that_stands_in_it(tmp_path: Path, suffix: str, encoder: str, rate: int) -> None:
    options = {"x265-params": "log-level=none"} if encoder == "libx265" else {}
    raw = write_clip(tmp_path / f"a{suffix}", 20, rate=rate, encoder=encoder, options=options)
    with VideoReader(raw) as reader:
        assert reader.info.average_rate == rate
        assert set(gaps(list(reader))) == {round(1000 / rate, 1)}


@pytest.mark.parametrize(("suffix", "encoder", "sound"), [(".ts", "libx264", "aac"), (".mpg", "mpeg2video", "mp2")])
def test_joined_transport_and_program_streams_play_one_after_the_other(
    tmp_path: Path, suffix: str, encoder: str, sound: str
) -> None:
    one = write_clip(tmp_path / f"a{suffix}", 60, encoder=encoder, sound=sound)
    three = joined(tmp_path / f"cat{suffix}", [one] * 3)
    frames = read(three)
    assert len(frames) == 180
    assert min(gaps(frames)) > 30
    assert max(gaps(frames)) < 120
    copy_of(three, tmp_path / "o.mkv")
    with av.open(str(tmp_path / "o.mkv")) as container:
        packets = [(p.stream.type, float(p.pts * p.time_base)) for p in container.demux() if p.pts is not None]
    heard = sorted(time for kind, time in packets if kind == "audio")
    with av.open(str(one)) as container:
        count = sum(p.pts is not None for p in container.demux(container.streams.audio[0]))
    assert len(heard) == 3 * count
    assert max(after - before for before, after in pairwise(heard)) < 0.12
    shown = sorted(time for kind, time in packets if kind == "video")
    assert abs((shown[120] - shown[0]) - (heard[2 * count] - heard[0])) < 0.05  # still in step


def test_a_part_of_a_joined_stream_begins_and_ends_where_it_should(tmp_path: Path) -> None:
    one = write_clip(tmp_path / "a.ts", 60, sound="aac")
    two = joined(tmp_path / "cat.ts", [one, one])
    whole, part = read(two), read(two, start=3.0, duration=0.5)
    assert len(part) == 15
    assert digests(part) == digests(whole)[digests(whole).index(digests(part)[0], 60) :][:15]


def test_a_clock_that_jumps_an_hour_ahead_leaves_no_hole(tmp_path: Path) -> None:
    one = write_clip(tmp_path / "a.ts", 60, sound="aac")
    with av.open(str(one)) as container, av.open(str(tmp_path / "late.ts"), "w") as output:
        targets = {s.index: output.add_stream_from_template(s, opaque=True) for s in container.streams}
        for packet in container.demux():
            if packet.dts is not None:
                packet.pts, packet.dts = packet.pts + 3600 * 90_000, packet.dts + 3600 * 90_000
                packet.stream = targets[packet.stream.index]
                output.mux(packet)
    frames = read(joined(tmp_path / "cat.ts", [one, tmp_path / "late.ts"]))
    assert len(frames) == 120
    assert max(gaps(frames)) < 120


def test_one_clock_needs_no_shift(tmp_path: Path) -> None:
    joins = Joins(write_clip(tmp_path / "a.ts", 60, sound="aac"))
    joins.find()
    assert joins.known
    assert not joins.any


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("target", [".mp4", ".mkv", ".mov"])
def test_the_last_slide_stays_as_long_as_it_should(tmp_path: Path, suffix: str, target: str) -> None:
    source = write_clip(tmp_path / f"a{suffix}", 3, seconds_each=Fraction(4), options={"bf": "0"})
    copy_of(source, tmp_path / f"b{target}")
    with av.open(str(tmp_path / f"b{target}")) as container:
        assert container.duration / 1e6 == pytest.approx(12.0, abs=0.01)
    copy_of(source, tmp_path / f"c{target}", duration=10)
    with av.open(str(tmp_path / f"c{target}")) as container:
        assert container.duration / 1e6 == pytest.approx(10.0, abs=0.01)


@pytest.mark.parametrize(("suffix", "encoder"), [(".ts", "libx264"), (".mpg", "mpeg2video"), (".mp4", "libx264")])
@pytest.mark.parametrize("start", [0.5, 3.0, 4.0])
def test_a_part_begins_at_the_frame_whatever_the_distance_of_key_frames(
    tmp_path: Path, suffix: str, encoder: str, start: float
) -> None:
    options = {"g": "150", "sc_threshold": "0" if encoder == "libx264" else "1000000000"}
    source = write_clip(tmp_path / f"a{suffix}", 150, encoder=encoder, options=options, sound="mp2")
    whole, part = read(source), read(source, start=start, duration=0.5)
    with VideoReader(source) as reader:
        zero = reader.origin
    first = next(i for i, f in enumerate(whole) if (f.pts or 0) * (f.time_base or 1) - zero >= Fraction(start))
    assert [f.pts for f in part] == [f.pts for f in whole[first : first + 15]]
    assert digests(part) == digests(whole[first : first + 15])


def test_a_range_that_changes_midway_is_converted(tmp_path: Path) -> None:
    parts = [write_clip(tmp_path / "l.h264", 10), write_clip(tmp_path / "f.h264", 10, full_range=True)]
    with VideoReader(joined(tmp_path / "a.h264", parts)) as reader:
        frames = list(reader)
    assert len(frames) == 20
    assert not any(frame.full_range for frame in frames)
    assert [n for n in reader.notes if "range changes to full at 0.33 s" in n]
    full = frames[10].luma.astype(float)
    assert abs(full - (16 + frames[0].luma.astype(float) * 219 / 255)).mean() < 3


def test_interlaced_frames_late_in_a_file_are_passed_through(tmp_path: Path) -> None:
    parts = [write_clip(tmp_path / "p.h264", 10), write_clip(tmp_path / "i.h264", 10, options={"flags": "+ildct+ilme"})]
    with VideoReader(joined(tmp_path / "a.h264", parts)) as reader:
        frames = list(reader)
    assert [frame.interlaced for frame in frames] == [False] * 10 + [True] * 10
    assert [n for n in reader.notes if "interlaced frames, from 0.33 s on" in n]


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "mpeg4"])
def test_a_file_cut_in_half_gives_every_frame_that_decodes(tmp_path: Path, encoder: str) -> None:
    options = {"x265-params": "log-level=none"} if encoder == "libx265" else {"bf": "2"}
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w", container_options={"movflags": "faststart"}) as output:
        stream = output.add_stream(encoder, rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        rng = np.random.default_rng(0)
        for index in range(90):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, (240, 320, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 30)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    data = path.read_bytes()
    (tmp_path / "half.mp4").write_bytes(data[: len(data) // 2])
    expected = 0
    with av.open(str(tmp_path / "half.mp4")) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for packet in container.demux(video=0):
            try:
                expected += len(packet.decode())
            except av.error.FFmpegError:
                continue
    with VideoReader(tmp_path / "half.mp4") as reader:
        assert sum(1 for _ in reader) == expected
        assert "breaks off" in (reader.damaged or "")


def test_a_gif_keeps_the_delay_of_its_last_picture(tmp_path: Path) -> None:
    from PIL import Image

    pictures = [Image.new("RGB", (64, 48), colour) for colour in ("red", "green", "blue")]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=[100, 500, 4000], loop=0)
    copy_of(tmp_path / "a.gif", tmp_path / "b.mkv")
    with av.open(str(tmp_path / "b.mkv")) as container:
        assert container.duration / 1e6 == pytest.approx(4.6, abs=0.01)


def test_reordered_pictures_around_a_pause_are_no_join(tmp_path: Path) -> None:
    """Matroska gives the first packets no decoding times, and their presentation times step back."""
    times = [0, 512, 512 + 12800 * 10, 1024 + 12800 * 10]
    with VideoReader(make_clip(tmp_path / "a.mkv", pts=times)) as reader:
        assert [float(frame.time or 0) for frame in reader] == pytest.approx([0.0, 0.04, 10.04, 10.08])
