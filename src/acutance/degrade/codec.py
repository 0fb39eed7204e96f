"""Encode and decode clips in memory with real video codecs, as a call does.

Settings follow real-time senders: no look-ahead, no B-frames, one key frame at the start, constant bit rate. Everything
runs on one thread with fixed effort, so that the same frames give the same bytes in every run.
"""

from collections.abc import Collection, Iterable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast, get_args

import numpy as np

from acutance.degrade.yuv import Yuv420, check_yuv420
from acutance.errors import EngineError, UsageError

if TYPE_CHECKING:
    import av

__all__ = ["Codec", "EncodeResult", "encode_decode", "smallest_side"]

Codec = Literal["h264", "vp8", "vp9", "av1"]
"""Codecs of calls."""

_ENCODERS = {"h264": "libx264", "vp8": "libvpx", "vp9": "libvpx-vp9", "av1": "libsvtav1"}
_DECODERS = {"h264": "h264", "vp8": "vp8", "vp9": "vp9", "av1": "libdav1d"}
_SMALLEST = {"h264": 16, "vp8": 16, "vp9": 16, "av1": 64}


class EncodeResult(NamedTuple):
    """The result of :func:`encode_decode`.

    Attributes:
        frames: for each frame that went in, the picture that a viewer sees at its time.
        size_bytes: size of the whole stream.
        shown: for each frame that went in, the index of the frame that is shown. It is smaller if a packet was lost.
    """

    frames: list[Yuv420]
    size_bytes: int
    shown: list[int]


def smallest_side(codec: Codec) -> int:
    """Return the shortest side, in pixels, that :func:`encode_decode` accepts with a codec."""
    return _SMALLEST[codec]


def _encoder_options(codec: Codec, rate: int) -> dict[str, str]:
    if codec == "h264":
        return {"preset": "veryfast", "tune": "zerolatency", "maxrate": str(rate), "bufsize": str(rate)}
    if codec == "vp8":
        # A negative value fixes the effort. With +6 libvpx adapts to its own speed, and the bytes would depend on the
        # load of the machine. WebRTC passes negative values too.
        return {"deadline": "realtime", "cpu-used": "-6", "lag-in-frames": "0"}
    if codec == "vp9":
        return {"deadline": "realtime", "cpu-used": "7", "lag-in-frames": "0"}
    # rc=2 is constant bit rate. SVT-AV1 refuses variable rate, its default, with low delay (pred-struct=1).
    # lp=1: one thread.
    return {"preset": "10", "svtav1-params": "pred-struct=1:rc=2:lp=1"}


