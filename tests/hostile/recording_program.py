"""Record frames that nothing compresses well, and print how many: run as a program by test_signals.py, which kills it.

python recording_program.py TARGET SOUND
"""

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np

from acutance._util.av import av
from acutance.frame import Frame
from acutance.io.recorder import Recorder
from acutance.io.sink import Shown
from acutance.io.source import SourceInfo

RATE = 30


def main() -> None:
    target, sound = Path(sys.argv[1]), sys.argv[2] == "sound"
    recorder = Recorder(target, sound=sound)
    recorder.open(SourceInfo("test", 320, 180, Fraction(RATE), "yuv420p", sound=sound))
    rng = np.random.default_rng(0)
    base = rng.integers(40, 200, (180, 640), np.uint8)
    for index in range(100_000):
        luma = np.ascontiguousarray(base[:, index % 320 : index % 320 + 320])
        chroma = np.full((90, 160), 128, np.uint8)
        if sound:
            block = av.AudioFrame.from_ndarray(np.zeros((2, 1600), np.float32), "fltp", "stereo")
            block.sample_rate = 48000
            recorder.sound(block, index / RATE)
        frame = Frame(luma, (chroma, chroma), pts=index)
        recorder.show(Shown(frame, frame, captured=index / RATE))
        print(index + 1, flush=True)


if __name__ == "__main__":
    main()
