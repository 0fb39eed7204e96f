"""Comparison sheets: the crops that changed most, before, after, by a teacher and in truth, in one picture."""

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from acutance.errors import UsageError
from acutance.evaluate.restorers import Rgb
from acutance.luma import luma_from_rgb
from acutance.metrics import psnr

__all__ = ["Crop", "CropCollector", "draw_sheet"]

TRUTH = "truth"
_ENLARGE = 3
_MARGIN, _GAP, _LINE = 28, 14, 1
_PAPER, _INK, _QUIET, _BEST = (250, 250, 248), (24, 26, 30), (110, 114, 122), (0, 110, 70)
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Crop:
    """A square that is cut from one picture.

    Attributes:
        picture: Name of the picture.
        left: Column of the square's left edge.
        top: Row of its top edge.
        score: Mean absolute change of luma in the square, in code values.
        columns: The square by every method, in order; ``truth`` last where it is known.
        psnr_y: PSNR of each column against the truth, in dB.
    """

    picture: str
    left: int
    top: int
    score: float
    columns: Mapping[str, Rgb] = field(repr=False)
    psnr_y: Mapping[str, float]


class CropCollector:
    """Keeps the crops that changed most, at most one of each picture.

    A crop is chosen where one method changed the luma of its input most, for better or worse.

    Args:
        columns: Methods to show, in order, with the titles of their columns.
        after: The method whose change decides.
        rows: How many crops to keep.
        size: Side of a crop in pixels, at least 16.
        border: Pixels to leave out at the edges of each picture.

    Raises:
        UsageError: ``after`` is not among the columns, or the sheet would be empty.
    """

    def __init__(
        self, columns: Mapping[str, str], *, after: str, rows: int = 6, size: int = 72, border: int = 2
    ) -> None:
        if after not in columns:
            raise UsageError(f"crops are chosen by {after!r}, which is not among {', '.join(columns)}")
        if rows < 1 or size < 16:
            raise UsageError(f"a sheet needs at least 1 row of 16 pixels, not {rows} of {size}")
        self._columns, self._after = dict(columns), after
        self._rows, self._size, self._border = rows, size, border
        self._kept: list[tuple[float, int, Crop]] = []
        self._seen = 0

    def add(self, name: str, before: Rgb, outputs: Mapping[str, Rgb], truth: Rgb | None) -> None:
        """Add a picture. A picture smaller than a crop is skipped.

        Args:
            name: Name of the picture.
            before: The input, H x W x 3, uint8.
            outputs: The picture by each method, of the same size. A method that is missing has no column.
            truth: Of the same size; None where it is not known.
        """
        self._seen += 1
        height, width = before.shape[:2]
        if min(height, width) < self._size + 2 * self._border or self._after not in outputs:
            return
        change = np.abs(luma_from_rgb(outputs[self._after]) - luma_from_rgb(before))
        score, left, top = _densest(change, self._size, self._border)
        if len(self._kept) >= self._rows and score <= self._kept[0][0]:
            return
        square = np.s_[top : top + self._size, left : left + self._size]
        columns = {title: outputs[key][square].copy() for key, title in self._columns.items() if key in outputs}
        quality: dict[str, float] = {}
        if truth is not None:
            target = truth[square].copy()
            quality = {title: psnr(luma_from_rgb(c), luma_from_rgb(target)) for title, c in columns.items()}
            columns[TRUTH] = target
        entry = (score, -self._seen, Crop(name, left, top, score, columns, quality))
        if len(self._kept) < self._rows:
            heapq.heappush(self._kept, entry)
        else:
            heapq.heapreplace(self._kept, entry)

    @property
    def crops(self) -> list[Crop]:
        """The crops that are kept, the one with the largest change first."""
        return [crop for _, _, crop in sorted(self._kept, key=lambda entry: entry[:2], reverse=True)]


