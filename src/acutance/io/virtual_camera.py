"""A virtual camera, which other programs see as if it were plugged in (``acutance[virtualcam]``)."""

import sys
from fractions import Fraction
from typing import Any

import numpy as np

from acutance._util.extras import require
from acutance.errors import OutputError
from acutance.io._frames import converted, upright
from acutance.io.sink import LiveSink, Shown
from acutance.io.source import SourceInfo

__all__ = ["VirtualCamera"]

_HELP = {
    "linux": "load its driver: sudo apt install v4l2loopback-dkms; sudo modprobe v4l2loopback exclusive_caps=1",
    "darwin": "install OBS 30 or newer and start its virtual camera once",
    "win32": "install OBS, which brings one",
}


class VirtualCamera(LiveSink):
    """Sends frames to a virtual camera, in the size of the first one; others are scaled, turned ones set upright.

    device: which, as pyvirtualcam names it; the first where None. Opening raises MissingExtraError, and OutputError
    that says how to get a driver.
    """

    name = "virtualcam"

    def __init__(self, *, device: str | None = None) -> None:
        self._device = device
        self._camera: Any = None
        self._module: Any = None
        self._rate = 30.0

    def open(self, info: SourceInfo) -> None:
        self._module = require("pyvirtualcam", extra="virtualcam", purpose="a virtual camera")
        self._rate = float(info.rate or Fraction(30))

    def show(self, shown: Shown) -> None:
        frame = upright(shown.frame)
        if self._camera is None:
            self._camera = self._start(frame.width // 2 * 2, frame.height // 2 * 2)
        # Nobody tells call applications of a range: they take what comes for limited.
        planar = converted(frame, self._camera.width, self._camera.height, full_range=False)
        planes = (planar.luma, *(planar.chroma or ()))
        try:
            self._camera.send(np.concatenate([np.ascontiguousarray(plane).ravel() for plane in planes]))
        except (RuntimeError, OSError) as error:
            raise OutputError(f"virtualcam: cannot be written to: {error}") from error

    def _start(self, width: int, height: int) -> Any:
        options = {} if self._device is None else {"device": self._device}
        try:
            return self._module.Camera(
                width=width, height=height, fps=self._rate, fmt=self._module.PixelFormat.I420, **options
            )
        except (RuntimeError, OSError, ValueError) as error:
            how = next((text for platform, text in _HELP.items() if sys.platform.startswith(platform)), "")
            why = " ".join(str(error).split())
            raise OutputError(f"virtualcam: there is none to write to ({why}); {how}") from error

    @property
    def device(self) -> str | None:
        """The name under which other programs see it; None before the first frame."""
        return None if self._camera is None else str(self._camera.device)

    def close(self) -> None:
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()