def encode_decode(
    frames: Iterable[Yuv420],
    *,
    codec: Codec,
    bitrate_kbps: float,
    frame_rate: float | Fraction = 30,
    keyframe_interval: int = 300,
    options: Mapping[str, str] | None = None,
    lost: Collection[int] = (),
    switch: tuple[int, float] | None = None,
) -> EncodeResult:
    """Encode a clip at a bit rate and decode it, in memory.

    Args:
        frames: planar YUV 4:2:0 of one size, with even sides of at least :func:`smallest_side`.
        codec: the codec.
        bitrate_kbps: target in 1000 bit/s, 1 to 1,000,000. A short clip exceeds it because of its key frame.
        frame_rate: frames a second, 1 to 1000.
        keyframe_interval: frames between key frames.
        options: options of FFmpeg's encoder that replace or extend the defaults, such as ``{"preset": "medium"}``.
        lost: indexes of frames whose packets do not reach the decoder. The picture before them stays, and later frames
            are decoded from the references that arrived. The first frame cannot be lost.
        switch: (index of a frame, kbit/s): the bit rate changes at that frame, as when a network changes. The H.264
            encoder continues; the others restart with a key frame, as they do when the size changes.

    Returns:
        As many frames as went in.

    Raises:
        UsageError: an argument is out of range, or the frames differ in size.
        EngineError: FFmpeg lacks the codec, the encoder refuses the settings, or frames are missing.
    """
    if codec not in _ENCODERS:
        raise UsageError(f"codec must be one of {', '.join(get_args(Codec))}, not {codec!r}")
    if not 1 <= bitrate_kbps <= 1_000_000:
        raise UsageError(f"bit rate must be from 1 to 1000000 kbit/s, not {bitrate_kbps!r}")
    if not 1 <= frame_rate <= 1000:
        raise UsageError(f"frame rate must be from 1 to 1000, not {frame_rate!r}")
    if keyframe_interval < 1:
        raise UsageError(f"key frame interval must be at least 1, not {keyframe_interval!r}")
    if switch is not None and not (switch[0] > 0 and 1 <= switch[1] <= 1_000_000):
        raise UsageError(f"switch must be (frame index from 1, kbit/s from 1 to 1000000), not {switch!r}")
    if 0 in lost:
        raise UsageError("the first frame cannot be lost: there would be nothing to show")

    from acutance._util.av import av

    rate = Fraction(frame_rate).limit_denominator(1001)
    encoder: av.VideoCodecContext | None = None
    decoder: av.VideoCodecContext | None = None
    decoded: dict[int, Yuv420] = {}
    size = count = 0

    def take(frames: Iterable["av.VideoFrame"]) -> None:
        for frame in frames:
            if frame.pts is not None and frame.pts not in lost:  # a decoder may conceal a gap with a picture of its own
                decoded.setdefault(frame.pts, _from_av(frame))

    shape = (0, 0)

    def drain() -> None:
        nonlocal size
        if encoder is None or decoder is None:
            return
        # Encoder and decoder may both delay frames, so both are flushed.
        for packet in encoder.encode(None):
            size += packet.size
            if packet.pts not in lost:
                take(_decode(decoder, packet, forgiving=bool(lost)))
        take(_decode(decoder, None, forgiving=bool(lost)))

    try:
        for frame in frames:
            check_yuv420(frame)
            if encoder is not None and switch is not None and count == switch[0]:
                bitrate_kbps = switch[1]
                if codec == "h264":
                    encoder.bit_rate = round(bitrate_kbps * 1000)
                else:
                    drain()
                    encoder = decoder = None
            if encoder is None or decoder is None:
                if not count:
                    shape = (frame.luma.shape[0], frame.luma.shape[1])
                if min(shape) < _SMALLEST[codec]:
                    raise UsageError(
                        f"{codec} needs sides of at least {_SMALLEST[codec]} pixels, not {shape[1]}x{shape[0]}"
                    )
                target = round(bitrate_kbps * 1000)
                encoder = _open_encoder(codec, shape, target, rate, keyframe_interval, options)
                decoder = cast("av.VideoCodecContext", av.CodecContext.create(_DECODERS[codec], "r"))
                decoder.thread_count = 1
            if frame.luma.shape != shape:
                raise UsageError(f"frame {count} is {frame.luma.shape}, the first one was {shape}")
            for packet in encoder.encode(_to_av(frame, count, 1 / rate)):
                size += packet.size
                if packet.pts not in lost:
                    take(_decode(decoder, packet, forgiving=bool(lost)))
            count += 1
        if encoder is None or decoder is None:
            raise UsageError("no frames to encode")
        drain()
    except (av.FFmpegError, av.codec.codec.UnknownCodecError) as error:
        raise EngineError(f"{codec} at {bitrate_kbps:g} kbit/s and {shape[1]}x{shape[0]} failed: {error}") from error
    missing = [k for k in range(count) if k not in decoded and k not in lost]
    if missing and not lost:
        raise EngineError(f"{codec} returned {len(decoded)} frames for {count}")
    if 0 not in decoded:
        raise EngineError(f"{codec} did not return the first frame")
    shown: list[int] = []
    for number in range(count):
        shown.append(number if number in decoded else shown[-1])
    return EncodeResult([decoded[number] for number in shown], size, shown)


def _decode(
    decoder: "av.VideoCodecContext", packet: "av.Packet[Any] | None", *, forgiving: bool
) -> "list[av.VideoFrame]":
    """Decode a packet; None flushes the decoder.

    If ``forgiving``, a packet that cannot be decoded gives no frame. AV1 packets with lost references are such packets.
    """
    from acutance._util.av import av

    try:
        return decoder.decode(packet)
    except av.error.InvalidDataError:
        if not forgiving:
            raise
        return []


def _open_encoder(
    codec: Codec,
    shape: tuple[int, int],
    bit_rate: int,
    frame_rate: Fraction,
    keyframe_interval: int,
    options: Mapping[str, str] | None,
) -> "av.VideoCodecContext":
    from acutance._util.av import av

    encoder = cast("av.VideoCodecContext", av.CodecContext.create(_ENCODERS[codec], "w"))
    encoder.height, encoder.width = shape
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = 1 / frame_rate
    encoder.framerate = frame_rate
    encoder.bit_rate = bit_rate
    encoder.gop_size = keyframe_interval
    encoder.thread_count = 1
    encoder.options = {**_encoder_options(codec, bit_rate), **(options or {})}
    encoder.open()
    return encoder


def _to_av(picture: Yuv420, index: int, time_base: Fraction) -> "av.VideoFrame":
    from acutance._util.av import av

    height, width = picture.luma.shape
    packed = np.concatenate([plane.ravel() for plane in picture]).reshape(height * 3 // 2, width)
    frame = av.VideoFrame.from_ndarray(packed, format="yuv420p")
    frame.pts = index
    frame.time_base = time_base
    return frame


def _from_av(frame: "av.VideoFrame") -> Yuv420:
    from acutance._util.av import plane_view

    # A view would keep the decoder's pool of frames alive, so the planes are copied.
    luma, cb, cr = (plane_view(frame, i, bit_depth=8).astype(np.uint8, copy=True) for i in range(3))
    return Yuv420(luma, cb, cr)
