"""Sound that a container cannot hold as it is: decoded, and encoded again with a codec that it can."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from acutance._util.av import av, time_unit

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet

__all__ = ["SoundConverter", "SoundTarget", "sound_target"]

_TOLERANCE = Fraction(1, 20)  # seconds that sound may be off before silence is put in or sound is left out
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_LOSSLESS = ("pcm_", "flac", "alac", "tta", "wavpack", "truehd", "mlp", "wmalossless", "als", "ape", "shorten")


@dataclass(frozen=True, slots=True)
class SoundTarget:
    """The codec that sound is converted to.

    Attributes:
        encoder: FFmpeg's name of the encoder.
        title: What messages call the codec.
        rate: Samples per second, or None for that of the input.
        bit_rate: Bits per second for each channel; 0 for a codec without loss.
    """

    encoder: str
    title: str
    rate: int | None = None
    bit_rate: int = 0


_AAC = SoundTarget("aac", "AAC", bit_rate=96_000)
_OPUS = SoundTarget("libopus", "Opus", 48_000, 80_000)
_FLAC = SoundTarget("flac", "FLAC")
_BLURAY = SoundTarget("pcm_bluray", "Blu-ray PCM", 48_000)


def sound_target(container: str, codec: str | None, *, m2ts: bool = False) -> SoundTarget:
    """Return what sound of a codec becomes in a container.

    Args:
        container: FFmpeg's name of the output format.
        codec: FFmpeg's name of the input's codec.
        m2ts: The file is a Blu-ray or AVCHD transport stream.
    """
    lossless = codec is not None and codec.startswith(_LOSSLESS)
    if container in ("webm", "matroska", "nut"):
        return _FLAC if lossless and container == "matroska" else _OPUS
    return _BLURAY if m2ts and lossless else _AAC


class SoundConverter:
    """Turns packets of one sound stream into packets of another codec, in step with the clock of the input.

    Gaps of the input become silence, so that sound stays beside the picture.

    Args:
        output: The file; its header is not written yet.
        stream: The sound stream of the input.
        target: The codec to use.

    Raises:
        ValueError, av.error.FFmpegError: The encoder or its options do not fit.
    """

    def __init__(self, output: "OutputContainer", stream: "AudioStream", target: SoundTarget) -> None:
        context = stream.codec_context
        channels = max(1, len(context.layout.channels) or context.channels)
        self._layout = _LAYOUTS.get(channels, "stereo")
        self._rate = target.rate or _encoder_rate(target, context.sample_rate)
        self.stream = cast("AudioStream", output.add_stream(target.encoder, rate=self._rate, layout=self._layout))
        if target.bit_rate:
            self.stream.bit_rate = target.bit_rate * len(self.stream.layout.channels)
        self._deep = (
            target.encoder in ("flac", "pcm_bluray") and context.format is not None and context.format.bits > 16
        )
        if self._deep:
            self.stream.format = "s32"
        elif target.encoder in ("flac", "pcm_bluray"):
            self.stream.format = "s16"
        self._next = 0  # the place of the next sample that comes in
        self._encoded = 0  # samples given to the encoder
        self._resampler: Any = None
        self._kind: tuple[object, ...] | None = None
        self.damaged = 0

    def convert(self, packet: "Packet[Any]", shift: Fraction, /) -> Iterator["Packet[Any]"]:
        """Yield the packets that become of one of the input.

        Args:
            packet: A packet of the input's sound stream.
            shift: Seconds to add to its times.
        """
        try:
            blocks = packet.decode()
        except (av.error.FFmpegError, ValueError):
            self.damaged += 1
            return
        for block in blocks:
            yield from self._take(block, shift)

    def _take(self, block: Any, shift: Fraction) -> Iterator["Packet[Any]"]:
        if not block.samples:
            return
        kind = block.format.name, block.layout.name, block.sample_rate
        if kind != self._kind:
            yield from self._flush()
            self._kind = kind
            self._resampler = av.AudioResampler(
                self.stream.codec_context.format.name,
                self._layout,
                self._rate,
                frame_size=self.stream.codec_context.frame_size or 1024,
            )
        if block.pts is not None and block.time_base:
            place = (block.pts * time_unit(block) + shift) * block.sample_rate
            off = place - self._next * Fraction(block.sample_rate, self._rate)
            if off > _TOLERANCE * block.sample_rate:
                yield from self._silence(block, int(off))
            elif off < -_TOLERANCE * block.sample_rate:
                return
        yield from self._encode(block)

    def _silence(self, like: Any, samples: int) -> Iterator["Packet[Any]"]:
        while samples > 0:
            part = min(samples, like.sample_rate)
            samples -= part
            block = av.AudioFrame(format=like.format.name, layout=like.layout.name, samples=part)
            for plane in block.planes:
                samples_of: Any = np.frombuffer(memoryview(plane), np.uint8)
                samples_of[:] = 128 if like.format.name.startswith("u8") else 0
            block.sample_rate = like.sample_rate
            yield from self._encode(block)

    def _encode(self, block: Any) -> Iterator["Packet[Any]"]:
        block.pts = None
        self._next += round(block.samples * Fraction(self._rate, block.sample_rate))
        for part in self._resampler.resample(block):
            yield from self._packets(part)

    def _packets(self, part: Any) -> Iterator["Packet[Any]"]:
        part.pts, part.time_base = self._encoded, Fraction(1, self._rate)
        self._encoded += part.samples
        yield from self.stream.encode(part)

    def _flush(self) -> Iterator["Packet[Any]"]:
        if self._resampler is not None:
            for part in self._resampler.resample(None):
                yield from self._packets(part)

    def finish(self) -> Iterator["Packet[Any]"]:
        """Yield what the encoder still holds."""
        yield from self._flush()
        self._resampler = None
        if self._encoded:
            yield from self.stream.encode(None)


def _encoder_rate(target: SoundTarget, rate: int) -> int:
    if target.encoder != "aac":
        return rate
    return next((known for known in _AAC_RATES if known >= rate), _AAC_RATES[-1])