def _densest(change: NDArray[np.float32], size: int, border: int) -> tuple[float, int, int]:
    """Return (mean, left, top) of the square with the largest mean, on a grid of a quarter of its side."""
    sums = np.zeros((change.shape[0] + 1, change.shape[1] + 1))
    sums[1:, 1:] = change.cumsum(0, dtype=np.float64).cumsum(1)
    step = max(1, size // 4)
    tops = np.arange(border, change.shape[0] - border - size + 1, step)[:, None]
    lefts = np.arange(border, change.shape[1] - border - size + 1, step)[None, :]
    means = sums[tops + size, lefts + size] - sums[tops, lefts + size] - sums[tops + size, lefts] + sums[tops, lefts]
    row, column = (int(i) for i in np.unravel_index(int(np.argmax(means)), means.shape))
    return float(means[row, column]) / size**2, int(lefts[0, column]), int(tops[row, 0])


def draw_sheet(crops: Sequence[Crop], *, title: str = "", note: str = "") -> Image.Image:
    """Draw crops in rows, enlarged three times without smoothing.

    Args:
        crops: One row each, with the titles of the columns above and PSNR below.
        title: Line above the sheet.
        note: Small line below it.

    Raises:
        UsageError: There are no crops.
    """
    if not crops:
        raise UsageError("no picture is large enough for a comparison sheet")
    heads = list(dict.fromkeys(t for crop in crops for t in crop.columns if t != TRUTH))
    heads += [TRUTH] if any(TRUTH in crop.columns for crop in crops) else []
    cell = max(c.shape[0] for crop in crops for c in crop.columns.values()) * _ENLARGE
    title_font, head_font, small = (ImageFont.load_default(size) for size in (24, 17, 14))
    columns = [_wrapped(head, head_font, cell) for head in heads]
    width = 2 * _MARGIN + len(heads) * cell + (len(heads) - 1) * _GAP
    title_lines = _wrapped(title, title_font, width - 2 * _MARGIN) if title else []
    note_lines = _wrapped(note, small, width - 2 * _MARGIN) if note else []
    head_height = max(len(c) for c in columns) * 22 + 6
    caption, figures = 24, 26  # the name of the picture above a row, decibels below it
    row_height = caption + cell + figures + 12
    top = _MARGIN + (len(title_lines) * 32 + 10 if title_lines else 0)
    foot = 12 + len(note_lines) * 19 if note_lines else 0
    height = top + head_height + len(crops) * row_height + foot + _MARGIN - 12
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, line in enumerate(title_lines):
        draw.text((_MARGIN, _MARGIN - 4 + 32 * i), line, _INK, title_font)
    for column, lines in enumerate(columns):
        middle = _MARGIN + column * (cell + _GAP) + cell / 2
        for i, line in enumerate(lines):
            y = top + head_height - 6 - 22 * (len(lines) - i)
            draw.text((middle, y), line, _INK, head_font, anchor="ma")
    for row, crop in enumerate(crops):
        y = top + head_height + row * row_height
        place = f"{crop.picture}, at {crop.left}, {crop.top}"
        draw.text((_MARGIN, y + 4), _shortened(place, small, width - 2 * _MARGIN), _QUIET, small)
        best = max((v for v in crop.psnr_y.values()), default=math.inf)
        for column, head in enumerate(heads):
            if head not in crop.columns:
                continue
            x = _MARGIN + column * (cell + _GAP)
            picture = Image.fromarray(crop.columns[head])
            side = (picture.width * _ENLARGE, picture.height * _ENLARGE)
            sheet.paste(picture.resize(side, Image.Resampling.NEAREST), (x, y + caption))
            draw.rectangle(
                (x - _LINE, y + caption - _LINE, x + side[0], y + caption + side[1]), outline=(205, 205, 203)
            )
            if head in crop.psnr_y:
                value = crop.psnr_y[head]
                text = "equal" if math.isinf(value) else f"{value:.2f} dB"
                colour = _BEST if value == best else _INK
                draw.text((x + cell / 2, y + caption + cell + 6), text, colour, small, anchor="ma")
    for i, line in enumerate(note_lines):
        draw.text((_MARGIN, height - _MARGIN - 19 * (len(note_lines) - i) + 6), line, _QUIET, small)
    return sheet


def _wrapped(text: str, font: _Font, width: float) -> list[str]:
    """Return lines that fit a width, broken at spaces, and within a word only if it is too long for a line."""
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(joined) <= width:
            lines[-1] = joined
            continue
        while font.getlength(word) > width:
            fitting = max(1, sum(font.getlength(word[:n]) <= width for n in range(1, len(word))))
            # Names of models are easier to read when they break behind a hyphen.
            cut = word.rfind("-", 1, fitting) + 1 or fitting
            lines.append(word[:cut])
            word = word[cut:]
        lines.append(word)
    return lines or [""]


def _shortened(text: str, font: _Font, width: float) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[1:]
    return "…" + text
