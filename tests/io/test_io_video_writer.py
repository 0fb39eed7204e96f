"""Writing video: what came with the picture goes with it, and a half file never has the final name."""

import errno
import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acutance._util.av import av
from acutance.degrade import resize
from acutance.errors import OutputError, OutputExistsError, UsageError
from acutance.frame import Frame
from acutance.io import VideoReader, VideoWriter
from io_clips import EVEN, UNEVEN, frame_times, make_clip, packets


def pass_through(
    source: Path, target: Path, *, start: float = 0.0, duration: float | None = None, **options: Any
) -> VideoWriter:
    """Read, write, and give back the writer for its notes."""
    with (
        VideoReader(source, start=start, duration=duration) as reader,
        VideoWriter(target, reader, **options) as writer,
    ):
        for frame in reader:
            out = writer.new_frame(frame)
            out.luma[:] = frame.luma
            writer.write(out)
    return writer


def contents(path: Path) -> list[str]:
    return sorted(p.name for p in path.iterdir())


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize("times", [EVEN, UNEVEN])
def test_every_frame_keeps_its_time(tmp_path: Path, suffix: str, times: list[int]) -> None:
    source = make_clip(tmp_path / f"a.{suffix}", pts=times)
    pass_through(source, tmp_path / f"b.{suffix}")
    assert frame_times(tmp_path / f"b.{suffix}") == frame_times(source)
    assert len(frame_times(source)) == 10


