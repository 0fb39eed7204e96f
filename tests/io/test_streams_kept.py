"""Sound and subtitles beside the picture: kept, converted where the container cannot hold them, or named."""

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from acutance._util.av import av
from acutance.errors import UsageError
from acutance.io import VideoReader, VideoWriter
from io_clips import make_clip, packets, picture

RATE = 48_000


def clip_with_sound(
    path: Path, encoder: str, *, picture_encoder: str = "libx264", layout: str = "stereo", seconds: float = 1.0
) -> Path:
    """Write ten frames per second with a tone that grows louder, so that a shift in time is seen."""
    with av.open(str(path), "w") as output:
        video = output.add_stream(picture_encoder, rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound: Any = output.add_stream(encoder, rate=RATE, layout=layout, options={"strict": "experimental"})
        sound.bit_rate = 128_000
        time = np.arange(round(RATE * seconds))
        tone = (np.sin(time / 20) * 0.5 * time / len(time)).astype(np.float32)
        block = av.AudioFrame.from_ndarray(np.tile(tone, (2, 1)), format="fltp", layout="stereo")
        block.sample_rate, block.pts, block.time_base = RATE, 0, Fraction(1, RATE)
        context = sound.codec_context
        resampler = av.AudioResampler(context.format.name, layout, RATE, frame_size=context.frame_size or 1024)
        for index in range(round(10 * seconds)):
            frame = picture(index, 64, 48, "yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 10)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        for part in [*resampler.resample(block), *resampler.resample(None)]:
            output.mux(sound.encode(part))
        output.mux(sound.encode(None))
    return path


def copy_of(source: Path, target: Path, **options: Any) -> list[str]:
    """Write the frames of a file to another as they are and return the writer's notes."""
    with VideoReader(source) as reader, VideoWriter(target, reader, **options) as writer:
        for frame in reader:
            writer.write(frame)
    return writer.notes


def heard(path: Path) -> NDArray[np.float32]:
    """Return the first channel of a file's sound at 48 kHz, from time zero of its picture on."""
    resampler = av.AudioResampler("fltp", None, RATE)
    with av.open(str(path)) as container:
        start = container.streams.video[0].start_time * container.streams.video[0].time_base
        blocks: list[NDArray[np.float32]] = []
        first: Fraction | None = None
        for block in container.decode(audio=0):
            if first is None:
                first = block.pts * block.time_base - start
            blocks += [part.to_ndarray()[0] for part in resampler.resample(block)]
    samples = np.concatenate(blocks)
    shift = round((first or 0) * RATE)
    return samples[-shift:] if shift < 0 else np.concatenate([np.zeros(shift, np.float32), samples])


def sound_codec(path: Path) -> str:
    with av.open(str(path)) as container:
        return container.streams.audio[0].codec_context.name


@pytest.mark.parametrize(
    ("suffix", "picture_encoder", "encoder"),
    [
        (".wmv", "wmv2", "wmav2"),
        (".wmv", "wmv2", "wmav1"),
        (".avi", "mpeg4", "adpcm_ms"),
        (".avi", "mpeg4", "adpcm_ima_wav"),
        (".avi", "mpeg4", "adpcm_yamaha"),
        (".avi", "mpeg4", "pcm_alaw"),
        (".mov", "libx264", "pcm_mulaw"),
    ],
)
def test_matroska_keeps_every_packet_of_sound_that_windows_knows(
    tmp_path: Path, suffix: str, picture_encoder: str, encoder: str
) -> None:
    source = clip_with_sound(tmp_path / f"a{suffix}", encoder, picture_encoder=picture_encoder)
    notes = copy_of(source, tmp_path / "b.mkv")
    assert not any("audio" in note for note in notes)
    assert sound_codec(tmp_path / "b.mkv") == sound_codec(source)
    kept = b"".join(data for _, data in packets(tmp_path / "b.mkv", "audio"))
    assert kept == b"".join(data for _, data in packets(source, "audio"))
    np.testing.assert_array_equal(heard(tmp_path / "b.mkv")[-20000:-2000], heard(source)[-20000:-2000])


def test_two_such_tracks_of_different_codecs_are_both_kept(tmp_path: Path) -> None:
    one = clip_with_sound(tmp_path / "one.wmv", "wmav2", picture_encoder="wmv2")
    two = clip_with_sound(tmp_path / "two.avi", "adpcm_ms", picture_encoder="mpeg4")
    copy_of(one, tmp_path / "one.mkv")
    copy_of(two, tmp_path / "two.mkv")
    with av.open(str(tmp_path / "one.mkv")) as a, av.open(str(tmp_path / "two.mkv")) as b:
        assert [s.codec_context.name for s in (*a.streams.audio, *b.streams.audio)] == ["wmav2", "adpcm_ms"]
        assert all(s.codec_context.sample_rate == RATE for s in (*a.streams.audio, *b.streams.audio))


@pytest.mark.parametrize(
    ("encoder", "source", "target", "becomes"),
    [
        ("aac", "a.mp4", "b.webm", "opus"),
        ("libopus", "a.mkv", "b.mov", "aac"),
        ("flac", "a.mkv", "b.mov", "aac"),
        ("pcm_alaw", "a.mov", "b.mp4", "aac"),
        ("flac", "a.mkv", "b.ts", "aac"),
        ("pcm_s16le", "a.mkv", "b.ts", "aac"),
        ("pcm_s16le", "a.mkv", "b.mts", "pcm_bluray"),
        ("pcm_s16le", "a.mkv", "b.m2ts", "pcm_bluray"),
        ("vorbis", "a.mkv", "b.ts", "aac"),
        ("adpcm_ima_qt", "a.mov", "b.mkv", "opus"),
    ],
)
def test_sound_that_does_not_fit_is_converted_and_stays_in_step(
    tmp_path: Path, encoder: str, source: str, target: str, becomes: str
) -> None:
    clip_with_sound(tmp_path / source, encoder)
    notes = copy_of(tmp_path / source, tmp_path / target)
    assert sum("is converted to" in note for note in notes) == 1
    assert sound_codec(tmp_path / target).removeprefix("lib") == becomes
    before, after = heard(tmp_path / source), heard(tmp_path / target)
    size = min(len(before), len(after))
    assert size >= 0.98 * RATE
    inner = slice(RATE // 4, size - RATE // 10)
    assert np.corrcoef(before[inner], after[inner])[0, 1] > 0.99
    assert np.corrcoef(np.abs(before[inner]), np.abs(after[inner]))[0, 1] > 0.99


def test_sound_that_fits_is_copied_bit_for_bit(tmp_path: Path) -> None:
    source = clip_with_sound(tmp_path / "a.mp4", "aac")
    assert copy_of(source, tmp_path / "b.mkv") == []
    assert [d for _, d in packets(tmp_path / "b.mkv", "audio")] == [d for _, d in packets(source, "audio")]


def test_sound_can_be_left_out_or_converted_on_request(tmp_path: Path) -> None:
    source = clip_with_sound(tmp_path / "a.mkv", "flac")
    assert copy_of(source, tmp_path / "none.mkv", audio="none") == []
    with av.open(str(tmp_path / "none.mkv")) as container:
        assert not container.streams.audio
    copy_of(source, tmp_path / "b.mp4", audio="convert")
    assert sound_codec(tmp_path / "b.mp4") == "aac"
    with VideoReader(source) as reader, pytest.raises(UsageError, match="copy, convert, none"):
        VideoWriter(tmp_path / "c.mp4", reader, audio="loud")  # type: ignore[arg-type]


def test_a_gap_in_converted_sound_is_filled_with_silence(tmp_path: Path) -> None:
    source = clip_with_sound(tmp_path / "whole.mkv", "flac", seconds=2)
    with av.open(str(source)) as container, av.open(str(tmp_path / "gap.mkv"), "w") as output:
        targets = {s.index: output.add_stream_from_template(s, opaque=True) for s in container.streams}
        for packet in container.demux():
            time = packet.pts * packet.time_base if packet.pts is not None else None
            if time is None or (packet.stream.type == "audio" and Fraction(1, 2) <= time < 1):
                continue
            packet.stream = targets[packet.stream.index]
            output.mux(packet)
    copy_of(tmp_path / "gap.mkv", tmp_path / "b.mp4", audio="convert")
    after, before = heard(tmp_path / "b.mp4"), heard(source)
    assert np.abs(after[int(0.6 * RATE) : int(0.9 * RATE)]).max() < 0.01
    late = slice(int(1.2 * RATE), int(1.8 * RATE))
    assert np.corrcoef(before[late], after[late])[0, 1] > 0.99


def texts(path: Path) -> list[tuple[float, float, str]]:
    """Return (start, end, text) of the subtitles of a file, without styles."""
    found: list[tuple[float, float, str]] = []
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        for packet in container.demux(stream):
            data = bytes(packet)
            if packet.pts is None or len(data) <= 2:
                continue
            text = data[2 : 2 + struct.unpack(">H", data[:2])[0]] if stream.codec_context.name == "mov_text" else data
            start, length = (float(v * packet.time_base) for v in (packet.pts, packet.duration))
            found.append((round(start, 2), round(start + length, 2), text.decode().split(",")[-1]))
    return found


@pytest.mark.parametrize(
    ("codec", "source", "target", "becomes"),
    [
        ("mov_text", "a.mp4", "b.mkv", "srt"),
        ("subrip", "a.mkv", "b.mp4", "mov_text"),
        ("subrip", "a.mkv", "b.mov", "mov_text"),
        ("subrip", "a.mkv", "b.webm", "webvtt"),
        ("webvtt", "a.mkv", "b.mp4", "mov_text"),
        ("mov_text", "a.mp4", "b.webm", "webvtt"),
    ],
)
def test_text_subtitles_become_what_the_container_holds(
    tmp_path: Path, codec: str, source: str, target: str, becomes: str
) -> None:
    make_clip(tmp_path / source, subtitle=codec, pts=[512 * i for i in range(12)])
    notes = copy_of(tmp_path / source, tmp_path / target)
    assert sum("subtitle stream 1" in note and "is converted to" in note for note in notes) == 1
    with av.open(str(tmp_path / target)) as container:
        stream = container.streams.subtitles[0]
        assert stream.codec_context.name.replace("subrip", "srt") == becomes
        assert stream.language == "fra"
    assert texts(tmp_path / target) == [(0.0, 0.15, "hello"), (0.2, 0.35, "hello")]


def test_what_an_mpeg_transport_stream_cannot_name_is_named_in_a_note(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mkv", subtitle="subrip", audio=True)
    notes = copy_of(tmp_path / "a.mkv", tmp_path / "b.ts")
    assert [note for note in notes if "left out" in note] == [
        "subtitle stream 2 (srt) is left out: MPEG-TS cannot identify it"
    ]
    with av.open(str(tmp_path / "b.ts")) as container:
        assert [s.type for s in container.streams] == ["video", "audio"]


@pytest.mark.parametrize(("suffix", "size"), [(".ts", 188), (".mts", 192), (".m2ts", 192)])
def test_camcorder_names_mean_packets_of_192_bytes(tmp_path: Path, suffix: str, size: int) -> None:
    copy_of(make_clip(tmp_path / "a.mkv"), tmp_path / f"b{suffix}")
    data = (tmp_path / f"b{suffix}").read_bytes()
    assert len(data) % size == 0
    assert {data[i] for i in range(size - 188, len(data), size)} == {0x47}


def _with_captions(source: Path, target: Path) -> Path:
    """Write a bare H.264 stream with closed captions (ATSC A/53 part 4) in front of every picture."""
    triplets = b"".join(bytes((0xFC, 0x94, 0x2C)) for _ in range(2))
    user = b"\xb5\x00\x31GA94\x03" + bytes((0xC0 | 2, 0xFF)) + triplets + b"\xff"
    message = b"\x00\x00\x00\x01\x06\x04" + bytes((len(user),)) + user + b"\x80"
    data = source.read_bytes()
    parts = [b"\x00\x00\x01" + part for part in data.split(b"\x00\x00\x01")[1:]]
    out = b"".join((message if part[3] & 31 in (1, 5) else b"") + part for part in parts)
    target.write_bytes(out)
    return target


@pytest.mark.parametrize(("encoder", "kept"), [("libx264", True), ("libx265", False), ("ffv1", False)])
def test_closed_captions_go_into_the_encoder_or_are_named(tmp_path: Path, encoder: str, kept: bool) -> None:
    make_clip(tmp_path / "plain.h264", options={"bf": "0", "slices": "1"})
    source = _with_captions(tmp_path / "plain.h264", tmp_path / "a.h264")
    with VideoReader(source) as reader, VideoWriter(tmp_path / "b.mkv", reader, encoder=encoder) as writer:
        assert reader.captioned
        for frame in reader:
            out = writer.new_frame(frame)
            out.luma[:] = frame.luma
            writer.write(out)
    assert any("closed captions are left out" in note for note in writer.notes) is not kept
    with VideoReader(tmp_path / "b.mkv") as reader:
        assert reader.captioned is kept
    with VideoReader(source) as one, VideoReader(tmp_path / "b.mkv") as two:
        for a, b in zip(one, two, strict=True):
            assert np.abs(a.luma.astype(int) - b.luma).mean() < 8
            assert np.abs(a.chroma[0].astype(int) - b.chroma[0]).mean() < 8
