"""How well the factor by which a picture was scaled up is told from the picture; and the fit that tells it.

    python benchmarks/reach.py --data FOLDER --write     fit on the training pictures and clips, and measure

FOLDER (or ACUTANCE_DATA) is the data folder. Training pictures and clips are filmed, scaled, compressed and scaled up
again, at all factors; a logistic regression is fitted on the spectra of one frame each, and measured on the validation
pictures and clips treated the same way. Writes benchmarks/results/reach.json and, with --write,
src/acutance/metrics/reach.json, which the program reads.
"""

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from _results import save_json, versions_of
from acutance.data.clips import cut_window, find_clips
from acutance.data.folders import ImageFile, ImageFolder
from acutance.degrade import DegradationMix, generator_for, resize
from acutance.errors import AcutanceError, UsageError
from acutance.luma import luma_from_rgb
from acutance.metrics.reach import BANDS, REACH_FACTORS, ReachModel, detail_reach, reach_features

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "reach.json"
MODEL = ROOT / "src" / "acutance" / "metrics" / "reach.json"
TRAIN = (("train/cid22", "train/clic2025", "train/photos"), ("sam2_blocks_720p.mp4", "bbb_720p_10s.mp4", "book.mkv"))
VAL = (("val/cid22", "val/clic2025"), ("brother.mkv",))
_SEED = 7
_WINDOW = 480
_FRAMES = 12
_WINDOWS_PER_CLIP = 12
_RIDGE = 1e-3

Sample = tuple[float, str, list[float]]
"""Factor, codec or none, features."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("ACUTANCE_DATA"), help="the data folder")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="pictures at a time")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the JSON file")
    parser.add_argument("--write", action="store_true", help="replace what the program reads")
    options = parser.parse_args(arguments)
    try:
        if options.data is None:
            raise UsageError("name the data folder with --data or ACUTANCE_DATA")
        with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
            training, validation = (_samples(options.data, *part, pool) for part in (TRAIN, VAL))
        model = _fit(training)
        found = {
            "command": "python benchmarks/reach.py --data DATA --write",
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "versions": versions_of(("acutance", "numpy", "torch", "av")),
            "training": _figures(training, model),
            "validation": _figures(validation, model),
        }
    except AcutanceError as error:
        print(f"reach: {error}", file=sys.stderr)
        return error.exit_code
    save_json(found, options.out)
    print(json.dumps({k: found[k] for k in ("training", "validation")}, indent=1))
    if options.write:
        table = {name: np.round(value, 5).tolist() for name, value in model._asdict().items()}
        MODEL.write_text(json.dumps({"factors": REACH_FACTORS, "bands": BANDS, **table}) + "\n", encoding="utf-8")
    return 0


def _mix(factor: float) -> DegradationMix:
    """All that a picture may have gone through, at one factor; filters that browsers and players scale up with."""
    shared = {"factor": factor, "noise_sigma": [0.0, 1.5], "motion": "camera", "window": _WINDOW}
    coded = {**shared, "bits_per_pixel": [0.03, 0.5], "codec_frames": _FRAMES, "codec": ["h264", "vp8", "vp9", "av1"]}
    tables = [
        {**what, "up": up, "weight": weight * share}
        for what, weight in ((coded, 3.0), (shared, 1.0))
        for up, share in (("bicubic", 0.6), ("bilinear", 0.2), ("lanczos", 0.2))
    ]
    return DegradationMix.from_list(tables)


def _samples(data: Path, folders: Sequence[str], clips: Sequence[str], pool: Any) -> list[Sample]:
    files = list(ImageFolder(*(data / folder for folder in folders)))
    rows = pool.map(_of_picture, files, chunksize=4)
    rows += pool.map(partial(_of_clip, data / "clips"), clips)
    return [sample for row in rows for sample in row]


def _of_picture(file: ImageFile) -> list[Sample]:
    picture = file.load()
    if max(picture.shape[:2]) > 1200:
        picture = resize(picture, picture.shape[1] // 2, picture.shape[0] // 2, "lanczos")
    out = []
    for factor in REACH_FACTORS:
        triple = _mix(factor).apply(picture, seed=_SEED, name=f"{file.name} {factor:g}")
        out += _sample(triple.degraded, factor, triple.record)
    return out


def _of_clip(folder: Path, name: str) -> list[Sample]:
    frames = find_clips(folder, [name])[0].load(shrink=4 / 3)
    out = []
    for number in range(_WINDOWS_PER_CLIP):
        for factor in REACH_FACTORS:
            rng = generator_for(_SEED, f"{name} {number} {factor:g}")
            recipe = _mix(factor).pick(rng)
            window = cut_window(frames, rng, side=_WINDOW, count=_FRAMES)
            triple = recipe.apply_clip(window, rng)
            out += _sample(triple.degraded, factor, triple.record)
    return out


def _sample(picture: NDArray[np.uint8], factor: float, record: dict[str, Any]) -> list[Sample]:
    luma = np.asarray(np.rint(luma_from_rgb(picture)), np.uint8)
    features = reach_features(luma)
    return [] if features is None else [(factor, record.get("codec", "none"), features.tolist())]


def _fit(samples: Sequence[Sample]) -> ReachModel:
    import torch

    x = np.array([features for _, _, features in samples])
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    inputs = torch.tensor((x - mean) / deviation)
    classes = torch.tensor([REACH_FACTORS.index(factor) for factor, _, _ in samples])
    weights = torch.zeros(x.shape[1], len(REACH_FACTORS), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(len(REACH_FACTORS), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=1000, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(inputs @ weights + bias, classes) + _RIDGE * (weights**2).mean()
        value.backward()
        return value

    optimizer.step(loss)
    return ReachModel(weights.detach().numpy(), bias.detach().numpy(), mean, deviation)


def _figures(samples: Sequence[Sample], model: ReachModel) -> dict[str, Any]:
    """Share told right, and how often each factor (row) was taken for each (column)."""
    size = len(REACH_FACTORS)
    confusion = np.zeros((size, size), int)
    for factor, _, features in samples:
        told = int(detail_reach(np.array(features), model).argmax())
        confusion[REACH_FACTORS.index(factor), told] += 1
    names = [f"{factor:g}" for factor in REACH_FACTORS]
    return {
        "frames": len(samples),
        "right": round(float(np.trace(confusion) / confusion.sum()), 4),
        "told": {name: dict(zip(names, row, strict=True)) for name, row in zip(names, confusion.tolist(), strict=True)},
    }


if __name__ == "__main__":
    sys.exit(main())
