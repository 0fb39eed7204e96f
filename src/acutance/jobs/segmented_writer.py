"""A video file whose picture is encoded in segments, each a file of its own until all are joined."""

import contextlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from acutance._util.av import av, time_unit
from acutance.errors import OutputError
from acutance.frame import Frame
from acutance.io.files import flush_to_disk, output_error
from acutance.io.video import VideoReader
from acutance.io.video_writer import VideoWriter
from acutance.jobs.segments import SegmentFacts, SegmentWriter, joined_packets

__all__ = ["SegmentedVideoWriter"]


class SegmentedVideoWriter(VideoWriter):
    """As :class:`VideoWriter`, with an encoder begun anew where :meth:`cut` says so.

    folder: one on the file system of ``path``, for segments and the temporary file; there when the block is entered.
    options: those of :class:`VideoWriter`.
    What was cut stays in the folder whatever happens; an unfinished segment does not. Joining them is left to
    :meth:`close`: until then there is nothing but a trial that the file can be written.
    """

    def __init__(self, path: str | Path, template: VideoReader, *, folder: Path, **options: Any) -> None:
        super().__init__(path, template, folder=folder, **options)
        self._folder = folder
        self._finished: list[Path] = []
        self._segment: SegmentWriter | None = None
        self._host: av.container.OutputContainer | None = None
        self._used = False  # whether the encoder has made a segment, and can make no other
        self._closed = False

    @property
    def final(self) -> Path:
        """The file that is replaced: not ``path`` where that is a link."""
        return self._atomic.final

    @property
    def settings(self) -> dict[str, str]:
        """The encoder's options, as they are given to it."""
        return {**self._options, **({"bitrate": str(self._bitrate)} if self._bitrate else {})}

    def add_finished(self, names: Sequence[str]) -> None:
        """Segments in the folder that come before all that is written."""
        self._finished += [self._folder / name for name in names]

    def when_whole(self, call: Callable[[Path], None]) -> None:
        """Have ``call`` told of the temporary file when all is in it, before it gets its name."""
        self._atomic.before_commit = lambda: call(self._atomic.temporary)

    def write(self, frame: Frame) -> None:
        if self._closed:
            raise OutputError(f"{self.path}: is not open for writing")
        picture, _ = self._timed(frame)
        try:
            if self._segment is None:
                self._segment = self._begin_segment()
            for packet in self._stream.encode(picture):
                self._keep_duration(packet)
                self._segment.add(packet)
        except (av.error.FFmpegError, OSError) as error:
            raise self._described(error) from error

    def cut(self, *, to_disk: bool = True) -> SegmentFacts | None:
        """Finish the segment; None where nothing was written since the last. to_disk: safe from a power cut."""
        segment = self._segment
        if segment is None:
            return None
        try:
            for packet in self._stream.encode(None):
                self._keep_duration(packet)
                segment.add(packet)
            facts = segment.finish(to_disk=to_disk)
            if to_disk:
                flush_to_disk(self._folder)
        except (av.error.FFmpegError, OSError) as error:
            raise self._described(error) from error
        self._finished.append(segment.path)
        self._segment = None
        return facts

    def _described(self, error: BaseException) -> OutputError:
        return error if isinstance(error, OutputError) else output_error(self.path, error)

    def _begin_segment(self) -> SegmentWriter:
        if self._used:
            # The file is begun again when there is something to put into it: an idle encoder can hold 150 MB.
            super()._abandon()
            self._close_host()
            self._host = host = av.open(io.BytesIO(), "w", format=self._container_name)
            self._stream = self._add_picture(host, None)
            host.start_encoding()
        self._used = True
        context = self._stream.codec_context
        path = self._folder / f"{len(self._finished):06d}.segment"
        return SegmentWriter(path, extradata=context.extradata or b"", time_base=time_unit(context))

    def close(self) -> None:
        """Join the segments, and put the file under its name. Does nothing the second time."""
        if self._closed:
            return
        self._closed = True
        try:
            self.cut(to_disk=False)
            self._close_host()
            if self._output is None:
                self.__enter__()
        except BaseException:
            self._abandon()
            raise
        self.frames_written = len(self._finished)  # at least as many; what counts is whether there are any
        super().close()

    def _finish_picture(self, output: av.container.OutputContainer) -> None:
        context = self._stream.codec_context
        packets = joined_packets(self._finished, extradata=context.extradata or b"", time_base=time_unit(context))
        time = self.template.origin
        for packet in packets:
            if packet.pts is not None:
                time = max(time, self.template.origin + packet.pts * time_unit(packet))
            packet.stream = self._stream
            output.mux(packet)
            if self._copier is not None:
                self._copier.copy_until(output, time)

    def _close_host(self) -> None:
        host, self._host = self._host, None
        if host is not None:
            with contextlib.suppress(av.error.FFmpegError, OSError, ValueError):
                host.close()

    def discard(self) -> None:
        """End without an output. Finished segments stay in the folder. Does nothing after :meth:`close`."""
        if not self._closed:
            self._abandon()

    def _abandon(self) -> None:
        self._closed = True
        segment, self._segment = self._segment, None
        if segment is not None:
            with contextlib.suppress(OSError):
                segment.close()
            with contextlib.suppress(OSError):
                segment.path.unlink(missing_ok=True)
        self._close_host()
        super()._abandon()
