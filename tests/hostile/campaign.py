"""Damage small media files by seed, and sharpen them: run as a program by test_campaign.py, and by hand for one seed.

python campaign.py FOLDER FIRST COUNT

The program prints a line for each case: its seed before it runs, then what became of it. A case ends well with a result
or with one AcutanceError of one line. For anything else it prints the traceback, and keeps the file in FOLDER.
"""

import faulthandler
import random
import sys
import traceback
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from acutance import Sharpener
from acutance._util.av import av
from acutance.errors import AcutanceError
from acutance.io.files import IMAGE_SUFFIXES
from acutance.students.spec import save_student
from io_clips import make_clip
from small_students import sharpening_student

HANG = 60
"""Seconds after which a case counts as a hang; most take a tenth of a second."""


def make_files(folder: Path) -> list[Path]:
    """Write one whole file of each kind."""
    folder.mkdir(exist_ok=True)
    even: dict[str, Any] = {"pts": list(range(10)), "time_base": Fraction(1, 25)}  # what these take
    clips = [
        make_clip(folder / "h264.mp4", audio=True),
        make_clip(folder / "ffv1.mkv", encoder="ffv1", audio=True, subtitle="subrip"),
        make_clip(folder / "vp9.webm", encoder="libvpx-vp9", options={"deadline": "realtime"}),
        make_clip(folder / "prores.mov", encoder="prores_ks", pix_fmt="yuv422p10le"),
        make_clip(folder / "h264.ts"),
        make_clip(folder / "mpeg2.mpg", encoder="mpeg2video", **even),
        make_clip(folder / "mpeg4.avi", encoder="mpeg4", **even),
        make_clip(folder / "flv.flv", encoder="flv", **even),
        make_clip(folder / "raw.y4m", encoder="wrapped_avframe", **even),
    ]
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 255, (48, 64), np.uint8)
    pictures = [("deep.png", Image.fromarray(grey.astype(np.uint16) * 257))]
    rgb = Image.fromarray(np.stack([grey, grey[::-1], grey[:, ::-1]], axis=-1))
    names = ["a.png", "a.jpg", "a.tif", "a.webp", "a.bmp", "a.ppm", *(["a.avif"] if features.check("avif") else [])]
    pictures += [(name, rgb) for name in names]
    for name, image in pictures:
        image.save(folder / name)
    return [*clips, *(folder / name for name, _ in pictures)]


def flip(data: bytearray, rng: random.Random) -> None:
    """Change a few single bits, near the start in half of the cases."""
    reach = len(data) if rng.random() < 0.5 else min(len(data), 256)
    for _ in range(rng.choice((1, 1, 4, 16))):
        data[rng.randrange(reach)] ^= 1 << rng.randrange(8)


def overwrite(data: bytearray, rng: random.Random) -> None:
    """Write noise or one value over a stretch."""
    start = rng.randrange(len(data))
    stretch = min(rng.choice((4, 32, 256, 2048)), len(data) - start)
    data[start : start + stretch] = (
        rng.randbytes(stretch) if rng.random() < 0.5 else bytes([rng.choice((0, 255))]) * stretch
    )


def cut(data: bytearray, rng: random.Random) -> None:
    """Leave out the end, or a block in the middle."""
    start = rng.randrange(len(data))
    del data[start : len(data) if rng.random() < 0.5 else start + rng.choice((1, 7, 188, 1000))]


def duplicate(data: bytearray, rng: random.Random) -> None:
    """Insert a block again elsewhere."""
    start, length = rng.randrange(len(data)), rng.choice((1, 8, 188, 2000))
    at = rng.randrange(len(data))
    data[at:at] = data[start : start + length]


def swap(data: bytearray, rng: random.Random) -> None:
    """Swap two blocks."""
    length = min(rng.choice((4, 64, 188, 1024)), len(data) // 2)
    first, second = sorted(rng.randrange(len(data) - length + 1) for _ in range(2))
    if second - first >= length:
        one, two = data[first : first + length], data[second : second + length]
        data[first : first + length], data[second : second + length] = two, one


def resize(data: bytearray, rng: random.Random) -> None:
    """Edit a number of 1, 2, 4 or 8 bytes: the lengths and sizes of headers are such."""
    width = rng.choice((1, 2, 4, 4, 8))
    reach = min(len(data), rng.choice((64, 1024, len(data)))) - width
    at, order = rng.randrange(max(reach, 1)), rng.choice(("big", "little"))
    old = int.from_bytes(data[at : at + width], order)
    largest = (1 << 8 * width) - 1
    new = rng.choice(
        (0, 1, largest, largest >> 1, (largest >> 1) + 1, old + 1, old - 1, old * 2, rng.randint(0, largest))
    )
    data[at : at + width] = (new & largest).to_bytes(width, order)


def append(data: bytearray, rng: random.Random) -> None:
    """Add noise, or the file itself, behind the end."""
    data += bytes(data) if rng.random() < 0.5 else rng.randbytes(rng.choice((1, 100, 5000)))


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    flip, flip, overwrite, cut, duplicate, swap, resize, resize, append
)  # fmt: skip


def damaged(files: list[Path], seed: int) -> tuple[Path, bytes]:
    """Return the file that a seed damages, and what it makes of it."""
    rng = random.Random(seed)
    source = files[seed % len(files)]
    data = bytearray(source.read_bytes())
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if data:
            rng.choice(MUTATIONS)(data, rng)
    return source, bytes(data)


def fault_of(sharpener: Sharpener, path: Path, target: Path) -> tuple[str, str | None]:
    """Sharpen a file. Returns what became of it, and what is wrong with that."""
    try:
        if path.suffix in IMAGE_SUFFIXES:
            report = sharpener.image(path, target)
        else:
            report = sharpener.video(path, target, overwrite=True, video_threads=1)
    except AcutanceError as error:
        left = f"an error, and yet {target.name} was written" if target.exists() else None
        lines = "an error of more than one line" if "\n" in str(error) else None
        return f"{type(error).__name__}: {error}", left or lines
    except Exception:
        return "another exception", traceback.format_exc()
    wrong = None if target.is_file() and target.stat().st_size else f"a result, but no {target.name}"
    return f"{report.frames} frames", wrong


def main() -> int:
    """Run the cases that the command line names. Returns 1 if one does not end as it should."""
    folder, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    av.logging.set_level(av.logging.PANIC)
    warnings.simplefilter("ignore")
    files = make_files(folder / "whole")
    save_student(sharpening_student(), folder / "student.safetensors")
    sharpener = Sharpener(folder / "student.safetensors", threads=1)
    failed = 0
    for seed in range(first, first + count):
        source, data = damaged(files, seed)
        path = folder / f"seed{seed}{source.suffix}"
        target = folder / f"out{source.suffix if source.suffix in IMAGE_SUFFIXES else '.mkv'}"
        path.write_bytes(data)
        print(f"{seed} {source.name}", end=" ", flush=True)
        faulthandler.dump_traceback_later(HANG, exit=True)
        ended, wrong = fault_of(sharpener, path, target)
        faulthandler.cancel_dump_traceback_later()
        target.unlink(missing_ok=True)
        print(" ".join(ended.split()), flush=True)
        if wrong is None:
            path.unlink()
        else:
            failed += 1
            print(f"FAULT {path}: {wrong}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
