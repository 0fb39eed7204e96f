"""A sink that shows nothing: for measuring, and for trying a source."""

from acutance.io.sink import LiveSink, Shown
from acutance.io.source import SourceInfo

__all__ = ["NullSink"]


class NullSink(LiveSink):
    """Takes frames and lets them go."""

    name = "none"

    def open(self, info: SourceInfo) -> None:
        pass

    def show(self, shown: Shown) -> None:
        pass

    def close(self) -> None:
        pass
