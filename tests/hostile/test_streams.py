"""Streams that cannot be decoded, and streams that first appear in mid-file, cost neither the picture nor the job."""

from pathlib import Path

import numpy as np
import pytest

from acutance import Sharpener
from acutance._util.av import av
from acutance.cli.main import main
from acutance.errors import UnsupportedMediaError
from acutance.io import VideoReader
from io_clips import make_clip

FRAMES = 24


def noise(path: Path, *, codec: str, sound: bool = False, frames: int = FRAMES) -> bytes:
    """A clip that nothing compresses, so that a few frames are more than a demuxer looks at when it opens a file."""
    rng = np.random.default_rng(1)
    with av.open(str(path), "w") as output:
        options = {"preset": "ultrafast", "qp": "1"} if codec == "libx264" else {}
        stream = output.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        stream.bit_rate = 100_000_000
        tone = output.add_stream("aac" if codec == "libx264" else "mp2", rate=48000) if sound else None
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(rng.integers(16, 235, (720, 640), np.uint8), "yuv420p")
            frame.pts = index
            output.mux(stream.encode(frame))
            if tone is not None:
                block = av.AudioFrame.from_ndarray(np.zeros((2, 1920), np.int16), "s16p", "stereo")
                block.sample_rate, block.pts = 48000, index * 1920
                output.mux(tone.encode(block))
        output.mux(stream.encode(None))
    return path.read_bytes()


@pytest.mark.parametrize(("suffix", "codec"), [(".ts", "libx264"), (".mpg", "mpeg2video")])
def test_a_stream_that_first_appears_in_mid_file_is_left_out_with_a_note(
    tmp_path: Path, student_file: Path, suffix: str, codec: str
) -> None:
    silent = noise(tmp_path / f"silent{suffix}", codec=codec)
    heard = noise(tmp_path / f"heard{suffix}", codec=codec, sound=True, frames=6)
    path = tmp_path / f"late{suffix}"
    path.write_bytes(silent + silent + heard + silent)
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["video"]  # the sound is not seen when it is opened
    with VideoReader(path) as reader:
        assert sum(1 for _ in reader) == 3 * FRAMES + 6
        assert "a stream that first appears in mid-file is left out" in reader.notes
    report = Sharpener(student_file, threads=1).video(path, tmp_path / "out.mkv", preset="ultrafast")
    assert report.frames == 3 * FRAMES + 6
    assert "a stream that first appears in mid-file is left out" in report.notes
    assert main(["evaluate", str(path), "-m", str(student_file), "--progress", "none"]) in (0, 6)


@pytest.mark.parametrize(
    ("suffix", "old", "new"),
    [(".mp4", b"mp4a", b"apac"), (".mp4", b"mp4a", b"ac-4"), (".mp4", b"mp4a", b"mha1"), (".mkv", b"A_AAC", b"A_XYZ")],
)
def test_sound_without_a_decoder_costs_neither_the_picture_nor_the_job(
    tmp_path: Path, student_file: Path, capsys: pytest.CaptureFixture[str], suffix: str, old: bytes, new: bytes
) -> None:
    source = make_clip(tmp_path / f"in{suffix}", audio=True)
    source.write_bytes(source.read_bytes().replace(old, new))
    target = tmp_path / f"out{suffix}"
    words = ["sharpen", str(source), "-o", str(target), "-m", str(student_file), "--progress", "none"]
    assert main(words) == 0
    with VideoReader(target) as reader:
        assert sum(1 for _ in reader) == 10
    with av.open(str(target)) as made:
        kept = bool(made.streams.audio)
    assert kept or "audio stream 1" in capsys.readouterr().err
    assert main(["evaluate", str(source), "-m", str(student_file), "--progress", "none"]) == 0


def test_a_picture_without_a_decoder_is_named(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv")
    source.write_bytes(source.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/XYZ"))
    with pytest.raises(UnsupportedMediaError, match="there is no decoder"):
        VideoReader(source)
