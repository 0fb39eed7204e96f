"""What upscalers cost beside the same-size students of their tier: time for a 1080p output frame on one thread.

    python benchmarks/upscalers.py
    python benchmarks/upscalers.py --set avx2 --rounds 25

Every shape runs once a round, in turns, from a plane of noise to 1920x1080, enlargement included. Times are of the
processor, not of the clock, so that other programs disturb them little; the three fastest of each are averaged. What a
shape costs does not depend on its weights, which are drawn. Writes results/upscalers.json.
"""

import argparse
import json
import platform
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from acutance.engine.integer import IntegerLayer, IntegerNetwork
from acutance.engine.native_engine import NativeEngine, instruction_sets
from acutance.students.spec import StudentShape
from acutance.training.models.students import TIERS, UPSCALERS

RESULTS = Path(__file__).resolve().parent / "results" / "upscalers.json"
WIDTH, HEIGHT = 1920, 1080


def main() -> int:
    """Measure, print a table, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", default=instruction_sets()[0], help="instruction set (%(default)s)")
    parser.add_argument("--rounds", type=int, default=25)
    options = parser.parse_args()
    times = measure(options.set, options.rounds)
    rows = []
    for tier, upscalers in UPSCALERS.items():
        base = times[TIERS[tier]]
        for factor, shape in {1.0: TIERS[tier], **upscalers}.items():
            rows.append(
                {
                    "tier": tier,
                    "factor": factor,
                    "shape": [shape.unshuffle, shape.shuffle, shape.channels, shape.depth],
                    "macs_per_pixel": round(shape.macs_per_pixel, 1),
                    "milliseconds": round(times[shape] * 1e3, 2),
                    "share_of_same_size": round(times[shape] / base, 3),
                    "field_of_view": 2 * (shape.depth + 2) * shape.shuffle,
                }
            )
            print(json.dumps(rows[-1]))
    machine = {"processor": platform.processor(), "set": options.set, "rounds": options.rounds}
    report = {"date": datetime.now(UTC).isoformat(timespec="seconds"), **machine, "rows": rows}
    RESULTS.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def measure(instruction_set: str, rounds: int) -> dict[StudentShape, float]:
    """Return the processor seconds that a frame takes with each shape of the tiers."""
    shapes = [*(TIERS[tier] for tier in UPSCALERS), *(shape for by in UPSCALERS.values() for shape in by.values())]
    engines = [NativeEngine(drawn_network(shape), threads=1, instruction_set=instruction_set) for shape in shapes]
    rng = np.random.default_rng(0)
    planes = [
        rng.integers(16, 236, (int(HEIGHT / shape.scale), int(WIDTH / shape.scale)), dtype=np.uint8) for shape in shapes
    ]
    out = np.empty((HEIGHT, WIDTH), np.uint8)
    times: list[list[float]] = [[] for _ in shapes]
    for _ in range(rounds):
        for engine, plane, taken in zip(engines, planes, times, strict=True):
            began = time.thread_time()
            engine.process(plane, out=out)
            taken.append(time.thread_time() - began)
    return {shape: float(np.mean(sorted(taken)[:3])) for shape, taken in zip(shapes, times, strict=True)}


def drawn_network(shape: StudentShape) -> IntegerNetwork:
    """Return a network of that shape with drawn weights."""
    rng = np.random.default_rng(0)
    layers = []
    for number, (inputs, outputs) in enumerate(shape.layer_channels):
        last = number + 1 == len(shape.layer_channels)
        weight = rng.integers(-300, 300, (outputs, inputs, 3, 3)).astype(np.int16)
        slope = None if last else np.full(outputs, 8000, np.int16)
        layers.append(IntegerLayer(weight, np.zeros(outputs, np.int32), slope, 12))
    return IntegerNetwork(shape, tuple(layers))


if __name__ == "__main__":
    raise SystemExit(main())
