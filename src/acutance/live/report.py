"""What a live job reports: its state while it runs, and the totals at the end."""

from dataclasses import dataclass, field

from acutance.engine import TileCounts
from acutance.errors import AcutanceError
from acutance.io.source import SourceInfo
from acutance.live.frame_stats import DropCounts

__all__ = ["BUSY", "CLOSED", "ENDED", "PAUSED", "SLOW_SINK", "LiveReport", "LiveStatus", "SinkReport"]

BUSY, SLOW_SINK, PAUSED = "sharpening was busy", "the sink was busy", "paused"
CLOSED, ENDED = "the sink was closed", "the job was ending"
"""Causes of dropped frames."""


@dataclass(frozen=True)
class LiveStatus:
    """The state of a running job.

    Attributes:
        source: what the source gives.
        fps: frames a second that the first sink showed in the last half second.
        latency: seconds from capture to that sink, median of the last half second.
        latency_p95: the same, 95th percentile.
        captured: frames captured so far.
        shown: frames that the first sink has shown so far.
        dropped: frames that the first sink has missed so far.
        tier: tier in use, name of the student, or ``off``.
        choice: why the student was chosen; empty if it was named by the user.
        share: largest share of a frame's tiles that may be computed, 0 to 1.
        computed: share of the last frames' tiles that were computed, 0 to 1.
        passed: share of the tiles that passed through unchanged.
        reused: share of the tiles whose result was reused from the frame before.
        strength: strength of sharpening, 0 to 2.
        enabled: False if sharpening is switched off.
        paused: True if frames are dropped as they arrive.
        lost: why the source is lost; None while it works.
    """

    source: SourceInfo
    fps: float
    latency: float
    latency_p95: float
    captured: int
    shown: int
    dropped: int
    tier: str
    choice: str
    share: float
    computed: float
    passed: float
    reused: float
    strength: float
    enabled: bool
    paused: bool
    lost: str | None


@dataclass(frozen=True)
class SinkReport:
    """The totals of one sink. Captured frames are ``shown + sum(dropped.values())``.

    Attributes:
        shown: number of frames shown.
        dropped: number of frames missed, by cause.
        latency: seconds from capture to shown: median, 95th and 99th percentile.
    """

    shown: int
    dropped: DropCounts
    latency: tuple[float, float, float]


@dataclass(frozen=True)
class LiveReport:
    """The totals of a job.

    Attributes:
        source: name of the source.
        seconds: how long the job ran.
        captured: frames captured.
        sinks: totals by name of the sink.
        work: seconds of sharpening a frame: median, 95th and 99th percentile.
        tiles: what happened to the tiles of all frames.
        cpu: processor seconds per second of the job.
        changes: changes of tier and share: seconds from the start, and what changed.
        notes: all other notes for the user.
        failed: errors of sinks that failed while others worked on, by name.
    """

    source: str
    seconds: float
    captured: int
    sinks: dict[str, SinkReport]
    work: tuple[float, float, float]
    tiles: TileCounts
    cpu: float
    changes: list[tuple[float, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: dict[str, AcutanceError] = field(default_factory=dict)
