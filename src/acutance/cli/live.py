"""``acutance live``."""

import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from acutance.cli.durations import seconds
from acutance.cli.engines import EngineOption
from acutance.cli.exit_codes import exit_code
from acutance.cli.live_output import LiveOutput, status_line
from acutance.cli.progress import ProgressMode
from acutance.cli.signals import calling_on_stop
from acutance.errors import AcutanceError, UsageError

if TYPE_CHECKING:
    from acutance.frame import Frame
    from acutance.io.recorder import Recorder
    from acutance.io.sink import LiveSink
    from acutance.io.source import LiveSource
    from acutance.io.window import Window
    from acutance.live import LiveJob, LiveStatus

__all__ = ["Options", "run"]

_STRENGTH_STEP = 0.25
_LOCK_EVERY = 3.0


@dataclass(frozen=True)
class Options:
    """What to sharpen while it happens, and where to show it."""

    source: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[SOURCE]")] = ()
    """camera (the default), camera:1, camera:NAME; screen, screen:LEFT,TOP,WIDTHxHEIGHT; rtsp://, http://, udp://; a
    video file, played at its own pace; or '-': Y4M on stdin."""
    to: Annotated[tuple[str, ...], tyro.conf.arg(metavar="SINK ...")] = ("window",)
    """window, virtualcam, a file to record into, '-' (Y4M on stdout), none; several at once."""
    model: Annotated[str, tyro.conf.arg(aliases=["-m"])] = "auto"
    """auto: the student that the picture needs, of the tier fast; fast, balanced or quality: of that tier or, where
    time is short, of a cheaper one; or one student: a model's full name, or a file."""
    strength: Annotated[float, tyro.conf.arg(aliases=["-s"])] = 1.0
    """0 (unchanged) to 2; 1 is what the student was trained for."""
    look: Literal["faithful", "natural"] | None = None
    """natural has the power of sharp pictures, by weights that follow each frame; faithful has the least error."""
    size: Annotated[str | None, tyro.conf.arg(metavar="WIDTHxHEIGHT")] = None
    """To ask the camera for, or to scale a file to: 1280x720."""
    rate: Annotated[float | None, tyro.conf.arg(metavar="FPS")] = None
    """Frames a second: to ask the camera or screen for, or to play a file at."""
    format: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """How the camera is to send its pictures: mjpeg, yuyv422; see acutance devices."""
    cpu_budget: Annotated[float, tyro.conf.arg(metavar="SHARE")] = 1.0
    """Share of the machine's processor time that sharpening may take, so that the call itself has room: 0.5."""
    threads: Annotated[int | None, tyro.conf.arg(metavar="COUNT")] = None
    """Of the engine; one per core where not given."""
    threshold: Annotated[int | None, tyro.conf.arg(metavar="LEVEL")] = None
    """Tiles less active than this pass through; 0 computes everything; the model's own where not given."""
    reuse: bool = True
    """What did not change since the last frame is not computed again; the result is the same."""
    engine: EngineOption = "auto"
    split: bool = False
    """Window: before on the left, after on the right; drag the line between."""
    fullscreen: bool = False
    """Window: fill the screen."""
    sound: bool = True
    """Record the sound of the file or stream beside its picture."""
    microphone: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Record this microphone beside the picture: default, or one that acutance devices lists."""
    encoder: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Of the recording; see acutance sharpen."""
    crf: Annotated[float | None, tyro.conf.arg(metavar="NUMBER")] = None
    """Quality of the recording, lower is better."""
    overwrite: Annotated[bool, tyro.conf.arg(aliases=["-y"])] = False
    """Replace a recording that exists."""
    virtualcam_device: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Which virtual camera: /dev/video9."""
    transport: Annotated[str, tyro.conf.arg(metavar="tcp|udp")] = "tcp"
    """Of RTSP."""
    stall: Annotated[str, tyro.conf.arg(metavar="TIME")] = "5s"
    """A camera or stream that gives nothing for so long is opened again."""
    loop: bool = False
    """Play a file again and again."""
    duration: Annotated[str | None, tyro.conf.arg(metavar="TIME")] = None
    """Stop after so long."""
    progress: ProgressMode = "auto"
    """auto, plain, json (one JSON object a line on stderr) or none."""


def run(options: Options) -> int:
    """Run until the source ends, the window is closed, or Ctrl-C; then say what became of the frames."""
    from acutance.live import LiveJob
    from acutance.live.sources import open_source
    from acutance.live.stage import Stage

    if len(options.source) > 1:
        raise UsageError(f"one source at a time, not {', '.join(options.source)}; sinks follow --to")
    duration = None if options.duration is None else seconds(options.duration, option="--duration")
    source = open_source(
        options.source[0] if options.source else "camera",
        size=_size(options.size),
        rate=options.rate,
        pix_fmt=options.format,
        transport=options.transport,
        stall=seconds(options.stall, option="--stall"),
        loop=options.loop,
    )
    sinks, window, recorder = _sinks(options, source)
    stage = Stage(
        options.model,
        engine=options.engine,
        strength=options.strength,
        look=options.look,
        threads=_threads(options),
        threshold=options.threshold,
        reuse=options.reuse,
    )
    output = LiveOutput(options.progress)
    job = LiveJob(
        source,
        sinks,
        stage,
        budget=options.cpu_budget,
        on_note=output.note,
        sounds=_sounds(options, source, recorder),
    )
    watcher = _Watcher(job, window, output, duration, alone=len(sinks) == 1)
    job.on_status = watcher.look
    if window is not None:
        window.on_key = watcher.key
    with calling_on_stop(job.stop):
        try:
            report = job.run()
        finally:
            output.end()
    output.summary(report)
    return next((exit_code(error) for error in report.failed.values()), 0)


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise UsageError(f"--size {text!r} is not a size; accepted are 1280x720, 1920x1080")
    return int(width), int(height)


def _threads(options: Options) -> int | None:
    """As asked; or as many as a processor budget below 1 has cores for, so that the others stay free."""
    from acutance.engine.base import usable_cores

    if options.threads is not None or not 0 < options.cpu_budget < 1:
        return options.threads
    return max(1, round(options.cpu_budget * usable_cores()))


def _sinks(options: Options, source: "LiveSource") -> tuple[list["LiveSink"], "Window | None", "Recorder | None"]:
    from acutance.io.null import NullSink
    from acutance.io.paced import PacedFile
    from acutance.io.recorder import Recorder, Y4MSink
    from acutance.io.virtual_camera import VirtualCamera
    from acutance.io.window import Window

    sinks: list[LiveSink] = []
    window: Window | None = None
    recorder: Recorder | None = None
    for name in dict.fromkeys(options.to):
        if name == "window":
            window = Window(split=options.split, fullscreen=options.fullscreen)
            sinks.append(window)
        elif name == "virtualcam":
            sinks.append(VirtualCamera(device=options.virtualcam_device))
        elif name == "none":
            sinks.append(NullSink())
        elif name == "-":
            sinks.append(Y4MSink(sys.stdout.buffer))
        elif recorder is not None:
            raise UsageError(f"one recording at a time, not {recorder.name} and {name}")
        else:
            recorder = Recorder(
                name,
                encoder=options.encoder,
                crf=options.crf,
                overwrite=options.overwrite,
                inputs=[source.path] if isinstance(source, PacedFile) else (),
            )
            sinks.append(recorder)
    if not sinks:
        raise UsageError("--to names no sink: window, virtualcam, a file, '-' or none")
    return sinks, window, recorder


def _sounds(options: Options, source: "LiveSource", recorder: "Recorder | None") -> list[Any]:
    """What runs beside the job so that the recording has sound."""
    from acutance.io.capture import CaptureSource
    from acutance.io.paced import PacedFile
    from acutance.io.sound import file_has_sound, play_file_sound, play_microphone

    if recorder is None:
        if options.microphone is not None:
            raise UsageError("--microphone is for a recording: name a file with --to")
        return []
    if options.microphone is not None:
        recorder.with_sound = True
        name = "" if options.microphone == "default" else options.microphone
        return [partial(play_microphone, name, recorder.sound)]
    if not options.sound:
        return []
    if isinstance(source, PacedFile) and not options.loop and options.rate is None and file_has_sound(source.path):
        recorder.with_sound = True
        return [lambda stop: play_file_sound(source.path, recorder.sound, stop, lambda: source.zero)]
    if isinstance(source, CaptureSource) and source.address.kind == "stream":
        recorder.with_sound = None  # as the stream has some or not
        source.on_sound = recorder.sound
    return []


class _Watcher:
    """Between the job and its window: keys, the line of figures, and pausing while nobody looks."""

    def __init__(
        self, job: "LiveJob", window: "Window | None", output: LiveOutput, duration: float | None, *, alone: bool
    ) -> None:
        self._job, self._window, self._output = job, window, output
        self._ends = None if duration is None else time.monotonic() + duration
        self._alone = alone and window is not None
        self._asked = False  # the user paused
        self._locked, self._lock_seen = False, 0.0

    def look(self, status: "LiveStatus") -> None:
        job, window = self._job, self._window
        if self._ends is not None and time.monotonic() >= self._ends:
            job.stop()
        if window is not None:
            if window.closed:
                job.stop()
            window.status = status_line(status)
            window.alert = status.lost or ("paused: p goes on" if self._asked else "")
            job.paused = self._asked or (self._alone and not (window.visible and not self._is_locked()))
        self._output.status(status)

    def _is_locked(self) -> bool:
        from acutance.io.screen_lock import screen_locked

        now = time.monotonic()
        if now - self._lock_seen >= _LOCK_EVERY:
            self._lock_seen, self._locked = now, screen_locked()
        return self._locked

    def key(self, name: str) -> None:
        job, stage = self._job, self._job.stage
        if name == "space":
            stage.enabled = not stage.enabled
        elif name in ("+", "-"):
            step = _STRENGTH_STEP if name == "+" else -_STRENGTH_STEP
            stage.strength = min(2.0, max(0.0, stage.strength + step))
        elif name == "m":
            self._output.note(f"tier: {job.select_tier() or stage.name}")
        elif name == "p":
            self._asked = not self._asked
        elif name == "c" and self._window is not None and self._window.shown is not None:
            # In a thread of its own: a PNG takes longer than a frame.
            work = partial(self._snapshot, self._window.shown.frame)
            threading.Thread(target=work, name="acutance-snapshot").start()
        self.look(job.status())

    def _snapshot(self, frame: "Frame") -> None:
        from acutance.io import write_image
        from acutance.io._frames import rgb_of
        from acutance.io.images import Image

        path = Path(f"acutance-{time.strftime('%Y%m%d-%H%M%S')}.png")
        try:
            write_image(Image(rgb_of(frame)), path, overwrite=True)
            self._output.note(f"saved {path}")
        except AcutanceError as error:
            self._output.note(str(error))
