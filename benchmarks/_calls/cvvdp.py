"""ColorVideoVDP of luma, by a Python of its own: the package needs torch and torchvision.

Mantiuk, Hanji, Ashraf, Asano, Chapiro: ColorVideoVDP: A visual difference predictor for image, video and display
distortions, ACM Transactions on Graphics 43(4), 2024. Figures are in JOD: 10 for no visible difference; one JOD less
is a difference that three of four viewers see.
"""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from _calls.clips import Luma
from acutance.errors import EngineError
from acutance.metrics.acutance import PIXELS_PER_DEGREE

__all__ = ["Cvvdp"]


class Cvvdp:
    """A worker process that has the package loaded, started with the first comparison.

    Args:
        python: The Python of an environment that holds ``cvvdp``.
        threads: Of torch.
    """

    def __init__(self, python: str, *, threads: int = 1) -> None:
        self._command = [
            python,
            str(Path(__file__).with_name("cvvdp_worker.py").resolve()),
            str(threads),
            f"{PIXELS_PER_DEGREE}",
        ]
        self._worker: subprocess.Popen[str] | None = None

    def jod(self, output: Sequence[Luma], truth: Sequence[Luma], *, rate: float) -> float:
        """Return the quality of a clip in JOD.

        Args:
            output: Luma planes of limited range, shown grey.
            truth: As many planes of the same size.
            rate: Frames per second.

        Raises:
            EngineError: The worker fails.
        """
        if self._worker is None:
            self._worker = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "clip.npz"
            np.savez(path, output=np.stack(output), truth=np.stack(truth))
            try:
                assert self._worker.stdin is not None
                assert self._worker.stdout is not None
                self._worker.stdin.write(json.dumps({"clip": str(path), "rate": rate}) + "\n")
                self._worker.stdin.flush()
                line = self._worker.stdout.readline()
                return float(json.loads(line)["jod"])
            except (OSError, ValueError, KeyError) as error:
                stderr = self._worker.communicate()[1]
                self._worker = None
                last = stderr.strip().splitlines()[-1:] or [str(error)]
                raise EngineError(f"{self._command[0]}: no ColorVideoVDP: {last[0]}") from error

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.communicate()
            self._worker = None
