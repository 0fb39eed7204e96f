"""Conditioned students of random weights, in the form that their files have."""

import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from acutance.choosing.condition import FEATURES
from acutance.students.conditioned import ConditionedStudent, load_conditioned
from acutance.students.spec import METADATA_KEY, StudentShape, StudentSpec

SETS, HIDDEN = 4, 16


def write_random_conditioned(
    path: Path, seed: int = 0, *, name: str = "fast", shape: StudentShape | None = None
) -> ConditionedStudent:
    """Write a student whose sets differ and whose mixture depends on the condition; the first set is the identity."""
    shape = shape or StudentShape(unshuffle=2, channels=8, depth=1)
    rng = np.random.default_rng(seed)
    tensors = {
        "condition.mean": rng.normal(0, 0.5, FEATURES).astype(np.float32),
        "condition.deviation": rng.uniform(0.5, 1.5, FEATURES).astype(np.float32),
        "condition.inner.weight": rng.normal(0, FEATURES**-0.5, (HIDDEN, FEATURES)).astype(np.float32),
        "condition.inner.bias": rng.normal(0, 0.1, HIDDEN).astype(np.float32),
        "condition.outer.weight": rng.normal(0, HIDDEN**-0.5, (SETS, HIDDEN)).astype(np.float32),
        "condition.outer.bias": rng.normal(0, 0.1, SETS).astype(np.float32),
    }
    channels = shape.layer_channels
    for look in ("faithful", "natural"):
        for i, (inputs, outputs) in enumerate(channels):
            weight = rng.normal(0, 0.08, (SETS, outputs, inputs, 3, 3))
            for channel in range(min(inputs, outputs)):
                weight[:, channel, channel, 1, 1] += rng.uniform(0.3, 0.8, SETS)
            bias = rng.normal(0, 1e-3, (SETS, outputs))
            if i + 1 == len(channels):
                weight[0], bias[0] = 0, 0
            else:
                tensors[f"{look}.conv{i}.slope"] = rng.uniform(-0.3, 1.3, (SETS, outputs)).astype(np.float16)
            tensors[f"{look}.conv{i}.weight"] = weight.astype(np.float16)
            tensors[f"{look}.conv{i}.bias"] = bias.astype(np.float16)
    spec = StudentSpec(name=name, tier="fast", task="call", factors=(1.0, 1.5, 2.0, 3.0, 4.0), shape=shape)
    save_file(tensors, path, metadata={METADATA_KEY: spec.to_json()})
    return load_conditioned(path)


def random_conditioned(seed: int = 0, *, name: str = "fast", shape: StudentShape | None = None) -> ConditionedStudent:
    """Return what :func:`write_random_conditioned` writes."""
    with tempfile.TemporaryDirectory() as folder:
        return write_random_conditioned(Path(folder) / "made.safetensors", seed, name=name, shape=shape)
