"""Writing video files: new luma into the file it came from, everything else of it kept."""

import contextlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import numpy as np

from acutance._util.arguments import shown, whole_number
from acutance._util.av import CHROMA_LOCATIONS, TAGS_AS_BYTES, av, fraction, plane_view
from acutance.errors import AcutanceError, OutputError, UsageError
from acutance.frame import Frame, Plane
from acutance.io._checks import check_dimensions
from acutance.io._copy import StreamCopier
from acutance.io._encoders import Encoder, any_encoder, choose_encoder, container_format, repeatable
from acutance.io._holding import AUDIO_MODES, AudioMode
from acutance.io.files import AtomicOutput, output_error
from acutance.io.video import VideoReader

__all__ = ["VideoWriter"]


_CAPTION_ENCODERS = ("libx264",)


class _Canvas:
    """The encoder's own frame behind the planes that :meth:`VideoWriter.new_frame` hands out."""

    def __init__(self, picture: av.VideoFrame, planes: tuple[Plane, ...]) -> None:
        self.picture = picture
        self.planes = planes


def _fitting_encoder(
    name: str | None, path: Path, container: str, pix_fmt: str, width: int, height: int
) -> tuple[Encoder, tuple[int, int]]:
    """Return an encoder and the size that it codes: the frames', or the next even one if nothing else fits.

    Raises UsageError, OutputError as :func:`choose_encoder`.
    """
    try:
        return choose_encoder(name, path=path, container=container, pix_fmt=pix_fmt, width=width, height=height), (
            width,
            height,
        )
    except OutputError:
        even = (width + width % 2, height + height % 2)
        if even == (width, height) or any_encoder(container, pix_fmt, width, height):
            raise
        return choose_encoder(
            name, path=path, container=container, pix_fmt=pix_fmt, width=even[0], height=even[1]
        ), even


