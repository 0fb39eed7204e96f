"""Reading video: what is found is told, what cannot be handled is refused, what decodes is kept."""

import itertools
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from acutance._util.av import av
from acutance.errors import (
    CorruptInputError,
    InputNotFoundError,
    NotMediaError,
    UnsupportedMediaError,
    UsageError,
)
from acutance.frame import ColourRange
from acutance.io import VideoReader
from io_clips import EVEN, UNEVEN, make_clip, picture


def test_frames_carry_planes_times_and_size(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4")
    with VideoReader(clip) as reader:
        frames = list(reader)
    assert [f.pts for f in frames] == EVEN
    assert {f.time_base for f in frames} == {Fraction(1, 12800)}
    assert frames[0].luma.shape == (48, 64)
    assert frames[0].luma.dtype == np.uint8
    assert frames[0].chroma is not None
    assert [c.shape for c in frames[0].chroma] == [(24, 32), (24, 32)]
    assert reader.info.frame_count == 10
    assert reader.info.average_rate == 25
    assert reader.info.duration == pytest.approx(0.4)
    assert reader.damaged is None
    assert reader.notes == []


def test_planes_are_views_that_outlive_the_reader_and_cannot_be_written(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", options={"qp": "0"})
    with VideoReader(clip) as reader:
        frames = list(reader)
    expected = [picture(i, 64, 48, "yuv420p").to_ndarray()[:48] for i in range(10)]
    assert all(np.array_equal(f.luma, e) for f, e in zip(frames, expected, strict=True))
    with pytest.raises(ValueError, match="read-only"):
        frames[0].luma[0, 0] = 1


def test_variable_frame_times_are_read_as_stored(tmp_path: Path) -> None:
    with VideoReader(make_clip(tmp_path / "a.mp4", pts=UNEVEN)) as reader:
        assert [f.pts for f in reader] == UNEVEN


@pytest.mark.parametrize(
    ("pix_fmt", "encoder", "depth", "chroma"),
    [
        ("yuv420p", "libx264", 8, (24, 32)),
        ("yuv422p", "libx264", 8, (48, 32)),
        ("yuv444p", "libx264", 8, (48, 64)),
        ("yuv420p10le", "libx264", 10, (24, 32)),
        ("yuv422p10le", "libx264", 10, (48, 32)),
        ("yuv444p10le", "ffv1", 10, (48, 64)),
        ("yuv420p12le", "ffv1", 12, (24, 32)),
        ("gray", "ffv1", 8, None),
        ("gray10le", "ffv1", 10, None),
    ],
)
def test_planar_formats_come_as_stored(
    tmp_path: Path, pix_fmt: str, encoder: str, depth: int, chroma: tuple[int, int] | None
) -> None:
    clip = make_clip(
        tmp_path / "a.mkv", pix_fmt=pix_fmt, encoder=encoder, options={"qp": "0"} if encoder != "ffv1" else {}
    )
    with VideoReader(clip) as reader:
        frame = next(iter(reader))
    assert reader.info.pix_fmt == pix_fmt
    assert frame.bit_depth == reader.info.bit_depth == depth
    assert frame.luma.dtype == (np.uint8 if depth == 8 else np.uint16)
    assert (frame.chroma[0].shape if frame.chroma else None) == chroma
    plane = picture(0, 64, 48, pix_fmt).planes[0]
    dtype = np.uint8 if depth == 8 else np.uint16
    assert np.array_equal(frame.luma, np.frombuffer(plane, dtype).reshape(48, -1)[:, :64])
    assert reader.notes == []


def test_odd_sizes_keep_every_column_and_row(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", encoder="ffv1", size=(61, 47))
    with VideoReader(clip) as reader:
        frame = next(iter(reader))
    assert frame.luma.shape == (47, 61)
    assert frame.chroma is not None
    assert frame.chroma[0].shape == (24, 31)


def test_full_range_by_name_is_full_range_and_left_as_it_is(tmp_path: Path) -> None:
    clip = make_clip(
        tmp_path / "a.avi", encoder="mjpeg", pix_fmt="yuvj420p", time_base=Fraction(1, 25), pts=list(range(5))
    )
    with VideoReader(clip) as reader:
        frame = next(iter(reader))
        assert reader.info.source_pix_fmt == "yuvj420p"
        assert reader.info.pix_fmt == "yuv420p"
    assert frame.colour.range is ColourRange.FULL
    with av.open(str(clip)) as container:
        raw = next(container.decode(video=0))
        assert np.array_equal(frame.luma, raw.to_ndarray()[:48])


def test_rgb_becomes_444_by_the_matrix_it_is_tagged_with(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
        pixels = np.zeros((48, 64, 4), np.uint8)
        pixels[:, :32, :3], pixels[:, 32:, :3] = (0, 0, 255), (255, 255, 255)  # red, white (blue first)
        frame = av.VideoFrame(64, 48, "bgr0")
        plane = frame.planes[0]
        np.frombuffer(plane, np.uint8).reshape(48, plane.line_size)[:, : 64 * 4] = pixels.reshape(48, 256)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with VideoReader(path) as reader:
        got = next(iter(reader))
        assert "BT.601" in reader.notes[0]
    assert reader.info.pix_fmt == "yuv444p"
    assert got.colour.matrix == 6
    assert got.colour.range is ColourRange.LIMITED
    assert got.chroma is not None
    assert abs(int(got.luma[5, 5]) - 81) <= 1
    assert abs(int(got.chroma[0][5, 5]) - 90) <= 1
    assert abs(int(got.chroma[1][5, 5]) - 240) <= 1
    assert abs(int(got.luma[5, 50]) - 235) <= 1


def test_full_range_nv12_is_only_repacked() -> None:
    from acutance.io._pixels import plan_for, repack

    frame = av.VideoFrame(64, 48, "nv12")
    frame.color_range = 2
    rng = np.random.default_rng(1)
    for plane in frame.planes:
        np.frombuffer(plane, np.uint8)[:] = rng.integers(0, 256, plane.buffer_size)
    plan = plan_for("nv12", 64, 48)
    assert plan is not None
    out = repack(frame, plan, 64, 48)
    rows = [np.frombuffer(p, np.uint8).reshape(p.height, p.line_size) for p in frame.planes]
    outs = [np.frombuffer(p, np.uint8).reshape(p.height, p.line_size) for p in out.planes]
    assert np.array_equal(outs[0][:, :64], rows[0][:, :64])
    assert np.array_equal(outs[1][:, :32], rows[1][:, 0:64:2])
    assert np.array_equal(outs[2][:, :32], rows[1][:, 1:64:2])


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("nv12", "yuv420p"), ("p010le", "yuv420p10le"), ("yuyv422", "yuv422p"), ("yuv420p10be", "yuv420p10le"),
        ("gbrp", "yuv444p"), ("gbrp10le", "yuv444p10le"), ("pal8", "yuv444p"), ("rgb48le", "yuv444p12le"),
        ("ya8", "gray"), ("gray16le", "gray12le"), ("yuva420p", "yuv420p"), ("yuv411p", "yuv444p"), ("monob", "gray"),
    ],
)  # fmt: skip
def test_other_formats_become_the_nearest_planar_one(name: str, target: str) -> None:
    from acutance.io._pixels import plan_for, repack

    plan = plan_for(name, 64, 48)
    assert plan is not None
    assert plan.target == target
    assert repack(av.VideoFrame(64, 48, name), plan, 64, 48).format.name == target


def test_rotation_colour_and_aspect_are_told(tmp_path: Path) -> None:
    clip = make_clip(
        tmp_path / "a.mp4",
        rotation=90,
        colour={"color_range": 2, "colorspace": 1, "color_primaries": 1, "color_trc": 13},
        sar=Fraction(4, 3),
        options={"chroma_sample_location": "topleft"},
    )
    with VideoReader(clip) as reader:
        frame = next(iter(reader))
    assert frame.rotation == reader.info.rotation == 90
    assert frame.sample_aspect_ratio == Fraction(4, 3)
    assert frame.full_range
    assert (frame.colour.matrix, frame.colour.primaries, frame.colour.transfer) == (1, 1, 13)
    assert frame.colour.chroma_location == 3


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused_by_name(tmp_path: Path, transfer: int, name: str) -> None:
    clip = make_clip(tmp_path / "a.mp4", colour={"color_trc": transfer, "colorspace": 9, "color_primaries": 9})
    with pytest.raises(UnsupportedMediaError, match=f"a.mp4: HDR video, {name}"):
        VideoReader(clip)


@pytest.mark.parametrize("transfer", [16, 18])
def test_the_command_that_the_refusal_of_hdr_gives_makes_video_that_is_read(tmp_path: Path, transfer: int) -> None:
    program = shutil.which("ffmpeg")
    filters = "" if program is None else subprocess.run([program, "-filters"], capture_output=True, text=True).stdout
    if program is None or " zscale " not in filters:
        pytest.skip("needs ffmpeg with the filter zscale")
    clip = make_clip(tmp_path / "a.mp4", colour={"color_trc": transfer, "colorspace": 9, "color_primaries": 9})
    with pytest.raises(UnsupportedMediaError) as refused:
        VideoReader(clip)
    places = {"ffmpeg": program, "IN": str(clip), "OUT": str(tmp_path / "out.mp4")}
    command = str(refused.value).partition("for example with ")[2].split()
    subprocess.run([places.get(word, word) for word in command], check=True, capture_output=True)
    with VideoReader(tmp_path / "out.mp4") as reader:
        frames = list(reader)
    assert len(frames) == 10
    assert (frames[0].colour.matrix, frames[0].colour.primaries, frames[0].colour.transfer) == (1, 1, 1)
    assert np.ptp(frames[0].luma) > 20


def test_interlaced_video_is_refused_with_what_to_do(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", options={"x264-params": "interlaced=1:tff=1"})
    with pytest.raises(UnsupportedMediaError, match=r"a\.mp4: interlaced.*bwdif"):
        VideoReader(clip)


def test_a_span_is_cut_by_time(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", pts=[512 * i for i in range(50)])
    with VideoReader(clip, start=0.5, duration=0.4) as reader:
        times = [f.time for f in reader]
    assert times == pytest.approx([0.52 + 0.04 * i for i in range(10)])
    assert reader.origin == Fraction(13, 25)
    assert reader.damaged is None


def test_a_start_past_the_end_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.mp4: start 9 s is past the end"):
        VideoReader(make_clip(tmp_path / "a.mp4"), start=9)


def test_frames_can_be_scaled_while_reading(tmp_path: Path) -> None:
    with VideoReader(make_clip(tmp_path / "a.mp4"), size=(128, 96)) as reader:
        frames = list(reader)
    assert len(frames) == 10
    assert frames[0].luma.shape == (96, 128)
    assert frames[0].chroma is not None
    assert frames[0].chroma[0].shape == (48, 64)


def test_a_size_that_changes_in_mid_stream_is_scaled_to_the_first(tmp_path: Path) -> None:
    parts = [make_clip(tmp_path / f"{w}.h264", size=(w, h)) for w, h in ((64, 48), (128, 96))]
    joined = tmp_path / "joined.h264"
    joined.write_bytes(b"".join(p.read_bytes() for p in parts))
    with VideoReader(joined) as reader:
        frames = list(reader)
    assert len(frames) == 20
    assert {f.luma.shape for f in frames} == {(48, 64)}
    assert [f.scaled_by for f in frames] == [1.0] * 20
    assert any("changes to 128 x 96" in note for note in reader.notes)
    assert all(b.pts > a.pts for a, b in itertools.pairwise(frames))  # type: ignore[operator]


def test_frames_say_by_how_much_they_were_scaled_up(tmp_path: Path) -> None:
    parts = [make_clip(tmp_path / f"{w}.h264", size=(w, h)) for w, h in ((128, 96), (64, 48))]
    joined = tmp_path / "joined.h264"
    joined.write_bytes(b"".join(p.read_bytes() for p in parts))
    with VideoReader(joined) as reader:
        assert [f.scaled_by for f in reader] == [1.0] * 10 + [2.0] * 10
    with VideoReader(parts[1], size=(192, 144)) as reader:
        assert {f.scaled_by for f in reader} == {3.0}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi", ".h264"])
def test_frames_say_what_the_stream_spends_on_a_pixel(tmp_path: Path, suffix: str) -> None:
    clip = make_clip(tmp_path / f"a{suffix}", audio=suffix in (".mp4", ".mkv", ".ts"))
    with av.open(str(clip)) as container:
        sizes = [packet.size for packet in container.demux(container.streams.video[0]) if packet.size]
    with VideoReader(clip) as reader:
        rates = {f.bits_per_pixel for f in reader}
    assert len(sizes) == 10
    assert list(rates) == [pytest.approx(8 * sum(sizes) / 10 / (64 * 48))]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_bits_per_pixel_do_not_depend_on_the_part_or_the_size_that_is_read(tmp_path: Path, suffix: str) -> None:
    clip = make_clip(tmp_path / f"a{suffix}")
    with VideoReader(clip) as reader:
        rate = next(iter(reader)).bits_per_pixel
    with VideoReader(clip, start=0.2, size=(128, 96)) as reader:
        assert {f.bits_per_pixel for f in reader} == {rate}
        reader.rewind(Fraction(1, 5))
        assert {f.bits_per_pixel for f in reader} == {rate}


def test_bits_per_pixel_are_unknown_where_no_packet_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(tmp_path / "a.mkv")
    with VideoReader(clip) as reader:
        assert next(iter(reader)).bits_per_pixel is not None
    monkeypatch.setattr("acutance.io._bit_rate.packets_of", lambda *_: iter(()))
    with VideoReader(clip) as reader:
        assert next(iter(reader)).bits_per_pixel is None


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
def test_frames_that_were_read_are_let_go(tmp_path: Path) -> None:
    """A hundred megabytes of frames go by."""

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    clip = make_clip(tmp_path / "a.mp4", size=(640, 480), pts=[512 * i for i in range(250)])
    marks = []
    with VideoReader(clip) as reader:
        for number, _ in enumerate(reader):
            if number in (50, 249):
                marks.append(resident())
    assert marks[1] - marks[0] < 20 << 20


# -- bad input --------------------------------------------------------------------------------------------------------


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match=r"gone\.mp4: no such file"):
        VideoReader(tmp_path / "gone.mp4")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"Dear diary,\nnothing happened.\n" * 50, "not a video"), (b"#EXTM3U\nx.mp4\n", "playlist")],
)
def test_what_is_not_a_video_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(NotMediaError, match=rf"a\.mp4: .*{message}"):
        VideoReader(path)


