"""Live jobs with scripted sources and sinks: every frame accounted for, and what goes wrong in life."""

import gc
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acutance.cli.exit_codes import exit_code
from acutance.errors import InputNotFoundError, OutputError, SourceError, UsageError
from acutance.frame import Frame
from acutance.io.sink import Shown
from acutance.live import LiveJob, LiveReport, capture_worker
from acutance.live import job as job_module
from acutance.live.controller import Limits, State
from acutance.live.report import BUSY, CLOSED, PAUSED, SLOW_SINK
from acutance.live.stage import Stage
from live_fakes import Collector, ScriptedSource, frame, one_by_one, until


def balanced_books(report: LiveReport) -> None:
    for sink in report.sinks.values():
        assert report.captured == sink.shown + sum(sink.dropped.values()), report


@pytest.fixture
def stage(student_file: Path) -> Stage:
    return Stage(student_file, threads=1)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_worker, "_BACK_OFF", (0.01, 0.02))
    monkeypatch.setattr(job_module, "_POLL", 0.05)


def test_all_frames_are_shown_when_there_is_time(stage: Stage) -> None:
    sink = Collector()
    report = LiveJob(ScriptedSource(one_by_one(sink, map(frame, range(30)))), [sink], stage).run()
    balanced_books(report)
    assert (report.captured, sink.count) == (30, 30)
    first = sink.shown[0]
    assert not np.array_equal(first.frame.luma, first.before.luma)
    assert first.frame.chroma is first.before.chroma
    assert sink.threads == {"acutance-collector"}


def test_a_slow_sink_gets_the_newest_frame_and_builds_no_queue(stage: Stage) -> None:
    quick = Collector("quick")
    lag: list[int] = []

    def slowly(shown: Shown) -> None:
        """As long as ten frames take; says how many had been shown elsewhere before this one was taken."""
        own = next(i for i, other in enumerate(quick.shown) if other is shown) if _is_in(quick, shown) else -1
        lag.append(quick.count - 1 - own if own >= 0 else 0)
        seen = quick.count
        until(lambda: quick.count >= min(seen + 10, 100))

    slow = Collector("slow", pause=slowly)
    report = LiveJob(ScriptedSource(one_by_one(quick, map(frame, range(100)))), [slow, quick], stage).run()
    balanced_books(report)
    assert report.sinks["slow"].dropped[SLOW_SINK] >= 70
    assert max(lag) <= 3  # a queue would be ninety behind at the end
    times = [shown.captured for shown in slow.shown]
    assert times == sorted(times)


def _is_in(sink: Collector, shown: Shown) -> bool:
    return any(other is shown for other in sink.shown)


def test_a_sink_with_a_queue_misses_no_frame_after_a_pause(stage: Stage) -> None:
    quick = Collector("quick")
    sink = Collector(pause=lambda _: until(lambda: quick.count == 20), waits=30)
    report = LiveJob(ScriptedSource(one_by_one(quick, map(frame, range(20)))), [sink, quick], stage).run()
    balanced_books(report)
    assert report.sinks["collector"].shown == 20