class VideoWriter:
    """Writes frames to a video file that keeps all else of another one. A context manager.

    >>> with VideoReader("in.mp4") as reader, VideoWriter("out.mp4", reader) as writer:
    ...     for frame in reader:
    ...         out = writer.new_frame(frame)      # chroma and times of frame; luma to be written
    ...         out.luma[:] = engine.run(frame.luma)
    ...         writer.write(out)

    path: where to; its suffix names the format (MP4, MOV, Matroska, WebM, MPEG-TS, NUT). template: the reader of the
    input. Kept from it: pixel format, every frame's time, rotation, colour range, matrix, primaries, transfer, chroma
    location, sample aspect ratio, audio, subtitles, other streams, attached files, chapters, tags.
    encoder: libx264, libx265, libvpx-vp9, libsvtav1 or ffv1 (lossless); the first that fits where None, and
    ``encoder`` says which. crf or bitrate (bits per second), preset: the encoder's own; its defaults are good to look
    at (libx264: crf 18, medium). width, height: of the frames written; those of the reader where None.
    threads: of the encoder, on which its output may depend; one per core where None.
    copy_streams: whether to carry over audio, subtitles and the rest. audio: ``copy`` keeps sound as it is where the
    container holds it and converts it elsewhere, ``convert`` always converts it to AAC or Opus, ``none`` leaves it out.
    folder: where the file is until it is whole, on
    the same file system; beside ``path``, hidden, where None.

    ``notes`` lists, one line each, what the output cannot hold. The file appears under its name when the block is left
    without an exception, and not at all otherwise.
    Raises UsageError (unknown encoder or option), OutputExistsError, OutputError (no such folder, full disk, an
    encoder that cannot take the picture).
    """

    def __init__(
        self,
        path: str | Path,
        template: VideoReader,
        *,
        encoder: str | None = None,
        crf: float | None = None,
        bitrate: int | None = None,
        preset: str | None = None,
        width: int | None = None,
        height: int | None = None,
        overwrite: bool = False,
        copy_streams: bool = True,
        audio: AudioMode = "copy",
        folder: Path | None = None,
        threads: int | None = None,
    ) -> None:
        if audio not in AUDIO_MODES:
            raise UsageError(f"audio is one of {', '.join(AUDIO_MODES)}, not {audio!r}")
        if threads is not None:
            threads = whole_number(threads, "threads of an encoder", low=1, high=1 << 10)
        for name, value in (("encoder", encoder), ("preset", preset)):
            if value is not None and not isinstance(value, str):
                raise UsageError(f"{name} must be a name, not {shown(value)}")
        self.path = Path(path)
        self.threads = threads
        self.template = template
        self.width, self.height = width or template.width, height or template.height
        check_dimensions(self.path, self.width, self.height)
        info = template.info
        self._container_name = container_format(self.path)
        self._encoder, self._coded = _fitting_encoder(
            encoder, self.path, self._container_name, info.pix_fmt, self.width, self.height
        )
        self.encoder = self._encoder.name
        self._options = self._encoder.settings(crf=crf, bitrate=bitrate, preset=preset)
        self._bitrate = bitrate
        self._copy_streams = copy_streams
        self._audio = audio
        # Camcorders and Blu-ray discs add four bytes to every packet; players tell by the name.
        self._m2ts = self.path.suffix.lower() in (".mts", ".m2ts")
        self._atomic = AtomicOutput(self.path, overwrite=overwrite, inputs=[template.path], folder=folder)
        self._output: av.container.OutputContainer | None = None
        self._copier: StreamCopier | None = None
        self._own_notes: list[str] = []
        self.frames_written = 0
        self._last_pts = 0
        self._durations: dict[int, int] = {}  # of frames that the encoder still has, by their time

    @property
    def notes(self) -> list[str]:
        """What could not be carried over, one line each."""
        return [*self._own_notes, *(self._copier.notes if self._copier else [])]

    def __enter__(self) -> Self:
        self._atomic.__enter__()
        try:
            self._begin()
        except BaseException as error:
            self._abandon()
            if isinstance(error, (av.error.FFmpegError, OSError, ValueError)) and not isinstance(error, AcutanceError):
                raise output_error(self.path, error) from error
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._abandon()
        else:
            self.close()

    # -- frames -----------------------------------------------------------------------------------------------------

    def new_frame(self, like: Frame) -> Frame:
        """A frame to write to: planes on the encoder's own memory, chroma and everything else as in ``like``.

        Where the writer's size is that of ``like`` its chroma is copied; otherwise both are left to be written. Luma
        holds no particular values. Do not touch the planes once the frame has been given to :meth:`write`.
        """
        picture = self._empty(like)
        depth = self.template.info.bit_depth
        planes = tuple(self._cropped(plane_view(picture, i, bit_depth=depth)) for i in range(len(picture.planes)))
        if like.chroma is not None and len(planes) == 3:
            for target, source in zip(planes[1:], like.chroma, strict=True):
                if target.shape == source.shape:
                    np.copyto(target, source, casting="no")
        chroma = (planes[1], planes[2]) if len(planes) == 3 else None
        return replace(like, luma=planes[0], chroma=chroma, bit_depth=depth, backing=_Canvas(picture, planes))

    def _empty(self, like: Frame) -> av.VideoFrame:
        """Return a picture to write to. It carries the closed captions of the decoded one, if there are some."""
        source, pix_fmt = like.backing, self.template.info.pix_fmt
        if not (self.template.captioned and self.encoder in _CAPTION_ENCODERS and isinstance(source, av.VideoFrame)):
            return av.VideoFrame(*self._coded, pix_fmt)
        # PyAV adds no side data to frames, but a conversion keeps it. With equal formats there would be none.
        picture = source.reformat(*self._coded, pix_fmt, src_color_range=1, dst_color_range=2)
        picture.color_range = source.color_range
        picture.pict_type = 0  # else the encoder would take over where the input has its key frames
        return picture

    def _cropped(self, plane: Plane) -> Plane:
        """Return the part of a plane that frames fill; all of it unless the encoder needs even sides."""
        if self._coded == (self.width, self.height):
            return plane
        across, down = self._coded[0] // plane.shape[1], self._coded[1] // plane.shape[0]
        return plane[: -(-self.height // down), : -(-self.width // across)]

    def _extend(self, picture: av.VideoFrame) -> None:
        """Repeat the last column and row where the coded picture is larger than its frames."""
        if self._coded == (self.width, self.height):
            return
        for index in range(len(picture.planes)):
            plane = plane_view(picture, index, bit_depth=self.template.info.bit_depth)
            height, width = self._cropped(plane).shape
            plane[:height, width:] = plane[:height, width - 1 : width]
            plane[height:] = plane[height - 1 : height]

    def write(self, frame: Frame) -> None:
        """Encode a frame: one from :meth:`new_frame`, without a copy, or any other of the same size and format.

        Raises UsageError where its planes do not fit or its time is not after that of the frame before; OutputError.
        """
        if self._output is None:
            raise OutputError(f"{self.path}: is not open for writing")
        picture, time = self._timed(frame)
        try:
            for packet in self._stream.encode(picture):
                self._keep_duration(packet)
                self._output.mux(packet)
            if self._copier is not None:
                self._copier.copy_until(self._output, time)
        except (av.error.FFmpegError, OSError) as error:
            raise output_error(self.path, error) from error

    def _timed(self, frame: Frame) -> tuple[av.VideoFrame, Fraction]:
        """The encoder's picture of a frame, with its time in the output, and that in seconds of the input."""
        picture = self._picture(frame)
        self._extend(picture)
        origin = self.template.origin
        if frame.pts is None or frame.time_base is None:
            picture.pts = self._last_pts + self._step if self.frames_written else 0
            time = origin + picture.pts * self._time_base
        else:
            time = frame.pts * frame.time_base
            picture.pts = round((time - origin) / self._time_base)
        picture.time_base = self._time_base
        picture.duration = round((frame.duration or 0) * (frame.time_base or 0) / self._time_base) or self._step
        self._durations[picture.pts] = picture.duration
        if self.frames_written and picture.pts <= self._last_pts:
            raise UsageError(f"{self.path}: frame times must increase; {picture.pts} follows {self._last_pts}")
        self._last_pts = picture.pts
        self.frames_written += 1
        return picture, time

    def _picture(self, frame: Frame) -> av.VideoFrame:
        canvas = frame.backing
        given = (frame.luma, *(frame.chroma or ()))
        if isinstance(canvas, _Canvas) and [id(p) for p in given] == [id(p) for p in canvas.planes]:
            return canvas.picture
        copy = self.new_frame(replace(frame, chroma=None))
        own = copy.backing
        if not isinstance(own, _Canvas) or [p.shape for p in given] != [p.shape for p in own.planes]:
            expected = [p.shape for p in own.planes] if isinstance(own, _Canvas) else []
            raise UsageError(f"{self.path}: planes of {[p.shape for p in given]} do not fit {expected}")
        if any(p.dtype != q.dtype for p, q in zip(given, own.planes, strict=True)):
            raise UsageError(f"{self.path}: planes must be {own.planes[0].dtype}, not {frame.luma.dtype}")
        for target, source in zip(own.planes, given, strict=True):
            np.copyto(target, source, casting="no")
        return own.picture

    # -- the file ---------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        info = self.template.info
        container = self._container_name
        options = {}
        if container in ("mp4", "mov"):
            options["movflags"] = "+faststart"
        if container == "mpegts":
            options["mpegts_m2ts_mode"] = str(int(self._m2ts))
        self._own_notes = []
        if self.template.captioned and self.encoder not in _CAPTION_ENCODERS:
            self._own_notes.append(f"closed captions are left out: {self.encoder} does not carry them")
        if self._coded != (self.width, self.height):
            self._own_notes.append(
                f"{self.encoder} needs even sides: the edge of {self.width} x {self.height} is repeated to "
                f"{self._coded[0]} x {self._coded[1]}"
            )
        self._output = output = av.open(
            f"file:{self._atomic.temporary}", "w", format=container, container_options=options,
            **TAGS_AS_BYTES,
        )  # fmt: skip
        if self._copy_streams:
            self._copier = StreamCopier(
                self.template.path,
                self.template.stream_index,
                origin=self.template.origin,
                end=self.template.end,
                cut=self.template.starts_late,
                joins=self.template.joins,
                audio=self._audio,
                m2ts=self._m2ts,
            )
        if self._copier is not None:
            self._copier.add_tags(output)
        self._stream = self._add_picture(output, self._copier)
        if container in ("mp4", "mov") and any(key.startswith("com.") for key in output.metadata):
            # Phones' own tags have no place among MP4's fixed ones; this stores them under their names.
            output.container_options["movflags"] = "+faststart+use_metadata_tags"
        output.start_encoding()
        self._time_base = info.time_base
        rate = info.average_rate or Fraction(25)
        self._step = max(1, round(1 / rate / self._time_base))

    def _add_picture(
        self, output: av.container.OutputContainer, copier: StreamCopier | None
    ) -> "av.video.stream.VideoStream":
        info = self.template.info
        options = {**self._options, **repeatable(self.encoder)}
        location = info.colour.chroma_location
        if location and not info.pix_fmt.startswith("gray"):
            options["chroma_sample_location"] = CHROMA_LOCATIONS[location]
        if copier is not None:
            # Streams keep their order, so the picture is added between those before and behind it.
            copier.add_streams(output, before=True)
        added = output.add_stream(
            self.encoder, rate=info.average_rate or Fraction(25), options=options,
            width=self._coded[0], height=self._coded[1], time_base=info.time_base, bit_rate=self._bitrate or 0,
        )  # fmt: skip
        stream = cast(av.video.stream.VideoStream, added)
        context = stream.codec_context
        context.pix_fmt = info.pix_fmt
        # PyAV asks for threads within a frame; x264 then cuts each frame into slices, which is slower and costs bits.
        context.thread_type = "AUTO"
        if self.threads is not None:
            context.thread_count = self.threads
        context.color_range = info.tagged_range
        context.colorspace = info.colour.matrix
        context.color_primaries = info.colour.primaries
        context.color_trc = info.colour.transfer
        if info.sample_aspect_ratio is not None:
            context.sample_aspect_ratio = info.sample_aspect_ratio
        if self.encoder == "libx265" and self._container_name in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # Apple's players take no other
        if info.display_matrix is not None:
            if self._container_name in ("mpegts", "nut"):
                self._own_notes.append(f"{self._container_name} cannot hold the rotation ({info.rotation} degrees)")
            else:
                stream.set_display_matrix(info.display_matrix)
        if copier is not None:
            copier.add_streams(output, before=False)
            copier.describe_picture(stream)
        return stream

    def close(self) -> None:
        """Finish the file and put it under its name. Does nothing the second time."""
        if self._output is None:
            return
        try:
            if not self.frames_written:
                raise OutputError(f"{self.path}: not one frame was written")
            self._finish_picture(self._output)
            if self._copier is not None:
                self._copier.copy_until(self._output, None)
            self._output.close()
            self._output = None
            if self._copier is not None:
                self._copier.complete(self._atomic.temporary)
            self._atomic.commit()
        except BaseException as error:
            self._abandon()
            if isinstance(error, (av.error.FFmpegError, OSError)) and not isinstance(error, AcutanceError):
                raise output_error(self.path, error) from error
            raise
        finally:
            if self._copier is not None:
                self._copier.close()

    def _finish_picture(self, output: av.container.OutputContainer) -> None:
        """Write what of the picture is not in the file yet."""
        for packet in self._stream.encode(None):
            self._keep_duration(packet)
            output.mux(packet)

    def _keep_duration(self, packet: "av.Packet[Any]") -> None:
        """Give a packet how long its frame is to be seen, which encoders do not pass on.

        The last frame is seen until the picture ends, which the container may know better than the frame.
        """
        unit = fraction(packet.time_base)
        if packet.pts is None or unit is None:
            return
        scale = self._time_base / unit
        duration = self._durations.pop(round(packet.pts / scale), self._step)
        end = self.template.picture_end()
        if packet.pts == round(self._last_pts * scale) and end is not None:
            duration = max(duration, round((end - self.template.origin) / self._time_base) - self._last_pts)
        packet.duration = max(1, round(duration * scale))

    def _abandon(self) -> None:
        # Removed first: finishing an MP4 that nobody will see would read and write all of it once more.
        self._atomic.discard()
        output, self._output = self._output, None
        if self._copier is not None:
            self._copier.close()
        if output is not None:
            with contextlib.suppress(av.error.FFmpegError, OSError, ValueError):
                output.close()
