"""A live job: a source, a sharpening stage and sinks, each in its own thread. Only the newest frame counts."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from acutance.engine import TileCounts
from acutance.engine.base import usable_cores
from acutance.errors import AcutanceError, SourceError, UsageError
from acutance.frame import Frame
from acutance.io.sink import LiveSink, Shown
from acutance.io.source import LiveSource, SourceInfo
from acutance.live.capture_worker import CaptureWorker
from acutance.live.controller import Limits, State, decide
from acutance.live.frame_slot import FrameSlot
from acutance.live.frame_stats import DurationHistogram, FrameStats
from acutance.live.report import ENDED, LiveReport, LiveStatus, SinkReport
from acutance.live.sink_worker import SinkWorker
from acutance.live.stage import Stage

__all__ = ["LiveJob"]

_POLL = 0.2  # seconds between checks whether to stop
_WINDOW_POLL = 0.02  # seconds that a window waits for a frame before it handles keys
_STATUS_EVERY = 0.5  # seconds
_JOIN_TIMEOUT = 2.0  # seconds; a thread that hangs in a driver cannot be ended
_KEPT = 200  # newest changes and notes


class LiveJob:
    """Capture, sharpen and show frames until the source ends, a window is closed, or :meth:`stop` is called.

    Args:
        source: where frames come from.
        sinks: where frames go: at least one, at most one of the main thread, each with its own name.
        stage: what sharpens.
        budget: share of the machine's processor time for sharpening, above 0, up to 1.
        cores: cores of the machine; None means those that this process may use.
        on_status: called twice a second in the thread of :meth:`run`.
        on_note: called with each note and change, in any thread.
        sounds: functions that run in their own threads beside the job. Each gets the event that ends it.
        clock: returns monotonic seconds.

    Raises:
        UsageError: the sinks or the budget are invalid.
    """

    def __init__(
        self,
        source: LiveSource,
        sinks: Sequence[LiveSink],
        stage: Stage,
        *,
        budget: float = 1.0,
        cores: int | None = None,
        on_status: Callable[[LiveStatus], None] = lambda _: None,
        on_note: Callable[[str], None] = lambda _: None,
        sounds: Sequence[Callable[[threading.Event], None]] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        names = [sink.name for sink in sinks]
        if not names or len(set(names)) < len(names) or sum(sink.main_thread for sink in sinks) > 1:
            raise UsageError(
                f"a live job needs sinks with different names and at most one window, not {', '.join(names) or 'none'}"
            )
        Limits(1.0, budget=budget)  # check the budget before anything starts
        self._stage, self._clock = stage, clock
        self._budget, self._cores = budget, cores or usable_cores()
        self.on_status, self._on_note, self._sounds = on_status, on_note, sounds
        self._stopping, self._sharpened = threading.Event(), threading.Event()
        self._stats = FrameStats(tuple(names))
        self._capture = CaptureWorker(source, self._stats, self._stopping, self._note, clock)
        self._workers = [SinkWorker(sink, self._stats, clock) for sink in sinks]
        self._state, self._top_tier = State(), stage.first
        self._requested_tier: int | None = None
        self._totals, self._recent = TileCounts(), deque[TileCounts](maxlen=30)
        self._errors: list[BaseException] = []
        self._changes: deque[tuple[float, str]] = deque(maxlen=_KEPT)
        self._notes: deque[str] = deque(maxlen=_KEPT)
        self._choice = ""
        self._period_start = (0.0, 0)  # time and number of shown frames when the period of the status began
        self._period_figures = (0.0, 0.0, 0.0)  # fps, median latency and its 95th percentile in the last period

    # -- control, from any thread -------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End the job soon. Captured frames are still shwindow."""
        self._stopping.set()
        self._capture.slot.close()

    @property
    def paused(self) -> bool:
        """True if frames are dropped as they arrive. It can be set."""
        return self._capture.paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._capture.paused = paused

    def select_tier(self, step: int = 1) -> str:
        """Select the most expensive tier that may be used from the next frame on.

        Args:
            step: how many tiers to go on from the selected one.

        Returns:
            The name of the tier; empty if a single student was given.
        """
        current = self._top_tier if self._requested_tier is None else self._requested_tier
        self._requested_tier = tier = (current + step) % len(self._stage.tiers)
        return self._stage.tiers[tier]

    @property
    def stage(self) -> Stage:
        """The sharpening stage."""
        return self._stage

    # -- running ------------------------------------------------------------------------------------------------------

    def run(self) -> LiveReport:
        """Run the job to its end. A job with a window must run in the main thread.

        KeyboardInterrupt works like :meth:`stop`.

        Returns:
            The totals of the job.

        Raises:
            AcutanceError: opening failed, or every sink failed. An exception of any thread is raised here too, after
                everything was closed.
        """
        began, cpu = self._clock(), time.process_time()
        threads: list[threading.Thread] = []
        try:
            info = self._capture.open()
            self._started = began
            for worker in self._workers:
                worker.open(info)
            threads = self._start()
            self._wait()
        except KeyboardInterrupt:
            pass
        except BaseException as error:
            self._errors.append(error)
        finally:
            self.stop()
            self._finish(threads)
        if self._errors:
            raise self._errors[0]
        failed = self._failed()
        if len(failed) == len(self._workers):
            raise next(iter(failed.values()))
        return self._report(self._clock() - began, time.process_time() - cpu)

    def _start(self) -> list[threading.Thread]:
        """Start all threads. Return those of capture, sharpening and sound."""

        def thread(name: str, work: Callable[..., None], *arguments: Any) -> threading.Thread:
            def guarded() -> None:
                try:
                    work(*arguments)
                except BaseException as error:  # surfaces in run
                    self._errors.append(error)
                    self.stop()

            started = threading.Thread(target=guarded, name=f"acutance-{name}", daemon=True)
            started.start()
            return started

        for worker in self._workers:
            if not worker.sink.main_thread:
                worker.thread = thread(worker.name, worker.run, self._sink_failed, lambda: bool(self._errors))
        return [
            *(thread("sound", self._run_sound, sound) for sound in self._sounds),
            thread("sharpen", self._sharpen),
            thread("capture", self._capture.run),
        ]

    def _wait(self) -> None:
        """Serve the window and report the status until the job ends."""
        window = next((worker for worker in self._workers if worker.sink.main_thread), None)
        last_status = self._clock()
        while not self._sharpened.is_set() or window is not None:
            if window is None:
                self._sharpened.wait(_POLL / 4)
            else:
                shown = window.slot.take(_WINDOW_POLL)
                if shown is not None:
                    window.show(shown, self._sink_failed)
                window.sink.pump()
                if window.sink.closed:
                    self.stop()
                if window.slot.finished:
                    return
            if self._errors or self._stopping.is_set():
                return  # _finish waits for the frames that are left
            now = self._clock()
            if now - last_status >= _STATUS_EVERY:
                last_status = now
                self.on_status(self.status())

    def _finish(self, threads: Sequence[threading.Thread]) -> None:
        """Join all threads and close everything, also after errors."""
        hanging: set[threading.Thread] = set()
        for thread in threads:
            self._join(thread, hanging)
        for worker in self._workers:
            if worker.thread is not None:
                self._join(worker.thread, hanging, worker.slot)
        for thread in hanging:
            name = thread.name.removeprefix("acutance-")
            self._note(f"{name} did not end within {_JOIN_TIMEOUT:g} s; the job ends without it")
        names = {thread.name for thread in hanging}
        closers = [self._capture.close] if "acutance-capture" not in names else []
        closers += [self._stage.close] if "acutance-sharpen" not in names else []
        for close in closers:
            try:
                close()
            except BaseException as error:
                self._errors.append(error)
        for worker in self._workers:
            if worker.thread not in hanging:
                try:
                    if not worker.close():
                        self._note(str(worker.error))
                except BaseException as error:
                    self._errors.append(error)
            worker.drop_pending()
        while self._capture.slot.take(0.0) is not None:
            self._stats.count_dropped(ENDED)

    @staticmethod
    def _join(thread: threading.Thread, hanging: set[threading.Thread], slot: FrameSlot[Shown] | None = None) -> None:
        """Wait for a thread while its slot empties. A second Ctrl-C ends the wait."""
        try:
            while thread.is_alive():
                before = 0 if slot is None else len(slot)
                thread.join(_JOIN_TIMEOUT)
                if thread.is_alive() and (slot is None or len(slot) == before):
                    break
        except KeyboardInterrupt:
            pass
        if thread.is_alive():
            hanging.add(thread)

    def _sink_failed(self, worker: SinkWorker) -> None:
        """Report a failed sink. End the job if no other sink works."""
        if all(other.error is not None for other in self._workers):
            self.stop()
        else:
            self._note(f"{worker.error}; the other sinks continue")

    def _failed(self) -> dict[str, AcutanceError]:
        return {worker.name: worker.error for worker in self._workers if worker.error is not None}

    # -- sharpen ------------------------------------------------------------------------------------------------------

    def _sharpen(self) -> None:
        try:
            while True:
                taken = self._capture.slot.take(_POLL)
                if taken is not None:
                    self._process(*taken)
                elif self._capture.slot.finished:
                    return
        finally:
            self._capture.slot.close()
            for worker in self._workers:
                worker.slot.close()
            self._sharpened.set()

    def _process(self, frame: Frame, captured: float) -> None:
        stage = self._stage
        if self._capture.pop_reopened():
            stage.reset()
        if self._requested_tier is not None:
            self._top_tier, self._requested_tier, self._state = self._requested_tier, None, State()
        stage.tier, stage.share = self._top_tier + self._state.tier, self._state.share
        passed = stage.passes
        started = self._clock()
        sharp = stage.process(frame)
        took = self._clock() - started
        counts = stage.counts
        self._stats.add_work(took)
        self._totals += counts
        self._recent.append(counts)
        if stage.enabled and not (passed and self._state.tier < len(stage.tiers) - self._top_tier):
            self._control(took, counts)
        choice = stage.choice
        if choice is not None and choice.reason != self._choice:
            self._choice = choice.reason
            self._note(choice.reason)
        shown = Shown(sharp, frame, captured)
        for worker in self._workers:
            worker.offer(shown)

    def _control(self, took: float, counts: TileCounts) -> None:
        stage = self._stage
        limits = Limits(
            self._capture.interval,
            stage.cost[self._top_tier :],
            stage.has_tiles,
            self._budget,
            stage.threads,
            self._cores,
        )
        # Reused tiles count too: the engine chooses tiles before it knows which of them it can reuse.
        needed = (counts.computed + counts.reused) / counts.tiles if counts.tiles else 0.0
        self._state = state = decide(self._state, took, needed, limits, dropped=self._capture.pop_dropped())
        if state.reason:
            tiers = (*(name or stage.name for name in stage.tiers[self._top_tier :]), "frames pass through")
            text = f"{state.reason}; now {tiers[state.tier]}"
            self._changes.append((round(self._clock() - self._started, 3), text))
            self._on_note(text)

    def _run_sound(self, sound: Callable[[threading.Event], None]) -> None:
        try:
            sound(self._stopping)
        except SourceError as error:
            self._note(f"{error}; the job continues without sound")

    # -- reporting ----------------------------------------------------------------------------------------------------

    def _note(self, note: str) -> None:
        self._notes.append(note)
        self._on_note(note)

    def status(self) -> LiveStatus:
        """Return the state of the job. Call it from one thread only."""
        first = self._workers[0]
        now, shown = self._clock(), self._stats.shown(first.name)
        began, before = self._period_start
        if now - began >= _STATUS_EVERY * 0.9:
            fps = (shown - before) / (now - began) if began else 0.0
            latencies, first.recent = first.recent, DurationHistogram()
            self._period_figures = fps, latencies.percentile(50), latencies.percentile(95)
            self._period_start = now, shown
        recent = sum(list(self._recent), TileCounts())
        tiles = max(1, recent.tiles)
        stage, tier = self._stage, self._top_tier + self._state.tier
        return LiveStatus(
            source=self._capture.info or SourceInfo("", 0, 0, None),
            fps=self._period_figures[0],
            latency=self._period_figures[1],
            latency_p95=self._period_figures[2],
            captured=self._stats.captured,
            shown=shown,
            dropped=sum(self._stats.dropped(first.name).values()),
            tier=(stage.tiers[tier] or stage.name) if tier < len(stage.tiers) else "off",
            choice=self._choice,
            share=self._state.share,
            computed=recent.computed / tiles,
            passed=recent.passed / tiles,
            reused=recent.reused / tiles,
            strength=stage.strength,
            enabled=stage.enabled,
            paused=self.paused,
            lost=self._capture.lost,
        )

    def _report(self, seconds: float, cpu: float) -> LiveReport:
        def three(durations: DurationHistogram) -> tuple[float, float, float]:
            return durations.percentile(50), durations.percentile(95), durations.percentile(99)

        stats = self._stats
        sinks = {
            w.name: SinkReport(stats.shown(w.name), stats.dropped(w.name), three(stats.latency[w.name]))
            for w in self._workers
        }
        return LiveReport(
            source=self._capture.info.name if self._capture.info else "",
            seconds=seconds,
            captured=stats.captured,
            sinks=sinks,
            work=three(stats.work),
            tiles=self._totals,
            cpu=cpu / seconds if seconds > 0 else 0.0,
            changes=list(self._changes),
            notes=list(self._notes),
            failed=self._failed(),
        )
