"""Small clips of every awkward kind, made on the spot for the io tests."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from acutance._util.av import av

TIME_BASE = Fraction(1, 12800)
EVEN = [512 * i for i in range(10)]
UNEVEN = [0, 512, 1300, 1400, 2600, 3000, 4800, 5000, 6000, 6100]


def picture(index: int, width: int, height: int, pix_fmt: str) -> av.VideoFrame:
    """A gradient that moves, in any pixel format that is stored as bytes or 16-bit words."""
    frame = av.VideoFrame(width, height, pix_fmt)
    deep = max(c.bits for c in frame.format.components) > 8
    for number, plane in enumerate(frame.planes):
        rows = np.frombuffer(plane, np.uint16 if deep else np.uint8).reshape(plane.height, -1)
        y, x = np.mgrid[0 : rows.shape[0], 0 : rows.shape[1]]
        top = 16 << (max(c.bits for c in frame.format.components) - 8)
        rows[:] = top + (x * 3 + y * 2 + index * 5 + number * 40) % (12 * top)
    return frame


def make_clip(
    path: Path,
    *,
    encoder: str = "libx264",
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = (64, 48),
    pts: list[int] | None = None,
    time_base: Fraction = TIME_BASE,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    rotation: int | None = None,
    colour: dict[str, int] | None = None,
    sar: Fraction | None = None,
    audio: bool = False,
    subtitle: str | None = None,
    attachment: bool = False,
    chapters: bool = False,
    metadata: dict[str, str] | None = None,
    video: bool = True,
) -> Path:
    """Write a clip of ten frames (or as many as ``pts`` has) and return its path."""
    with av.open(str(path), "w", container_options=container_options or {}) as output:
        output.metadata.update(metadata or {})
        seconds = 0.4
        if chapters:
            entries: list[Any] = [
                {"id": i + 1, "start": 200 * i, "end": 200 * i + 200, "time_base": Fraction(1, 1000),
                 "metadata": {"title": title}}
                for i, title in enumerate(("first", "second"))
            ]  # fmt: skip
            output.set_chapters(entries)
        if video:
            stream = output.add_stream(encoder, rate=25, options={"g": "5", **(options or {})}, time_base=time_base)
            stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
            for key, value in (colour or {}).items():
                setattr(stream.codec_context, key, value)
            if sar is not None:
                stream.codec_context.sample_aspect_ratio = sar
            if rotation is not None:
                stream.set_display_rotation(rotation)
        if audio:
            sound = output.add_stream("aac" if path.suffix != ".webm" else "libopus", rate=48000)
            sound.metadata["language"] = "nld"
        if subtitle:
            words = output.add_mux_stream(subtitle)
            words.time_base = Fraction(1, 1000)
            words.metadata["language"] = "fra"
        if attachment:
            output.add_attachment("font.ttf", "font/ttf", b"\0\1\2\3" * 9)
        if audio:
            samples = round(48000 * seconds)
            for start in range(0, samples, 960):
                tone = (np.sin(np.arange(start, start + 960) / 20) * 0.2).astype(np.float32)
                layout = av.AudioFrame.from_ndarray(np.stack([tone, tone]), format="fltp", layout="stereo")
                layout.sample_rate, layout.pts, layout.time_base = 48000, start, Fraction(1, 48000)
                output.mux(sound.encode(layout))
            output.mux(sound.encode(None))
        if video:
            for index, time in enumerate(pts or EVEN):
                frame = picture(index, *size, pix_fmt)
                frame.pts, frame.time_base = time, time_base
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        if subtitle:
            for start in (0, 200):
                text = b"hello" if subtitle != "mov_text" else b"\0\5hello"
                packet = av.Packet(text)
                packet.pts = packet.dts = start
                packet.duration, packet.time_base, packet.stream = 150, Fraction(1, 1000), words
                output.mux(packet)
    return path


def frame_times(path: Path) -> list[Fraction]:
    """Presentation times of the picture stream, in seconds."""
    with av.open(str(path)) as container:
        return [Fraction(f.pts) * f.time_base for f in container.decode(video=0)]


def packets(path: Path, kind: str) -> list[tuple[int | None, bytes]]:
    """Times and contents of the packets of the first stream of a kind."""
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams if s.type == kind)
        return [(p.pts, bytes(p)) for p in container.demux(stream) if p.size]
