"""Live jobs: sharpen the newest frame in time and count what happens to every frame."""

from acutance.live.controller import Limits as Limits
from acutance.live.job import LiveJob as LiveJob
from acutance.live.report import LiveReport as LiveReport
from acutance.live.report import LiveStatus as LiveStatus
from acutance.live.sources import open_source as open_source
from acutance.live.stage import Stage as Stage

__all__ = ["Limits", "LiveJob", "LiveReport", "LiveStatus", "Stage", "open_source"]