@pytest.mark.parametrize("lead", ["", "\n\n  ", "# a comment\n" * 9])
def test_a_script_named_mp4_cannot_make_another_file_be_read(tmp_path: Path, lead: str) -> None:
    make_clip(tmp_path / "secret.mp4")
    script = tmp_path / "innocent.mp4"
    script.write_text(lead + "ffconcat version 1.0\nfile secret.mp4\n")
    with pytest.raises(NotMediaError, match="innocent"):
        VideoReader(script)


def test_the_whitelist_is_what_stops_a_script(tmp_path: Path) -> None:
    """The control of the test above: FFmpeg by itself follows the script, and does not with what the reader passes."""
    from acutance._util.av import FORMAT_WHITELIST

    make_clip(tmp_path / "secret.mp4")
    script = tmp_path / "innocent.mp4"
    script.write_text("ffconcat version 1.0\nfile secret.mp4\n")
    with av.open(str(script)) as container:
        assert len(list(container.decode(video=0))) == 10
    with pytest.raises(av.error.FFmpegError):
        av.open(str(script), container_options={"format_whitelist": FORMAT_WHITELIST})


@pytest.mark.parametrize("tail", ["\n", "#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n"])
def test_a_playlist_named_mp4_is_refused(tmp_path: Path, tail: str) -> None:
    path = tmp_path / "list.mp4"
    path.write_text("#EXTM3U\n" + tail)
    with pytest.raises(NotMediaError, match="playlist or script"):
        VideoReader(path)


