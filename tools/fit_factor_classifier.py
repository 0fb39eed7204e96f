"""How well the factor by which a picture was scaled up is told from the picture; and the fit that tells it.

    python tools/fit_factor_classifier.py --data FOLDER --write     fit on the training pictures and clips, and measure

FOLDER (or ACUTANCE_DATA) is the data folder. Training pictures and clips are filmed, scaled, compressed and scaled up
again, at all factors; so are pictures out of focus, sharpened ones, small cuttings, and drawn pages and patterns. Most
are also encoded once more, as recordings of calls are; others are noisy, halved, or left as they are. A network of one
hidden layer is fitted on the spectra of one frame each, and measured on the validation pictures, clips and other pages
treated the same way. Writes benchmarks/results/reach.json and, with --write,
src/acutance/choosing/factor_classifier.json, which the program reads.
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
from PIL import Image, ImageDraw, ImageFilter, ImageFont

import _benchmarks  # noqa: F401
from _results import save_json, versions_of
from acutance.choosing.factor_classifier import (
    BANDS,
    REACH_FACTORS,
    ReachModel,
    detail_reach,
    reach_features,
    told_factor,
)
from acutance.cli.exit_codes import exit_code
from acutance.degrade import (
    DegradationMix,
    crop_to_multiple,
    down_up,
    encode_decode,
    generator_for,
    resize,
    rgb_from_yuv420,
    yuv420_from_rgb,
)
from acutance.errors import AcutanceError, UsageError
from acutance.luma import luma_from_rgb
from acutance.training.data.clips import cut_window, find_clips
from acutance.training.data.folders import ImageFile, ImageFolder

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "reach.json"
MODEL = ROOT / "src" / "acutance" / "choosing" / "factor_classifier.json"
TRAIN = (
    ("train/cid22", "train/clic2025", "train/photos"),
    ("sam2_blocks_720p.mp4", "bbb_720p_10s.mp4", "book.mkv"),
    range(120),
)
VAL = (("val/cid22", "val/clic2025"), ("brother.mkv",), range(1000, 1020))
"""Folders of pictures, clips, numbers of drawn pages."""

_SEED = 7
_WINDOW = 480
_FRAMES = 12
_WINDOWS_PER_CLIP = 12
_HIDDEN = 32
_RIDGE = 0.01
_SOFT = (0.5, 1.5)  # pixels: deviation of the lens's blur
_NOISE = (2.0, 30.0)  # code values
_RECORDED = (0.2, 2.0)  # bits per pixel of a recording of what is shown
_CUTTING = 144
_PATTERNS = 6  # for each page
_PAGE = (800, 600)
_LETTERS = list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:()-+=%")

Rgb = NDArray[np.uint8]
Sample = tuple[str, float, list[float]]
"""What kind of picture, by what it was scaled, features."""


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
            "command": "python tools/fit_factor_classifier.py --data DATA --write",
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "versions": versions_of(("acutance", "numpy", "torch", "av")),
            "training": _figures(training, model),
            "validation": _figures(validation, model),
        }
    except AcutanceError as error:
        print(f"reach: {error}", file=sys.stderr)
        return exit_code(error)
    save_json(found, options.out)
    print(json.dumps({k: found[k] for k in ("training", "validation")}, indent=1))
    if options.write:
        table = {name: np.round(value, 4).tolist() for name, value in model._asdict().items()}
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


def _samples(data: Path, folders: Sequence[str], clips: Sequence[str], pages: Sequence[int], pool: Any) -> list[Sample]:
    files = list(ImageFolder(*(data / folder for folder in folders)))
    rows = pool.map(_of_picture, files, chunksize=4)
    rows += pool.map(_of_page, pages, chunksize=4)
    rows += pool.map(partial(_of_clip, data / "clips"), clips)
    return [sample for row in rows for sample in row]


def _of_picture(file: ImageFile) -> list[Sample]:
    picture = file.load()
    if max(picture.shape[:2]) > 1200:
        picture = resize(picture, picture.shape[1] // 2, picture.shape[0] // 2, "lanczos")
    rng = generator_for(_SEED, file.name)
    sigma = float(np.exp(rng.uniform(*np.log(_NOISE))))
    noisy = picture + sigma * rng.standard_normal(picture.shape)
    out = [sample for factor in REACH_FACTORS for sample in _scaled("photograph", picture, factor, file.name)]
    for factor in REACH_FACTORS:
        top, left = (int(rng.integers(0, side - _CUTTING + 1)) for side in picture.shape[:2])
        cutting = picture[top : top + _CUTTING, left : left + _CUTTING]
        out += _sample("cutting", down_up(cutting, factor).same_size, factor)
    for factor in REACH_FACTORS[:3]:
        soft = _filtered(picture, ImageFilter.GaussianBlur(float(rng.uniform(*_SOFT))))
        out += _scaled("out of focus", soft, factor, file.name)
        out += _scaled("sharpened", _sharpened(picture, rng), factor, file.name)
    out += _sample("photograph as it is", picture, 1.0)
    out += _sample("sharpened as it is", _sharpened(picture, rng), 1.0)
    out += _sample("halved", resize(picture, picture.shape[1] // 2, picture.shape[0] // 2), 1.0)
    out += _sample("noisy", np.clip(np.rint(noisy), 0, 255).astype(np.uint8), 1.0)
    return out


def _of_page(number: int) -> list[Sample]:
    rng = generator_for(_SEED, f"page {number}")
    page = _page(rng)
    out = [sample for factor in REACH_FACTORS for sample in _scaled("drawn", page, factor, f"page {number}")]
    for _ in range(_PATTERNS):
        pattern = crop_to_multiple(_pattern(rng))
        for factor in REACH_FACTORS:
            out += _sample("pattern", down_up(pattern, factor).same_size, factor)
    return [*out, *_sample("drawn as it is", page, 1.0)]


def _of_clip(folder: Path, name: str) -> list[Sample]:
    frames = find_clips(folder, [name])[0].load(shrink=4 / 3)
    out = []
    for number in range(_WINDOWS_PER_CLIP):
        for factor in REACH_FACTORS:
            rng = generator_for(_SEED, f"{name} {number} {factor:g}")
            recipe = _mix(factor).pick(rng)
            window = cut_window(frames, rng, side=_WINDOW, count=_FRAMES)
            shown = recipe.apply_clip(window, rng).degraded
            out += [*_sample("clip", shown, factor), *_sample("clip, recorded", _recorded(shown, rng), factor)]
    return out


def _scaled(kind: str, picture: Rgb, factor: float, name: str) -> list[Sample]:
    name = f"{kind} {name} {factor:g}"
    degraded = _mix(factor).apply(picture, seed=_SEED, name=name).degraded
    again = _recorded(degraded, generator_for(_SEED, f"{name} again"))
    return [*_sample(kind, degraded, factor), *_sample(f"{kind}, recorded", again, factor)]


def _recorded(shown: Rgb, rng: np.random.Generator) -> Rgb:
    """What is shown, encoded once more, as a recording of a call is: a key frame."""
    height, width = (side // 2 * 2 for side in shown.shape[:2])
    kbps = float(np.exp(rng.uniform(*np.log(_RECORDED)))) * height * width * 30 / 1000
    picture = yuv420_from_rgb(np.ascontiguousarray(shown[:height, :width]))
    return rgb_from_yuv420(encode_decode([picture], codec="h264", bitrate_kbps=kbps, frame_rate=30).frames[0])


def _sample(kind: str, picture: Rgb, factor: float) -> list[Sample]:
    features = reach_features(np.asarray(np.rint(luma_from_rgb(picture)), np.uint8))
    return [] if features is None else [(kind, factor, features.tolist())]


def _sharpened(picture: Rgb, rng: np.random.Generator) -> Rgb:
    radius, percent = float(rng.uniform(0.6, 2.0)), int(rng.uniform(40, 150))
    return _filtered(picture, ImageFilter.UnsharpMask(radius=radius, percent=percent, threshold=0))


def _filtered(picture: Rgb, kernel: ImageFilter.MultibandFilter) -> Rgb:
    return np.asarray(Image.fromarray(picture).filter(kernel))


def _page(rng: np.random.Generator) -> Rgb:
    """Shapes, lines and words in many sizes and colours, as slides and documents have them."""
    width, height = _PAGE
    dark = rng.random() < 0.4
    page = Image.new("RGB", _PAGE, _colour(rng, 0, 60) if dark else _colour(rng, 200, 256))
    draw = ImageDraw.Draw(page)
    for _ in range(int(rng.integers(0, 8))):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        box = (x, y, x + int(rng.integers(20, 400)), y + int(rng.integers(20, 300)))
        kind = rng.integers(0, 3)
        if kind == 0:
            draw.rectangle(box, fill=_colour(rng))
        elif kind == 1:
            draw.ellipse(box, fill=_colour(rng))
        else:
            draw.line((x, y, box[2] - 200, box[3] - 150), fill=_colour(rng), width=int(rng.integers(1, 6)))
    ink = _colour(rng, 190, 256) if dark else _colour(rng, 0, 80)
    full = rng.uniform(0.35, 0.95)
    y = 10
    while y < height - 20:
        size = int(rng.choice([11, 12, 13, 14, 16, 18, 22, 28, 40, 60]))
        if rng.random() < full:
            lengths = rng.integers(2, 10, int(rng.integers(1, 24)))
            words = " ".join("".join(rng.choice(_LETTERS, length)) for length in lengths)
            fill = ink if rng.random() < 0.8 else _colour(rng)
            draw.text((int(rng.integers(5, 150)), y), words, font=ImageFont.load_default(size), fill=fill)
        y += int(size * rng.uniform(1.1, 2.0))
    return np.asarray(page)


def _pattern(rng: np.random.Generator) -> Rgb:
    """Waves, a chequerboard and rings on each other, with a little noise: what photographs are least like."""
    height, width = (int(side) for side in rng.integers(96, 400, 2))
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    periods = np.exp(rng.uniform(np.log(2.5), np.log(80), 6))
    luma = 110 + rng.uniform(0, 60) * np.sin(2 * np.pi * x / periods[0]) * np.cos(2 * np.pi * y / periods[1])
    luma += rng.uniform(0, 60) * np.sin(2 * np.pi * (x * np.cos(periods[2]) + y * np.sin(periods[2])) / periods[3])
    luma += rng.choice([0.0, 35.0, 70.0]) * ((x // periods[4] + y // periods[4]) % 2)
    distance = np.hypot(x - width / 2, y - height / 2)
    luma += rng.choice([0.0, 50.0]) * (np.abs(distance % (2 * periods[5]) - periods[5]) < rng.uniform(0.7, 3))
    luma += rng.uniform(0, 3) * rng.standard_normal(luma.shape)
    return np.repeat(np.clip(np.rint(luma), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def _colour(rng: np.random.Generator, low: int = 0, high: int = 256) -> tuple[int, ...]:
    return tuple(int(v) for v in rng.integers(low, high, 3))


def _fit(samples: Sequence[Sample]) -> ReachModel:
    import torch

    x = np.array([features for *_, features in samples])
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    inputs = torch.tensor((x - mean) / deviation)
    classes = torch.tensor([REACH_FACTORS.index(factor) for _, factor, _ in samples])
    torch.manual_seed(_SEED)
    inner = torch.nn.Linear(x.shape[1], _HIDDEN, dtype=torch.float64)
    outer = torch.nn.Linear(_HIDDEN, len(REACH_FACTORS), dtype=torch.float64)
    weights = [*inner.parameters(), *outer.parameters()]
    optimizer = torch.optim.LBFGS(weights, max_iter=1500, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(outer(torch.tanh(inner(inputs))), classes)
        value = value + _RIDGE * ((inner.weight**2).mean() + (outer.weight**2).mean())
        value.backward()
        return value

    optimizer.step(loss)
    inner_t, inner_bias, outer_t, outer_bias = (w.detach().numpy() for w in weights)
    return ReachModel(mean, deviation, inner_t.T, inner_bias, outer_t.T, outer_bias)


def _figures(samples: Sequence[Sample], model: ReachModel) -> dict[str, Any]:
    """Share told right, in all and by kind, and how often each factor (row) was taken for each (column); as the
    automatic choice tells them, which in doubt takes a picture for sharp."""
    size = len(REACH_FACTORS)
    confusion = np.zeros((size, size), int)
    kinds: dict[str, list[bool]] = {}
    for kind, factor, features in samples:
        told = told_factor(detail_reach(np.array(features), model))
        confusion[REACH_FACTORS.index(factor), REACH_FACTORS.index(told)] += 1
        kinds.setdefault(f"{kind}, x{factor:g}" if factor == 1 else f"{kind}, scaled", []).append(told == factor)
    names = [f"{factor:g}" for factor in REACH_FACTORS]
    return {
        "frames": len(samples),
        "right": round(float(np.trace(confusion) / confusion.sum()), 4),
        "kinds": {kind: {"frames": len(v), "right": round(float(np.mean(v)), 4)} for kind, v in kinds.items()},
        "told": {name: dict(zip(names, row, strict=True)) for name, row in zip(names, confusion.tolist(), strict=True)},
    }


if __name__ == "__main__":
    sys.exit(main())
