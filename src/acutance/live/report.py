"""What a live job tells of itself: a look while it runs, and what became of everything at the end."""

from dataclasses import dataclass, field

from acutance.engine import TileCounts
from acutance.errors import AcutanceError
from acutance.io.source import SourceInfo
from acutance.live.ledger import Causes

__all__ = ["BUSY", "CLOSED", "ENDED", "PAUSED", "SLOW_SINK", "LiveReport", "LiveStatus", "SinkReport"]

BUSY, SLOW_SINK, PAUSED = "sharpening was busy", "the sink was busy", "paused"
CLOSED, ENDED = "the sink was closed", "the job was ending"
"""Why a frame was dropped."""


@dataclass(frozen=True)
class LiveStatus:
    """A look at a running job. fps: shown by its first sink in the last moment. latency: seconds from capture to that
    sink, median and 95th percentile of the last moment. dropped: of that sink, so far. computed, passed, reused: shares
    of the last frames' tiles. lost: what is wrong with the source, or None."""

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
    """captured frames are ``shown + sum(dropped.values())``. latency: seconds from capture to shown: median, 95th and
    99th percentile."""

    shown: int
    dropped: Causes
    latency: tuple[float, float, float]


@dataclass(frozen=True)
class LiveReport:
    """What a job did. work: seconds that sharpening a frame took: median, 95th and 99th percentile. tiles: of all
    frames. cpu: processor seconds for each second. changes: of tier and share, and when (seconds from the start).
    notes: what else there was to say. failed: a sink that had to be closed, and why; the others went on.
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
