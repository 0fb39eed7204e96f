"""Pages of text that the program draws, and how many of their characters an OCR reads wrong."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = ["COLUMNS", "PAGES", "characters_wrong", "distance", "draw_page", "read_page", "readers"]

PAGES = 4

COLUMNS = 2
"""Of a page. PP-OCR cannot read lines that are more than about forty times as long as they are high."""

_SIZE = (960, 720)
_SIZES = (30, 26, 22, 20, 18, 17, 16, 15)  # pixels
_TEXT = """the quick meeting starts with a short review of last week and every figure on this page was measured twice
before anyone wrote it down so that nobody has to guess what the next quarter will cost or which team moves first"""
_WORDS = _TEXT.split()

Rgb = NDArray[np.uint8]


def draw_page(number: int) -> tuple[Rgb, list[str]]:
    """Draw a page of two columns of text in falling sizes, as a shared document has them.

    Args:
        number: 0 to 3. Even pages are light, odd ones dark.

    Returns:
        The page, 720 x 960 x 3, and the text of each column.
    """
    rng = np.random.default_rng((11, number))
    dark = number % 2 == 1
    page = Image.new("RGB", _SIZE, (28, 30, 36) if dark else (252, 252, 250))
    draw = ImageDraw.Draw(page)
    width = _SIZE[0] // COLUMNS
    said = []
    for column in range(COLUMNS):
        y, lines = 24.0, []
        for size in _SIZES:
            font = ImageFont.load_default(size)
            for _ in range(2):
                line = ""
                while True:
                    word = _WORDS[int(rng.integers(len(_WORDS)))]
                    if draw.textlength(f"{line} {word}", font=font) > width - 48:
                        break
                    line = f"{line} {word}".strip()
                draw.text((column * width + 24, y), line, font=font, fill=(236, 236, 230) if dark else (24, 24, 28))
                lines.append(line)
                y += size * 1.55
        said.append("\n".join(lines))
    return np.asarray(page), said


def readers() -> list[str]:
    """Return the OCR programs that are installed: ``tesseract``, ``rapidocr``."""
    found = ["tesseract"] if shutil.which("tesseract") else []
    return found + (["rapidocr"] if _rapidocr() is not None else [])


def characters_wrong(luma: NDArray[np.uint8], said: Sequence[str], reader: str) -> int:
    """Return how many characters would have to be changed in what an OCR reads.

    Args:
        luma: Luma plane of limited range of a page, H x W.
        said: What each column of the page says. Lines and spaces do not count.
        reader: One of :func:`readers`.
    """
    grey = np.clip(np.rint((luma.astype(np.float32) - 16) * np.float32(255 / 219)), 0, 255).astype(np.uint8)
    columns = np.split(grey, len(said), axis=1)
    return sum(
        distance("".join(read_page(column, reader).split()), "".join(text.split()))
        for column, text in zip(columns, said, strict=True)
    )


def read_page(picture: NDArray[np.uint8], reader: str) -> str:
    """Return the text that an OCR reads on a page of one column.

    Args:
        picture: H x W or H x W x 3, full range.
        reader: One of :func:`readers`.
    """
    return _tesseract(picture) if reader == "tesseract" else _paddle(picture)


def _tesseract(picture: NDArray[np.uint8]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.png"
        Image.fromarray(picture).save(path)
        command = ["tesseract", str(path), "-", "--psm", "6", "-l", "eng"]
        # Its four threads wait for each other more than they work.
        one_thread = {**os.environ, "OMP_THREAD_LIMIT": "1"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=one_thread)
    return done.stdout


@cache
def _rapidocr() -> Any:
    try:
        from rapidocr import RapidOCR
    except ImportError:
        return None
    return RapidOCR(params={"Global.log_level": "error"})


def _paddle(picture: NDArray[np.uint8]) -> str:
    result = _rapidocr()(picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2))
    if result.txts is None:
        return ""
    # Boxes come from top to bottom; those of one line, from left to right.
    lines = sorted(zip(result.boxes, result.txts, strict=True), key=lambda b: (round(b[0][0][1] / 12), b[0][0][0]))
    return " ".join(text for _, text in lines)


def distance(first: str, second: str) -> int:
    """Return Levenshtein's distance between two strings."""
    row = np.arange(len(second) + 1)
    letters = np.frombuffer(second.encode("utf-32-le"), np.uint32)
    for number, letter in enumerate(first, start=1):
        new = np.minimum(row[1:] + 1, row[:-1] + (letters != ord(letter)))
        out = np.concatenate([[number], new])
        row = np.minimum.accumulate(out - np.arange(len(out))) + np.arange(len(out))  # insertions
    return int(row[-1])