def test_slow_sharpening_drops_frames_and_reports_the_cause(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    job = LiveJob(ScriptedSource([frame(i) for i in range(40)]), [Collector()], stage)

    def slowly(taken: Frame) -> Frame:
        seen = job.status().captured
        until(lambda: job.status().captured >= min(seen + 5, 40))
        return taken

    monkeypatch.setattr(stage, "process", slowly)
    report = job.run()
    balanced_books(report)
    assert report.sinks["collector"].dropped[BUSY] >= 30


def test_an_unplugged_camera_is_reopened(stage: Stage) -> None:
    lost = SourceError("camera 0: is lost: No such device")
    gone = InputNotFoundError("camera 0: there is no /dev/video0")
    sink = Collector()
    before, after = one_by_one(sink, [frame(0)]), [frame(1), lambda: sink.count == 2, frame(2)]
    source = ScriptedSource([*before, lost, *after], returns=True, openings=[gone, gone, None])
    notes: list[str] = []
    report = LiveJob(source, [sink], stage, on_note=notes.append).run()
    balanced_books(report)
    assert (report.captured, source.opened) == (3, 2)
    assert any("waiting for it to come back" in note for note in notes)
    assert any("is back" in note for note in notes)


def test_the_status_shows_a_lost_source(stage: Stage) -> None:
    source = ScriptedSource([frame(0), SourceError("camera 0: no picture for 5 seconds")], returns=True,
                            openings=[SourceError("camera 0: another program is using it")] * 1000)  # fmt: skip
    job = LiveJob(source, [Collector()], stage)
    seen: list[str | None] = []

    def watch() -> None:
        until(lambda: "another program" in (seen.append(job.status().lost) or seen[-1] or ""))
        job.stop()

    watcher = threading.Thread(target=watch)
    watcher.start()
    job.run()
    watcher.join()
    assert "another program is using it" in (seen[-1] or "")


def test_a_truncated_file_ends_the_job_with_an_error(stage: Stage) -> None:
    with pytest.raises(SourceError, match="breaks off"):
        LiveJob(ScriptedSource([frame(0), SourceError("-: breaks off")]), [Collector()], stage).run()


def test_sizes_and_rotations_may_change_in_the_middle(stage: Stage) -> None:
    shapes = [(96, 64), (97, 65), (33, 31), (128, 96), (1, 1), (96, 64)]
    sink = Collector()
    frames = [frame(i, w, h, rotation=90 * (i % 4)) for i, (w, h) in enumerate(shapes)]
    report = LiveJob(ScriptedSource(one_by_one(sink, frames)), [sink], stage).run()
    balanced_books(report)
    assert [(s.frame.width, s.frame.height, s.frame.rotation) for s in sink.shown] == [
        (w, h, 90 * (i % 4)) for i, (w, h) in enumerate(shapes)
    ]


def test_the_interval_follows_a_slow_source(stage: Stage) -> None:
    steps = [step for i in range(60) for step in (frame(i), 0.02)]
    job = LiveJob(ScriptedSource(steps, rate=1000.0), [Collector()], stage)
    job.run()
    assert 0.01 < job._capture.interval < 0.1


@pytest.mark.parametrize("where", ["source", "stage", "sink"])
def test_an_exception_in_any_thread_is_raised_once_and_everything_closed(
    where: str, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble = RuntimeError("boom")
    steps = [step for i in range(10) for step in (frame(i), 0.005)]
    source = ScriptedSource([*steps, trouble, *steps] if where == "source" else steps * 5)
    sink = Collector(fails_after=3 if where == "sink" else None, error=trouble)
    other = Collector("other")
    if where == "stage":
        monkeypatch.setattr(stage, "process", lambda _: (_ for _ in ()).throw(trouble))
    with pytest.raises(RuntimeError, match="boom"):
        LiveJob(source, [sink, other], stage).run()
    assert source.closed == 1
    assert (sink.closed_times, other.closed_times) == (1, 1)


def test_a_full_disk_ends_only_the_recording(stage: Stage) -> None:
    recording = Collector("call.mkv", fails_after=5, error=OutputError("call.mkv: no space left on device"), waits=30)
    window = Collector("window")
    notes: list[str] = []
    script = one_by_one(window, map(frame, range(20)))
    report = LiveJob(ScriptedSource(script), [window, recording], stage, on_note=notes.append).run()
    balanced_books(report)
    assert window.count == 20
    assert report.sinks["call.mkv"].shown == 5
    assert report.sinks["call.mkv"].dropped[CLOSED] >= 10
    assert exit_code(report.failed["call.mkv"]) == 9
    assert sum("no space left" in note for note in notes) == 1


def test_the_last_sink_that_fails_ends_the_job_with_its_error(stage: Stage) -> None:
    sink = Collector(fails_after=2, error=OutputError("call.mkv: no space left on device"))
    with pytest.raises(OutputError, match="no space left"):
        LiveJob(ScriptedSource([step for i in range(5000) for step in (frame(i), 0.005)]), [sink], stage).run()


def test_a_sink_that_fails_twice_is_reported_once(stage: Stage) -> None:
    class Broken(Collector):
        def close(self) -> None:
            super().close()
            raise OutputError("call.mkv: still no space left on device")

    recording = Broken("call.mkv", fails_after=1, error=OutputError("call.mkv: no space left on device"), waits=30)
    window = Collector("window")
    report = LiveJob(ScriptedSource(one_by_one(window, map(frame, range(9)))), [window, recording], stage).run()
    balanced_books(report)
    assert (window.count, recording.closed_times) == (9, 1)
    assert str(report.failed["call.mkv"]) == "call.mkv: no space left on device"


def test_an_error_on_closing_a_sink_is_reported(student_file: Path) -> None:
    class Broken(Collector):
        def close(self) -> None:
            raise OutputError("call.mkv: no space left on device")

    script = [frame(0)]
    sinks = [Collector(), Broken("call.mkv")]
    report = LiveJob(ScriptedSource(script), sinks, Stage(student_file, threads=1)).run()
    assert exit_code(report.failed["call.mkv"]) == 9
    with pytest.raises(OutputError, match="no space left"):
        LiveJob(ScriptedSource(script), sinks[1:], Stage(student_file, threads=1)).run()


def test_a_recording_with_a_backlog_is_finished(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_module, "_JOIN_TIMEOUT", 0.2)
    quick = Collector("quick")
    slow = Collector("call.mkv", pause=lambda _: time.sleep(0.05), waits=30)
    script = one_by_one(quick, map(frame, range(25)))
    report = LiveJob(ScriptedSource(script), [quick, slow], stage).run()
    balanced_books(report)
    assert (report.sinks["call.mkv"].shown, slow.closed_times) == (25, 1)


def test_the_job_ends_without_a_hanging_sink_and_counts_its_frames(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "_JOIN_TIMEOUT", 0.1)
    freed = threading.Event()
    quick, stuck = Collector("quick"), Collector("stuck", pause=lambda _: freed.wait(30) and None, waits=3)
    notes: list[str] = []
    script = one_by_one(quick, map(frame, range(10)))
    report = LiveJob(ScriptedSource(script), [quick, stuck], stage, on_note=notes.append).run()
    balanced_books(report)
    assert stuck.closed_times == 0
    assert any("stuck did not end" in note for note in notes)
    freed.set()
    until(lambda: not any(thread.name == "acutance-stuck" for thread in threading.enumerate()))


def test_paused_frames_are_counted_and_cost_nothing(stage: Stage) -> None:
    steps = [step for i in range(20) for step in (frame(i), 0.005)]
    job = LiveJob(ScriptedSource(steps), [Collector()], stage)
    job.paused = True
    report = job.run()
    assert report.sinks["collector"].dropped == {PAUSED: 20}
    assert report.tiles.tiles == 0


def test_frames_pass_unchanged_when_sharpening_is_off(stage: Stage) -> None:
    stage.enabled = False
    sink = Collector()
    LiveJob(ScriptedSource([frame(0)]), [sink], stage).run()
    assert sink.shown[0].frame is sink.shown[0].before


def test_a_new_strength_applies_to_the_next_frame(stage: Stage) -> None:
    stage.strength = 0.0
    taken = frame(0)
    assert np.array_equal(stage.process(taken).luma, taken.luma)
    stage.strength = 2.0
    assert not np.array_equal(stage.process(taken).luma, taken.luma)
    with pytest.raises(UsageError, match="strength"):
        stage.strength = 3.0
    stage.close()


def test_stop_from_another_thread_ends_the_job(stage: Stage) -> None:
    job = LiveJob(ScriptedSource([0.01] * 100_000), [Collector()], stage)
    threading.Timer(0.2, job.stop).start()
    started = time.monotonic()
    job.run()
    assert time.monotonic() - started < 30  # its script would take more than a quarter of an hour


def test_the_tier_can_change_while_the_job_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage("balanced", threads=1)
    assert (stage.tiers, stage.tiers[stage.first]) == (("quality", "balanced", "fast"), "balanced")
    sink = Collector()
    job: LiveJob
    used: list[str] = []

    def script() -> Iterator[Any]:
        for number in range(4):
            yield frame(number)
            yield lambda: sink.count > number  # noqa: B023 - called before the next step
            used.append(job.status().tier)
            job.select_tier()

    job = LiveJob(ScriptedSource(script()), [sink], stage)
    job.run()
    assert used == ["balanced", "fast", "quality", "balanced"]


def test_auto_has_the_one_tier_with_a_conditioned_student() -> None:
    stage = Stage("auto", threads=1)
    assert stage.tiers == ("fast",)


def test_reused_tiles_count_as_needed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The budget is of tiles that are chosen: a still picture must not lose them to a moment of load."""
    needed: list[float] = []

    def note(state: State, took: float, computed: float, limits: Limits, **_: Any) -> State:
        needed.append(computed)
        return state

    monkeypatch.setattr(job_module, "decide", note)
    sink = Collector()
    report = LiveJob(ScriptedSource(one_by_one(sink, [frame(0)] * 5)), [sink], stage).run()
    assert report.tiles.reused > 0
    assert needed == [1.0] * 5


def test_sinks_need_different_names(stage: Stage) -> None:
    with pytest.raises(UsageError, match="different names"):
        LiveJob(ScriptedSource([]), [Collector(), Collector()], stage)
    with pytest.raises(UsageError, match="different names"):
        LiveJob(ScriptedSource([]), [], stage)
    stage.close()


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0


def _resident() -> int:
    """Bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_hundred_starts_and_stops_leak_neither_threads_nor_files_nor_memory(student_file: Path) -> None:
    def once() -> None:
        LiveJob(ScriptedSource([frame(i) for i in range(3)]), [Collector()], Stage(student_file, threads=2)).run()

    for _ in range(10):
        once()
    gc.collect()
    threads, files = threading.active_count(), _descriptors()
    memory = _resident() if Path("/proc/self/statm").exists() else 0
    for _ in range(100):
        once()
    gc.collect()
    assert threading.active_count() == threads
    assert _descriptors() == files
    if memory:
        assert _resident() - memory < 8 << 20


@pytest.mark.long  # ten minutes of video at 30 frames a second, unpaced: memory that grows slowly shows
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
def test_memory_does_not_grow_over_eighteen_thousand_frames(student_file: Path) -> None:
    frames = [frame(i, 320, 180) for i in range(4)]
    marks: list[int] = []
    sink = Collector(keep=False, waits=8)

    def script() -> Iterator[Any]:
        for index in range(18_000):
            if index in (3_000, 17_999):
                gc.collect()
                marks.append(_resident())
            yield frames[index % 4]
            yield lambda: sink.count > index  # noqa: B023 - called before the next step

    report = LiveJob(ScriptedSource(script()), [sink], Stage(student_file, threads=1)).run()
    balanced_books(report)
    assert (report.captured, sink.count) == (18_000, 18_000)
    assert marks[1] - marks[0] < 8 << 20
