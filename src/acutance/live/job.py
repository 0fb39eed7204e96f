"""A live job: a source, a stage that sharpens, and sinks, each in a thread of its own; the newest frame wins."""

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
from acutance.live.branch import Branch
from acutance.live.controller import Limits, State, decide
from acutance.live.intake import Intake
from acutance.live.ledger import Durations, Ledger
from acutance.live.line import Line
from acutance.live.report import ENDED, LiveReport, LiveStatus, SinkReport
from acutance.live.stage import Stage

__all__ = ["LiveJob"]

_POLL = 0.2  # seconds between looks at whether to stop
_WINDOW_POLL = 0.02  # seconds that a window waits for a frame before it looks at keys again
_STATUS_EVERY = 0.5
_PATIENCE = 2.0  # seconds for a thread to end; one that hangs in a driver is left behind
_REMEMBERED = 200  # changes and notes


class LiveJob:
    """Captures, sharpens and shows until the source ends, a window is closed, or :meth:`stop`.

    source, sinks: one sink at least, at most one for the main thread; names differ. stage: what sharpens.
    budget: share of the machine's processor time for sharpening. cores: of the machine; None for those this process may
    use. on_status: called twice a second, in the thread of :meth:`run`, with a :class:`LiveStatus`. on_note: called
    with each note and change, in any thread. sounds: what runs in a thread of its own beside the job, with the event
    that ends it. Raises UsageError.
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
            raise UsageError(f"a live job has sinks of different names, one window at most; not {', '.join(names)}")
        Limits(1.0, budget=budget)  # raises now rather than in the middle
        self._stage, self._clock = stage, clock
        self._budget, self._cores = budget, cores or usable_cores()
        self.on_status, self._on_note, self._sounds = on_status, on_note, sounds
        self._stopping, self._sharpened = threading.Event(), threading.Event()
        self._ledger = Ledger(tuple(names))
        self._intake = Intake(source, self._ledger, self._stopping, self._tell, clock)
        self._branches = [Branch(sink, self._ledger, clock) for sink in sinks]
        self._state, self._dearest = State(), stage.first
        self._asked_tier: int | None = None
        self._totals, self._recent = TileCounts(), deque[TileCounts](maxlen=30)
        self._errors: list[BaseException] = []
        self._changes: deque[tuple[float, str]] = deque(maxlen=_REMEMBERED)
        self._notes: deque[str] = deque(maxlen=_REMEMBERED)
        self._choice = ""
        self._since = (0.0, 0)  # when the moment began that a status tells of, and what was shown before
        self._moment = (0.0, 0.0, 0.0)

    # -- what others may do, from any thread --------------------------------------------------------------------------

    def stop(self) -> None:
        """End soon: what has been captured is still shown."""
        self._stopping.set()
        self._intake.line.close()

    @property
    def paused(self) -> bool:
        """Whether frames are dropped as they come; may be set."""
        return self._intake.paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._intake.paused = paused

    def select_tier(self, step: int = 1) -> str:
        """The next tier (or ``step`` on) is the dearest that is used from the next frame on; returns its name."""
        asked = self._dearest if self._asked_tier is None else self._asked_tier
        self._asked_tier = asked = (asked + step) % len(self._stage.tiers)
        return self._stage.tiers[asked]

    @property
    def stage(self) -> Stage:
        return self._stage

    # -- running ------------------------------------------------------------------------------------------------------

    def run(self) -> LiveReport:
        """Run to the end; in the main thread where there is a window. Raises what went wrong in any thread, once all
        has been closed, and the error of a sink that failed where no other is left; KeyboardInterrupt counts as
        :meth:`stop`."""
        began, cpu = self._clock(), time.process_time()
        threads: list[threading.Thread] = []
        try:
            info = self._intake.open()
            self._began = began
            for branch in self._branches:
                branch.open(info)
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
        if len(failed) == len(self._branches):
            raise next(iter(failed.values()))
        return self._report(self._clock() - began, time.process_time() - cpu)

    def _start(self) -> list[threading.Thread]:
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

        for branch in self._branches:
            if not branch.sink.main_thread:
                branch.thread = thread(branch.name, branch.run, self._lose, lambda: bool(self._errors))
        return [
            *(thread("sound", self._hear, sound) for sound in self._sounds),
            thread("sharpen", self._sharpen),
            thread("capture", self._intake.run),
        ]

    def _wait(self) -> None:
        """The main thread's part: the window, and the status."""
        own = next((b for b in self._branches if b.sink.main_thread), None)
        told = self._clock()
        while not self._sharpened.is_set() or own is not None:
            if own is None:
                self._sharpened.wait(_POLL / 4)
            else:
                shown = own.line.take(_WINDOW_POLL)
                if shown is not None:
                    own.show(shown, self._lose)
                own.sink.pump()
                if own.sink.closed:
                    self.stop()
                if own.line.finished:
                    return
            if self._errors or self._stopping.is_set():
                return  # what still waits is for those who join the threads
            now = self._clock()
            if now - told >= _STATUS_EVERY:
                told = now
                self.on_status(self.status())

    def _finish(self, threads: Sequence[threading.Thread]) -> None:
        """Join and close everything, whatever happens on the way."""
        hanging: set[threading.Thread] = set()
        for thread in threads:
            self._join(thread, hanging)
        for branch in self._branches:
            if branch.thread is not None:
                self._join(branch.thread, hanging, branch.line)
        for thread in hanging:
            name = thread.name.removeprefix("acutance-")
            self._tell(f"{name} did not end in {_PATIENCE:g} s and is left behind")
        names = {thread.name for thread in hanging}
        closers = [self._intake.close] if "acutance-capture" not in names else []
        closers += [self._stage.close] if "acutance-sharpen" not in names else []
        for close in closers:
            try:
                close()
            except BaseException as error:
                self._errors.append(error)
        for branch in self._branches:
            if branch.thread not in hanging:
                try:
                    if not branch.close():
                        self._tell(str(branch.failed))
                except BaseException as error:
                    self._errors.append(error)
            branch.settle()
        while self._intake.line.take(0.0) is not None:
            self._ledger.drop(ENDED)

    @staticmethod
    def _join(thread: threading.Thread, hanging: set[threading.Thread], line: Line[Shown] | None = None) -> None:
        """Wait for a thread for as long as what waits for it gets less; an impatient user does not wait for it."""
        try:
            while thread.is_alive():
                before = 0 if line is None else len(line)
                thread.join(_PATIENCE)
                if thread.is_alive() and (line is None or len(line) == before):
                    break
        except KeyboardInterrupt:
            pass
        if thread.is_alive():
            hanging.add(thread)

    def _lose(self, branch: Branch) -> None:
        """A sink has failed; where it was the last one, the job ends."""
        if all(other.failed is not None for other in self._branches):
            self.stop()
        else:
            self._tell(f"{branch.failed}; the others go on")

    def _failed(self) -> dict[str, AcutanceError]:
        return {branch.name: branch.failed for branch in self._branches if branch.failed is not None}

    # -- sharpen ------------------------------------------------------------------------------------------------------

    def _sharpen(self) -> None:
        try:
            while True:
                taken = self._intake.line.take(_POLL)
                if taken is not None:
                    self._one(*taken)
                elif self._intake.line.finished:
                    return
        finally:
            self._intake.line.close()
            for branch in self._branches:
                branch.line.close()
            self._sharpened.set()

    def _one(self, frame: Frame, captured: float) -> None:
        stage = self._stage
        if self._intake.renewed():
            stage.reset()
        if self._asked_tier is not None:
            self._dearest, self._asked_tier, self._state = self._asked_tier, None, State()
        stage.tier, stage.share = self._dearest + self._state.tier, self._state.share
        passed = stage.passes
        started = self._clock()
        sharp = stage.process(frame)
        took = self._clock() - started
        counts = stage.counts
        self._ledger.worked(took)
        self._totals += counts
        self._recent.append(counts)
        if stage.enabled and not (passed and self._state.tier < len(stage.tiers) - self._dearest):
            self._control(took, counts)
        choice = stage.choice
        if choice is not None and choice.reason != self._choice:
            self._choice = choice.reason
            self._tell(choice.reason)
        shown = Shown(sharp, frame, captured)
        for branch in self._branches:
            branch.give(shown)

    def _control(self, took: float, counts: TileCounts) -> None:
        stage = self._stage
        limits = Limits(
            self._intake.interval,
            stage.cost[self._dearest :],
            stage.has_tiles,
            self._budget,
            stage.threads,
            self._cores,
        )
        # What is reused counts as well: the engine's budget is of tiles that are chosen, whatever becomes of them.
        needed = (counts.computed + counts.reused) / counts.tiles if counts.tiles else 0.0
        self._state = state = decide(self._state, took, needed, limits, dropped=self._intake.dropped())
        if state.reason:
            tiers = (*(name or stage.name for name in stage.tiers[self._dearest :]), "frames pass through")
            text = f"{state.reason}; now {tiers[state.tier]}"
            self._changes.append((round(self._clock() - self._began, 3), text))
            self._on_note(text)

    def _hear(self, sound: Callable[[threading.Event], None]) -> None:
        try:
            sound(self._stopping)
        except SourceError as error:
            self._tell(f"{error}; there will be no sound")

    # -- telling ------------------------------------------------------------------------------------------------------

    def _tell(self, note: str) -> None:
        self._notes.append(note)
        self._on_note(note)

    def status(self) -> LiveStatus:
        """A look at the job; to be taken in one thread only."""
        first = self._branches[0]
        now, shown = self._clock(), self._ledger.shown(first.name)
        began, before = self._since
        if now - began >= _STATUS_EVERY * 0.9:
            fps = (shown - before) / (now - began) if began else 0.0
            latencies, first.recent = first.recent, Durations()
            self._moment = fps, latencies.percentile(50), latencies.percentile(95)
            self._since = now, shown
        recent = sum(list(self._recent), TileCounts())
        tiles = max(1, recent.tiles)
        stage, tier = self._stage, self._dearest + self._state.tier
        return LiveStatus(
            source=self._intake.info or SourceInfo("", 0, 0, None),
            fps=self._moment[0],
            latency=self._moment[1],
            latency_p95=self._moment[2],
            captured=self._ledger.captured,
            shown=shown,
            dropped=sum(self._ledger.dropped(first.name).values()),
            tier=(stage.tiers[tier] or stage.name) if tier < len(stage.tiers) else "off",
            choice=self._choice,
            share=self._state.share,
            computed=recent.computed / tiles,
            passed=recent.passed / tiles,
            reused=recent.reused / tiles,
            strength=stage.strength,
            enabled=stage.enabled,
            paused=self.paused,
            lost=self._intake.lost,
        )

    def _report(self, seconds: float, cpu: float) -> LiveReport:
        def three(durations: Durations) -> tuple[float, float, float]:
            return durations.percentile(50), durations.percentile(95), durations.percentile(99)

        ledger = self._ledger
        sinks = {
            b.name: SinkReport(ledger.shown(b.name), ledger.dropped(b.name), three(ledger.latency[b.name]))
            for b in self._branches
        }
        return LiveReport(
            source=self._intake.info.name if self._intake.info else "",
            seconds=seconds,
            captured=ledger.captured,
            sinks=sinks,
            work=three(ledger.work),
            tiles=self._totals,
            cpu=cpu / seconds if seconds > 0 else 0.0,
            changes=list(self._changes),
            notes=list(self._notes),
            failed=self._failed(),
        )