def test_a_file_name_is_never_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_clip(tmp_path / "a.mp4").rename(tmp_path / "concat:x.mp4")
    monkeypatch.chdir(tmp_path)
    with VideoReader("concat:x.mp4") as reader:
        assert len(list(reader)) == 10


def test_audio_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotMediaError, match="audio only"):
        VideoReader(make_clip(tmp_path / "a.m4a", video=False, audio=True))


def test_an_image_is_not_a_video(tmp_path: Path) -> None:
    import PIL.Image

    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "a.mp4", "PNG")
    with pytest.raises(NotMediaError, match="is an image"):
        VideoReader(tmp_path / "a.mp4")


def test_absurd_dimensions_are_refused_by_the_header(tmp_path: Path) -> None:
    path = tmp_path / "a.y4m"
    path.write_bytes(b"YUV4MPEG2 W100000 H90000 F25:1\nFRAME\n" + bytes(1000))
    with pytest.raises(UnsupportedMediaError, match=r"a\.y4m: 100000 x 90000 is larger"):
        VideoReader(path)


def test_a_wide_strip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.y4m"
    path.write_bytes(b"YUV4MPEG2 W20000 H2 F25:1 C420\n" + (b"FRAME\n" + bytes(60000)) * 2)
    with pytest.raises(UnsupportedMediaError, match="20000 x 2 is larger"):
        VideoReader(path)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_truncated_video_yields_its_frames_and_says_so(tmp_path: Path, suffix: str) -> None:
    options = {"movflags": "+faststart"} if suffix == "mp4" else {}
    clip = make_clip(tmp_path / f"a.{suffix}", pts=[512 * i for i in range(60)], container_options=options)
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) * 2 // 3])
    with VideoReader(clip) as reader:
        frames = list(reader)
    assert 15 < len(frames) < 60
    assert reader.damaged is not None
    assert "breaks off" in reader.damaged


