"""Harm: what the automatic choice does to pictures that need nothing, and to faces, hair, text and fine patterns.

    python benchmarks/harm.py --data FOLDER
    python benchmarks/harm.py --from-json --update

FOLDER (or ACUTANCE_DATA) is the data folder. Sharp, noisy, sharpened and drawn pictures and unchanged clips go through
the program at its defaults: pictures as pictures, and as video frames in each tier. Measured are the distance of the
output from the input and the overshoot. Then come named details of the test pictures, blurred (x2 bicubic) and after a
call (x2, H.264), and pages of text from a call, read by tesseract where it is installed. Writes
benchmarks/results/harm.json.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from _calls.text import distance, read_page
from _results import add_update_option, load_json, save_json, update_between, versions_of
from _speed.clips import slide_show
from _speed.setting import TEST_CLIPS, VAL_CLIPS
from acutance.choosing.automatic import AutoSharpener
from acutance.cli.exit_codes import exit_code
from acutance.degrade import crop_to_multiple, down_up, encode_decode, resize, rgb_from_yuv420, yuv420_from_rgb
from acutance.errors import AcutanceError, UsageError
from acutance.evaluate.table import render
from acutance.frame import Frame
from acutance.io import VideoReader
from acutance.luma import luma_from_rgb
from acutance.metrics import OvershootMeter, overshoot, psnr
from acutance.metrics.overshoot import Overshoot
from acutance.training.data.folders import ImageFolder

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "harm.json"
BEGIN, END = "<!-- harm:begin -->", "<!-- harm:end -->"
TIERS = ("fast", "balanced", "quality")
STILLS = ("Set5", "Set14", "B100", "Kodak24", "Urban100_sub15")
_UNTOUCHED = 50.0  # dB of the output against the input: nobody can see it
_FRAMES = 48

DETAILS = {
    "face": (
        ("Set5/woman", 36, 60, 144, 156),
        ("Set14/barbara", 444, 84, 120, 144),
        ("Set14/lenna", 240, 228, 132, 180),
    ),
    "hair": (("Set5/head", 0, 84, 96, 192), ("Set14/lenna", 108, 180, 120, 300)),
    "text": (("Set14/ppt3", 24, 228, 180, 240), ("Set14/ppt3", 24, 48, 204, 132)),
    "pattern": (("Set14/barbara", 12, 240, 240, 240), ("Set14/zebra", 120, 96, 240, 240)),
}
"""Test picture, left, top, width and height of each detail."""

_PAGE = (960, 720)
_PAGES = 4
_TEXT_CALLS = ((1.5, 700.0), (2.0, 450.0), (3.0, 200.0))  # factor, kbit/s
_TEXT = """the quick meeting starts with a short review of last week and every figure on this page was measured twice
before anyone wrote it down so that nobody has to guess what the next quarter will cost or which team moves first"""
_WORDS = _TEXT.split()

Rgb = NDArray[np.uint8]
Luma = NDArray[np.uint8]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("ACUTANCE_DATA"), help="the data folder")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the JSON file")
    parser.add_argument("--from-json", action="store_true", help="measure nothing; make the tables from --out")
    add_update_option(parser, "benchmarks/harm.md")
    options = parser.parse_args(arguments)
    try:
        if not options.from_json:
            if options.data is None:
                raise UsageError("name the data folder with --data or ACUTANCE_DATA")
            save_json(measure(Path(options.data)), options.out)
        text = tables(load_json(options.out))
        print(text)
        if options.update is not None:
            update_between(options.update, BEGIN, END, text)
    except AcutanceError as error:
        print(f"harm: {error}", file=sys.stderr)
        return exit_code(error)
    return 0


def measure(data: Path) -> dict[str, Any]:
    return {
        "command": "python benchmarks/harm.py --data DATA",
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "versions": versions_of(("acutance", "numpy", "pillow", "av")),
        "sharp": [row for name, pictures in _sharp(data) for row in _pictures(name, pictures)],
        "clips": [row for name in (*TEST_CLIPS, *VAL_CLIPS) for row in _clip(data / "clips", name)],
        "details": _details(data / "test"),
        "text": _text() if shutil.which("tesseract") else [],
    }


# -- what needs nothing -----------------------------------------------------------------------------------------------


def _sharp(data: Path) -> Iterator[tuple[str, list[Rgb]]]:
    for name in STILLS:
        yield name, [file.load() for file in ImageFolder(data / "test" / name)]
    kodak = [file.load() for file in ImageFolder(data / "test" / "Kodak24")]
    rng = np.random.default_rng(1)
    noisy = (p + 5 * rng.standard_normal(p.shape) for p in kodak)
    yield "Kodak24, noise of 5", [np.clip(np.rint(p), 0, 255).astype(np.uint8) for p in noisy]
    yield "Kodak24, sharpened", [_sharpened(p) for p in kodak]
    slides = slide_show((1920, 1080)).frames[::60]
    yield "slides", [rgb_from_yuv420(frame) for frame in slides]
    yield "text", [_page(number)[0] for number in range(_PAGES)]
    with VideoReader(data / "clips" / "bbb_720p_10s.mp4", start=4.0) as reader:
        frames = list(islice(_planes(reader), 0, 120, 30))
    yield "cartoon", [np.repeat(frame[..., None], 3, axis=2) for frame in frames]


def _sharpened(picture: Rgb) -> Rgb:
    """Sharpen strongly: unsharp mask, radius 1, twice the detail."""
    from PIL import ImageFilter

    return np.asarray(Image.fromarray(picture).filter(ImageFilter.UnsharpMask(radius=1, percent=100, threshold=0)))


def _pictures(name: str, pictures: Sequence[Rgb]) -> Iterator[dict[str, Any]]:
    """Yield one row for pictures as pictures, and one for each tier for pictures as video frames."""
    auto = AutoSharpener()
    yield {"what": name, "as": "picture", **_judge([(auto(p), p, auto.choice) for p in pictures])}
    lumas = [np.asarray(np.rint(luma_from_rgb(p)), np.uint8) for p in pictures]
    for tier in TIERS:
        sharpener = AutoSharpener(tier)
        outs = [(sharpener.frame(Frame(luma)).luma, luma, sharpener.choice) for luma in lumas]
        yield {"what": name, "as": tier, **_judge(outs)}


def _judge(outs: Sequence[tuple[Any, Any, Any]]) -> dict[str, Any]:
    planes = [[_plane(picture) for picture in pair[:2]] for pair in outs]
    near = [min(100.0, psnr(*pair)) for pair in planes]
    past = [overshoot(*pair).p99_9 for pair in planes]
    taken = [choice.student or "none" for _, _, choice in outs]
    return {
        "count": len(outs),
        "untouched": sum(v >= _UNTOUCHED for v in near),
        "worst_psnr_to_input": round(min(near), 2),
        "overshoot_p99_9": max(past),
        "students": {name: taken.count(name) for name in sorted(set(taken))},
    }


def _plane(picture: NDArray[Any]) -> Luma:
    return picture if picture.ndim == 2 else np.asarray(np.rint(luma_from_rgb(picture)), np.uint8)


def _clip(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """Yield a row for each tier of an unchanged clip in a session."""
    path = next(folder.glob(f"{name}.*"), None)
    if path is None:
        raise UsageError(f"{folder} holds no clip {name}")
    with VideoReader(path, start=1.0) as reader:
        frames = list(islice(_planes(reader), _FRAMES))
    for tier in TIERS:
        near, meter = [], OvershootMeter()
        with AutoSharpener(tier).session() as session:
            for luma in frames:
                out = session.frame(Frame(luma)).luma.astype(np.uint8)
                near.append(min(100.0, psnr(out, luma)))
                meter.add(out, luma)
        found: Overshoot = meter.result()
        yield {
            "what": name, "as": tier, "frames": len(frames), "psnr_to_input": round(float(np.mean(near)), 2),
            "overshoot_p99_9": found.p99_9, "students": [c.student or "none" for c in session.choices],
        }  # fmt: skip


def _planes(reader: VideoReader) -> Iterator[Luma]:
    for frame in reader:
        luma = np.array(frame.luma, np.uint8)
        yield np.rint(luma * np.float32(219 / 255) + 16).astype(np.uint8) if frame.full_range else luma


# -- details ----------------------------------------------------------------------------------------------------------


def _details(folder: Path) -> list[dict[str, Any]]:
    """Return the PSNR on luma of each kind of detail, before and after, in a blurred picture and in a call."""
    rows = []
    for kind, places in DETAILS.items():
        figures: dict[str, list[list[float]]] = {"blurred": [], "call": []}
        for name, left, top, width, height in places:
            with Image.open(next(folder.glob(f"{name}.*"))) as file:
                sharp = crop_to_multiple(np.asarray(file.convert("RGB")))
            box = (slice(top, top + height), slice(left, left + width))
            truth = _plane(sharp)
            for what, received in (("blurred", down_up(sharp, 2).same_size), ("call", _called(sharp, 2.0, 0.1))):
                outs = [received]
                if what == "blurred":
                    outs += [AutoSharpener(tier)(received) for tier in TIERS]
                else:
                    luma = _plane(received)
                    outs += [AutoSharpener(tier).frame(Frame(luma)).luma for tier in TIERS]
                figures[what].append([psnr(_plane(out)[box], truth[box]) for out in outs])
        for what, values in figures.items():
            means = np.mean(values, axis=0)
            worst = (np.array(values)[:, 1:] - np.array(values)[:, :1]).min(axis=0)
            row = {"kind": kind, "what": what, "input": round(float(means[0]), 2)}
            for tier, mean, least in zip(TIERS, means[1:], worst, strict=True):
                row[tier] = {"gain": round(float(mean - means[0]), 2), "worst": round(float(least), 2)}
            rows.append(row)
    return rows


def _called(sharp: Rgb, factor: float, bits_per_pixel: float, kbps: float | None = None) -> Rgb:
    """Return the last of 24 frames of a still call with H.264."""
    height, width = sharp.shape[:2]
    low = resize(sharp, round(width / factor) // 2 * 2, round(height / factor) // 2 * 2)
    rate = kbps if kbps is not None else bits_per_pixel * low.shape[0] * low.shape[1] * 30 / 1000
    decoded = encode_decode([yuv420_from_rgb(low)] * 24, codec="h264", bitrate_kbps=rate, frame_rate=30)
    return resize(rgb_from_yuv420(decoded.frames[-1]), width, height)


# -- text -------------------------------------------------------------------------------------------------------------


def _page(number: int) -> tuple[Rgb, str]:
    """Draw paragraphs in falling sizes, as in a shared document; return the page and its text."""
    rng = np.random.default_rng((11, number))
    dark = number % 2 == 1
    page = Image.new("RGB", _PAGE, (28, 30, 36) if dark else (252, 252, 250))
    draw = ImageDraw.Draw(page)
    y, said = 24.0, []
    for size in (30, 26, 22, 20, 18, 17, 16, 15):
        font = ImageFont.load_default(size)
        for _ in range(2):
            line = ""
            while True:
                word = _WORDS[int(rng.integers(len(_WORDS)))]
                if draw.textlength(f"{line} {word}", font=font) > _PAGE[0] - 60:
                    break
                line = f"{line} {word}".strip()
            draw.text((30, y), line, font=font, fill=(236, 236, 230) if dark else (24, 24, 28))
            said.append(line)
            y += size * 1.55
    return np.asarray(page), "\n".join(said)


def _text() -> list[dict[str, Any]]:
    pages = [_page(number) for number in range(_PAGES)]
    rows = [{"factor": 1.0, "kbps": 0.0, "input": _error_rate([p for p, _ in pages], pages)}]
    for factor, kbps in _TEXT_CALLS:
        received = [_called(page, factor, 0.0, kbps) for page, _ in pages]
        row: dict[str, Any] = {"factor": factor, "kbps": kbps, "input": _error_rate(received, pages)}
        for tier in TIERS:
            sharpener = AutoSharpener(tier)
            outs = [np.repeat(sharpener.frame(Frame(_plane(p))).luma[..., None], 3, axis=2) for p in received]
            row[tier] = _error_rate([o.astype(np.uint8) for o in outs], pages)
        rows.append(row)
    return rows


def _error_rate(pictures: Sequence[Rgb], pages: Sequence[tuple[Rgb, str]]) -> float:
    """Return the share of characters that would have to be changed, in percent."""
    wrong = total = 0
    for picture, (_, said) in zip(pictures, pages, strict=True):
        wrong += distance(" ".join(read_page(picture, "tesseract").split()), " ".join(said.split()))
        total += len(said)
    return round(100 * wrong / total, 2)


# -- tables -----------------------------------------------------------------------------------------------------------


def tables(report: dict[str, Any]) -> str:
    sharp = [
        [r["what"], r["as"], f"{r['untouched']} of {r['count']}", f"{r['worst_psnr_to_input']:.1f}",
         f"{r['overshoot_p99_9']:.0f}", _names(r["students"])]
        for r in report["sharp"]
    ]  # fmt: skip
    clips = [
        [r["what"], r["as"], f"{r['psnr_to_input']:.1f}", f"{r['overshoot_p99_9']:.0f}", ", ".join(r["students"])]
        for r in report["clips"]
    ]
    details = [
        [r["kind"], r["what"], f"{r['input']:.2f}", *(f"{r[t]['gain']:+.2f} ({r[t]['worst']:+.2f})" for t in TIERS)]
        for r in report["details"]
    ]
    parts = [
        f"What needs nothing: of how many pictures the output is within {_UNTOUCHED:.0f} dB of the input; the farthest,"
        " in dB; overshoot past the neighbourhood at the 99.9th percentile, in code values, of the worst:",
        render(["pictures", "as", "untouched", "farthest", "overshoot", "students"], sharp, markdown=True),
        "The clips as they are:",
        render(["clip", "tier", "output against input, dB", "overshoot", "students"], clips, markdown=True),
        "Details, gain in dB of PSNR, mean (worst):",
        render(["detail", "received", "input, dB", *TIERS], details, markdown=True),
    ]
    if report["text"]:
        text = [
            [
                "as drawn" if r["factor"] == 1 else f"x{r['factor']:g}, H.264 at {r['kbps']:.0f} kbit/s",
                f"{r['input']:.1f}", *(f"{r[t]:.1f}" if t in r else "–" for t in TIERS),
            ]
            for r in report["text"]
        ]  # fmt: skip
        parts += [
            f"{_PAGES} pages of text of 15 to 30 pixels, characters that tesseract reads wrong, in per cent:",
            render(["received", "as received", *TIERS], text, markdown=True),
        ]
    parts.append(f"Measured {report['date']} by `{report['command']}`.")
    return "\n\n".join(parts)


def _names(students: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in students.items())


if __name__ == "__main__":
    sys.exit(main())