def test_times_change_by_less_than_a_millisecond_into_matroska(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4", pts=[512 * i + (i % 3) * 50 for i in range(10)])
    pass_through(source, tmp_path / "b.mkv")
    for a, b in zip(frame_times(source), frame_times(tmp_path / "b.mkv"), strict=True):
        assert abs(a - b) <= Fraction(1, 2000)


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libvpx-vp9", "libsvtav1", "ffv1"])
def test_every_encoder_keeps_times_colour_and_picture(tmp_path: Path, encoder: str) -> None:
    colour = {"color_range": 2, "colorspace": 1, "color_primaries": 1, "color_trc": 1}
    source = make_clip(tmp_path / "a.mkv", pts=[*UNEVEN[:8], 6400, 7100], colour=colour, encoder="ffv1")
    writer = pass_through(source, tmp_path / "b.mkv", encoder=encoder)
    assert writer.encoder == encoder
    assert frame_times(tmp_path / "b.mkv") == frame_times(source)
    with VideoReader(source) as a, VideoReader(tmp_path / "b.mkv") as b:
        assert b.info.full_range
        assert (b.info.colour.matrix, b.info.colour.primaries, b.info.colour.transfer) == (1, 1, 1)
        for x, y in zip(a, b, strict=True):
            error = np.abs(x.luma.astype(int) - y.luma)
            assert error.max() == 0 if encoder == "ffv1" else error.mean() < 8


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotated_phone_video_keeps_its_orientation(tmp_path: Path, suffix: str, rotation: int) -> None:
    source = make_clip(tmp_path / "a.mp4", rotation=rotation)
    pass_through(source, tmp_path / f"b.{suffix}")
    with VideoReader(source) as a, VideoReader(tmp_path / f"b.{suffix}") as b:
        assert a.info.rotation == b.info.rotation == rotation
        assert a.info.display_matrix == b.info.display_matrix


def test_a_mirrored_video_stays_mirrored(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "plain.mp4")
    mirrored = tmp_path / "a.mp4"
    with VideoReader(source) as reader:
        reader.info = replace(reader.info, display_matrix=(-0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000))
        with VideoWriter(mirrored, reader) as writer:
            for frame in reader:
                writer.write(frame)
    pass_through(mirrored, tmp_path / "b.mp4")
    with VideoReader(tmp_path / "b.mp4") as reader:
        assert reader.info.display_matrix == (-0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("full", [1, 2])
def test_range_matrix_primaries_transfer_location_and_aspect_survive(tmp_path: Path, suffix: str, full: int) -> None:
    source = make_clip(
        tmp_path / "a.mp4",
        colour={"color_range": full, "colorspace": 9, "color_primaries": 9, "color_trc": 14},
        sar=Fraction(128, 117),
        options={"chroma_sample_location": "topleft"},
    )
    pass_through(source, tmp_path / f"b.{suffix}")
    with VideoReader(source) as a, VideoReader(tmp_path / f"b.{suffix}") as b:
        assert a.info.colour == b.info.colour
        assert b.info.full_range == (full == 2)
        assert b.info.colour.chroma_location == 3
        assert a.info.sample_aspect_ratio == b.info.sample_aspect_ratio == Fraction(128, 117)


def test_untagged_colour_stays_untagged(tmp_path: Path) -> None:
    pass_through(make_clip(tmp_path / "a.mp4"), tmp_path / "b.mp4")
    with VideoReader(tmp_path / "b.mp4") as reader:
        assert reader.info.tagged_range == 0
        assert reader.info.colour.matrix == reader.info.colour.primaries == 2


DEEP = ["yuv420p10le", "yuv422p10le", "yuv444p10le", "yuv420p12le", "yuv444p12le"]


@pytest.mark.parametrize("pix_fmt", ["yuv422p", "yuv444p", *DEEP])
def test_sampling_and_depth_are_kept(tmp_path: Path, pix_fmt: str) -> None:
    source = make_clip(tmp_path / "a.mkv", pix_fmt=pix_fmt, encoder="ffv1")
    pass_through(source, tmp_path / "b.mkv")
    with VideoReader(tmp_path / "b.mkv") as reader:
        assert reader.info.pix_fmt == pix_fmt


@pytest.mark.parametrize("encoder", ["libx264", None])
def test_full_range_by_name_stays_full_range(tmp_path: Path, encoder: str | None) -> None:
    source = make_clip(
        tmp_path / "a.avi", encoder="mjpeg", pix_fmt="yuvj420p", time_base=Fraction(1, 25), pts=list(range(6))
    )
    pass_through(source, tmp_path / "b.mp4", encoder=encoder, crf=5)
    with VideoReader(source) as a, VideoReader(tmp_path / "b.mp4") as b:
        assert b.info.full_range
        for x, y in zip(a, b, strict=True):
            assert np.abs(x.luma.astype(int) - y.luma).mean() < 3


def test_odd_sizes_get_an_encoder_that_takes_them(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mkv", encoder="ffv1", size=(61, 47))
    writer = pass_through(source, tmp_path / "b.mkv")
    assert writer.encoder == "libvpx-vp9"
    with VideoReader(tmp_path / "b.mkv") as reader:
        assert next(iter(reader)).luma.shape == (47, 61)


@pytest.mark.parametrize(("suffix", "subtitle"), [("mp4", "mov_text"), ("mkv", "subrip")])
def test_sound_subtitles_chapters_and_tags_go_along(tmp_path: Path, suffix: str, subtitle: str) -> None:
    source = make_clip(
        tmp_path / f"a.{suffix}", audio=True, subtitle=subtitle, chapters=True, attachment=suffix == "mkv",
        metadata={"title": "A call", "comment": "naïve"},
    )  # fmt: skip
    target = tmp_path / f"b.{suffix}"
    writer = pass_through(source, target)
    assert writer.notes == []
    assert packets(target, "audio") == packets(source, "audio")
    assert len(packets(source, "audio")) > 15
    spoken = [[(t, d) for t, d in packets(p, "subtitle") if b"hello" in d] for p in (source, target)]  # MP4 pads gaps
    assert spoken[0] == spoken[1]
    assert len(spoken[0]) == 2
    with av.open(str(source)) as a, av.open(str(target)) as b:
        assert [c["metadata"]["title"] for c in b.chapters()] == ["first", "second"]
        assert [c["start"] * c["time_base"] for c in b.chapters()] == [0, Fraction(1, 5)]
        tags = {key.lower(): value for key, value in b.metadata.items()}
        assert (tags["title"], tags["comment"]) == ("A call", "naïve")
        assert [s.type for s in a.streams] == [s.type for s in b.streams]
        assert b.streams.audio[0].metadata["language"] == "nld"
        assert b.streams.subtitles[0].metadata["language"] == "fra"
        if suffix == "mkv":
            assert b.streams.attachments[0].data == b"\0\1\2\3" * 9


def test_what_the_container_cannot_hold_is_left_out_with_a_line(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mkv", audio=True, subtitle="subrip", attachment=True)
    writer = pass_through(source, tmp_path / "b.mp4")
    assert len(writer.notes) == 2
    assert any(note.startswith("subtitle stream 2") and "MP4 cannot hold it" in note for note in writer.notes)
    assert any("attachment" in note for note in writer.notes)
    assert packets(tmp_path / "b.mp4", "audio")


def test_a_span_takes_its_own_sound_and_starts_at_zero(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mkv", audio=True, chapters=True, pts=EVEN)
    pass_through(source, tmp_path / "b.mkv", start=0.2, duration=0.1)
    assert frame_times(tmp_path / "b.mkv") == [0, Fraction(1, 25), Fraction(2, 25)]
    whole, part = packets(source, "audio"), packets(tmp_path / "b.mkv", "audio")
    kept = [(t - 200, data) for t, data in whole if t is not None and 200 <= t < 300]
    assert part == kept
    with av.open(str(tmp_path / "b.mkv")) as container:
        chapters = container.chapters()
    assert [c["metadata"]["title"] for c in chapters] == ["second"]
    assert chapters[0]["start"] == 0


def test_streams_can_be_left_behind(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mkv", audio=True)
    pass_through(source, tmp_path / "b.mkv", copy_streams=False)
    with av.open(str(tmp_path / "b.mkv")) as container:
        assert not container.streams.audio


def test_an_mpeg_stream_that_starts_late_on_the_clock_starts_at_zero_in_mp4(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.ts", pts=[12800 * 3 + t for t in EVEN])
    before = frame_times(source)
    assert before[0] > 0.5
    pass_through(source, tmp_path / "b.mp4")
    after = frame_times(tmp_path / "b.mp4")
    assert after[0] < 0.2
    assert [t - after[0] for t in after] == [t - before[0] for t in before]


def test_mp4_is_ready_to_stream(tmp_path: Path) -> None:
    pass_through(make_clip(tmp_path / "a.mkv"), tmp_path / "b.mp4")
    data = (tmp_path / "b.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_pictures_are_not_cut_into_slices_for_the_sake_of_threads(tmp_path: Path) -> None:
    """Slices cost bits, and more threads are busy with whole frames. x264 writes its settings into the stream."""
    pass_through(make_clip(tmp_path / "a.mkv", size=(320, 240)), tmp_path / "b.mp4", encoder="libx264")
    assert b"sliced_threads=0" in (tmp_path / "b.mp4").read_bytes()


def test_a_larger_picture_can_be_written(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4")
    with VideoReader(source, size=(128, 96)) as reader, VideoWriter(tmp_path / "b.mp4", reader) as writer:
        for frame in reader:
            out = writer.new_frame(frame)
            out.luma[:] = frame.luma
            writer.write(out)
    with VideoReader(tmp_path / "b.mp4") as reader:
        assert next(iter(reader)).luma.shape == (96, 128)
    assert frame_times(tmp_path / "b.mp4") == frame_times(source)


def test_any_frame_of_the_right_shape_is_taken(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mkv", encoder="ffv1")
    with VideoReader(source) as reader, VideoWriter(tmp_path / "b.mkv", reader, encoder="ffv1") as writer:
        for frame in reader:
            writer.write(frame.with_luma(255 - frame.luma))
    with VideoReader(source) as a, VideoReader(tmp_path / "b.mkv") as b:
        for x, y in zip(a, b, strict=True):
            assert np.array_equal(255 - x.luma, y.luma)
            assert x.chroma is not None
            assert y.chroma is not None
            assert np.array_equal(x.chroma[0], y.chroma[0])
            assert np.array_equal(x.chroma[1], y.chroma[1])


def test_a_new_frame_with_another_luma_writes_that_luma(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mkv", encoder="ffv1")
    with VideoReader(source) as reader, VideoWriter(tmp_path / "b.mkv", reader, encoder="ffv1") as writer:
        for frame in reader:
            writer.write(writer.new_frame(frame).with_luma(np.full((48, 64), 99, np.uint8)))
    with VideoReader(tmp_path / "b.mkv") as reader:
        assert all((f.luma == 99).all() for f in reader)


@pytest.mark.parametrize("luma", [np.zeros((48, 63), np.uint8), np.zeros((48, 64), np.uint16)])
def test_a_frame_that_does_not_fit_is_refused(tmp_path: Path, luma: Any) -> None:
    with VideoReader(make_clip(tmp_path / "a.mp4")) as reader:
        frame = next(iter(reader))
        with pytest.raises(UsageError, match=r"b\.mp4: planes"), VideoWriter(tmp_path / "b.mp4", reader) as writer:
            writer.write(replace(frame, luma=luma))
    assert contents(tmp_path) == ["a.mp4"]


# -- options and refusals ---------------------------------------------------------------------------------------------


def write_nothing(source: Path, target: Path, **options: Any) -> None:
    with VideoReader(source) as reader:
        VideoWriter(target, reader, **options)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"encoder": "libmagic"}, UsageError, "unknown encoder 'libmagic'.*libx264.*ffv1"),
        ({"crf": 99}, UsageError, "crf of libx264 is from 0 to 51"),
        ({"crf": 20, "bitrate": 1_000_000}, UsageError, "both"),
        ({"preset": "warp"}, UsageError, "presets of libx264: ultrafast"),
        ({"encoder": "ffv1", "crf": 3}, UsageError, "lossless"),
    ],
)
def test_options_that_are_not_accepted_are_named(
    tmp_path: Path, options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        write_nothing(make_clip(tmp_path / "a.mkv"), tmp_path / "b.mkv", **options)
    assert contents(tmp_path) == ["a.mkv"]


def test_an_encoder_that_cannot_take_the_format_names_those_that_can(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mkv", pix_fmt="yuv422p10le", encoder="ffv1")
    with pytest.raises(OutputError, match=r"libsvtav1 does not take yuv422p10le; these would do: .*libx264"):
        write_nothing(source, tmp_path / "b.mkv", encoder="libsvtav1")


def test_odd_sizes_into_h264_are_refused_before_work_begins(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mkv", size=(61, 47), encoder="ffv1")
    with pytest.raises(OutputError, match=r"libx264 does not take odd sizes \(61 x 47\)"):
        write_nothing(source, tmp_path / "b.mkv", encoder="libx264")


def test_a_suffix_that_is_no_video_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"video is written as \.mp4"):
        write_nothing(make_clip(tmp_path / "a.mp4"), tmp_path / "b.png")


def test_bitrate_is_met(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mkv", encoder="ffv1", size=(320, 240), pts=[512 * i for i in range(50)])
    for bitrate in (50_000, 400_000):
        pass_through(source, tmp_path / f"{bitrate}.mkv", bitrate=bitrate)
    small, large = ((tmp_path / f"{b}.mkv").stat().st_size for b in (50_000, 400_000))
    assert large > 2 * small


def test_the_output_is_never_the_input(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4")
    before = source.read_bytes()
    (tmp_path / "link.mp4").symlink_to(source)
    (tmp_path / "hard.mp4").hardlink_to(source)
    for name in ("a.mp4", "link.mp4", "hard.mp4", "../" + tmp_path.name + "/a.mp4"):
        with pytest.raises(OutputExistsError, match="is the input"):
            write_nothing(source, tmp_path / name, overwrite=True)
    assert source.read_bytes() == before


def test_an_existing_output_is_kept_unless_asked_otherwise(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4")
    target = tmp_path / "b.mp4"
    target.write_text("precious")
    with pytest.raises(OutputExistsError, match=r"b\.mp4: exists already"):
        write_nothing(source, target)
    assert target.read_text() == "precious"
    pass_through(source, target, overwrite=True)
    assert len(frame_times(target)) == 10


@pytest.mark.parametrize("error", [RuntimeError("engine broke"), KeyboardInterrupt()])
def test_a_job_that_stops_leaves_no_file(tmp_path: Path, error: BaseException) -> None:
    source = make_clip(tmp_path / "a.mp4", audio=True)

    def job() -> None:
        with VideoReader(source) as reader, VideoWriter(tmp_path / "b.mp4", reader) as writer:
            for count, frame in enumerate(reader):
                writer.write(frame)
                if count == 5:
                    raise error

    with pytest.raises(type(error)):
        job()
    assert contents(tmp_path) == ["a.mp4"]


def test_a_job_without_frames_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4")
    with (
        pytest.raises(OutputError, match="not one frame"),
        VideoReader(source) as reader,
        VideoWriter(tmp_path / "b.mp4", reader),
    ):
        pass
    assert contents(tmp_path) == ["a.mp4"]


def test_while_the_job_runs_only_a_hidden_file_exists(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4")
    with VideoReader(source) as reader, VideoWriter(tmp_path / "b.mp4", reader) as writer:
        for frame in reader:
            writer.write(frame)
        hidden = [n for n in contents(tmp_path) if n != "a.mp4"]
        assert len(hidden) == 1
        assert hidden[0].startswith(".b.")
        assert hidden[0].endswith(".mp4")
    assert contents(tmp_path) == ["a.mp4", "b.mp4"]


def test_a_folder_that_is_a_file_is_an_output_error(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4")
    with pytest.raises(OutputError, match=r"b\.mp4"):
        write_nothing(source, source / "b.mp4")
    with pytest.raises(OutputError, match="there is no folder"):
        write_nothing(source, tmp_path / "gone" / "b.mp4")


def test_a_full_disk_is_an_output_error_and_leaves_no_file(tmp_path: Path) -> None:
    """The size limit of a process is met for real; the error differs from that of a full disk in its number only."""
    resource = pytest.importorskip("resource")
    source = make_clip(tmp_path / "a.mkv", encoder="ffv1", size=(320, 240), pts=[512 * i for i in range(40)])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, before[1]))
    try:
        with pytest.raises(OutputError, match=r"b\.mkv: cannot be written"):
            pass_through(source, tmp_path / "b.mkv", encoder="ffv1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert contents(tmp_path) == ["a.mkv"]


def test_no_space_left_is_said_in_plain_words(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4")

    class FullDisk:
        def mux(self, _: object) -> None:
            raise av.error.OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            pass

    def job() -> None:
        with VideoReader(source) as reader, VideoWriter(tmp_path / "b.mp4", reader) as writer:
            real, writer._output = writer._output, FullDisk()  # type: ignore[assignment]
            for frame in reader:
                writer.write(frame)
            del real
            writer.close()

    with pytest.raises(OutputError, match=r"b\.mp4: cannot be written: the disk is full"):
        job()
    assert contents(tmp_path) == ["a.mp4"]


def test_a_truncated_input_keeps_its_sound_and_frames(tmp_path: Path) -> None:
    source = make_clip(
        tmp_path / "a.mp4", audio=True, pts=[512 * i for i in range(60)], container_options={"movflags": "+faststart"}
    )
    data = source.read_bytes()
    source.write_bytes(data[: len(data) * 2 // 3])
    pass_through(source, tmp_path / "b.mp4")
    assert 10 < len(frame_times(tmp_path / "b.mp4")) < 60


def test_frames_without_a_clock_get_one(tmp_path: Path) -> None:
    with VideoReader(make_clip(tmp_path / "a.mkv")) as reader, VideoWriter(tmp_path / "b.mkv", reader) as writer:
        for frame in reader:
            writer.write(replace(frame, pts=None, time_base=None))
    assert frame_times(tmp_path / "b.mkv") == [Fraction(40 * i, 1000) for i in range(10)]


def test_real_phone_clip_keeps_everything(data_folder: Path, tmp_path: Path) -> None:
    source = data_folder / "clips" / "carphone_pristine.mp4"
    pass_through(source, tmp_path / "b.mp4", preset="ultrafast")
    assert frame_times(tmp_path / "b.mp4") == frame_times(source)


def test_frame_type_is_what_new_frame_gives(tmp_path: Path) -> None:
    with VideoReader(make_clip(tmp_path / "a.mp4")) as reader, VideoWriter(tmp_path / "b.mp4", reader) as writer:
        for frame in reader:
            out = writer.new_frame(frame)
            assert isinstance(out, Frame)
            assert out.luma.flags.writeable
            assert (out.pts, out.time_base, out.colour, out.rotation) == (
                frame.pts, frame.time_base, frame.colour, frame.rotation,
            )  # fmt: skip
            writer.write(out)


def test_cover_art_is_not_taken_for_the_picture(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "plain.mp4")
    with av.open(str(clip)) as source, av.open(str(tmp_path / "a.mp4"), "w") as output:
        cover = output.add_mux_stream("png", width=32, height=32)
        cover.disposition = av.stream.Disposition.attached_pic
        video = output.add_stream_from_template(source.streams.video[0], opaque=True)
        import io

        import PIL.Image

        buffer = io.BytesIO()
        PIL.Image.new("RGB", (32, 32), "red").save(buffer, "PNG")
        packet = av.Packet(buffer.getvalue())
        packet.pts = packet.dts = 0
        packet.time_base, packet.stream = Fraction(1, 1000), cover
        output.mux(packet)
        for piece in source.demux(video=0):
            if piece.size:
                piece.stream = video
                output.mux(piece)
    pass_through(tmp_path / "a.mp4", tmp_path / "b.mp4")
    with VideoReader(tmp_path / "b.mp4") as reader:
        assert (reader.info.width, reader.info.height) == (64, 48)
        assert len(list(reader)) == 10
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert any(s.disposition & av.stream.Disposition.attached_pic for s in container.streams.video)


def test_an_animated_gif_becomes_a_video(tmp_path: Path) -> None:
    import PIL.Image

    pictures = [PIL.Image.new("RGB", (32, 32), colour) for colour in ("red", "lime", "blue")]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=100)
    pass_through(tmp_path / "a.gif", tmp_path / "b.mp4")
    with VideoReader(tmp_path / "b.mp4") as reader:
        lumas = [int(np.median(f.luma)) for f in reader]
    assert lumas == pytest.approx([81, 145, 41], abs=3)


@pytest.mark.skipif(sys.platform != "linux", reason="has the C library fill memory with a value")
def test_h264_does_not_depend_on_what_was_in_memory(tmp_path: Path) -> None:
    """x264 from FFmpeg 8 reads memory that nobody wrote on processors with AVX-512, of pictures of most widths."""
    code = (
        "import sys\n"
        "from acutance.io import VideoReader, VideoWriter\n"
        "with VideoReader('in.mkv') as reader, VideoWriter('out.mp4', reader, encoder='libx264') as writer:\n"
        "    for frame in reader:\n"
        "        writer.write(frame)\n"
    )
    soft = resize(np.random.default_rng(0).integers(16, 236, (22, 34)).astype(np.uint8), 272, 176)
    with av.open(str(tmp_path / "in.mkv"), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 176, 144, "yuv420p"
        for index in range(40):
            x, y = index * 5 % 96, index * 3 % 32
            planes = np.full((216, 176), 128, np.uint8)
            planes[:144] = soft[y : y + 144, x : x + 176]
            output.mux(stream.encode(av.VideoFrame.from_ndarray(planes, "yuv420p")))
        output.mux(stream.encode(None))
    contents = set()
    for value in ("1", "85", "170"):
        environment = {**os.environ, "MALLOC_PERTURB_": value}
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
        contents.add((tmp_path / "out.mp4").read_bytes())
        (tmp_path / "out.mp4").unlink()
    assert len(contents) == 1