def test_a_video_without_its_index_says_what_is_missing(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", pts=[512 * i for i in range(60)])
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) // 2])
    with pytest.raises(CorruptInputError, match=r"a\.mp4: .*moov"):
        VideoReader(clip)


def test_damage_in_the_middle_is_stepped_over(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", encoder="ffv1", pts=[512 * i for i in range(30)], options={"slicecrc": "1"})
    with av.open(str(clip)) as container:
        spot = [p.pos for p in container.demux(video=0) if p.size][15]
    data = bytearray(clip.read_bytes())
    data[spot + 40 : spot + 400] = bytes(360)
    clip.write_bytes(data)
    with VideoReader(clip) as reader:
        frames = list(reader)
    assert 24 <= len(frames) < 30  # at most one group of pictures is lost
    assert frames[-1].pts == 29 * 40
    assert reader.damaged is not None
    assert "packets are damaged" in reader.damaged


def test_noise_behind_a_good_header_is_corrupt(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", container_options={"movflags": "+faststart"})
    data = clip.read_bytes()
    start = data.index(b"mdat") + 4
    clip.write_bytes(data[:start] + bytes(len(data) - start))
    with pytest.raises(CorruptInputError, match=r"a\.mp4: not one frame can be decoded"):
        VideoReader(clip)


def test_closing_twice_is_fine(tmp_path: Path) -> None:
    reader = VideoReader(make_clip(tmp_path / "a.mp4"))
    reader.close()
    reader.close()
    assert list(reader) == []


def test_real_calls_read_whole(data_folder: Path) -> None:
    with VideoReader(data_folder / "clips" / "book.mkv") as reader:
        frames = list(reader)
    assert len(frames) > 100
    assert reader.info.full_range
    assert reader.damaged is None
