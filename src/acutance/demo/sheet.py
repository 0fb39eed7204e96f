"""The picture of the demonstration: details of one frame before, after and in truth."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = ["comparison_sheet"]


def comparison_sheet(pictures: Sequence[NDArray[np.uint8]], names: Sequence[str]) -> Image.Image:
    """Draw two enlarged details of a frame in three versions, side by side.

    Args:
        pictures: the frame before, after and in truth: H x W x 3, uint8, RGB.
        names: a caption for each version.

    Returns:
        The sheet, RGB.
    """
    before, after, truth = pictures
    side = max(32, min(240, min(truth.shape[:2]) // 3)) // 2 * 2
    zoom = max(1, 480 // side)
    gap, head = 12, 64
    details = _details(before, after, side)
    tile = side * zoom
    sheet = Image.new("RGB", (3 * tile + 4 * gap, head + len(details) * (tile + gap)), (250, 250, 250))
    draw = ImageDraw.Draw(sheet)
    for column, (name, picture) in enumerate(zip(names, (before, after, truth), strict=True)):
        x = gap + column * (tile + gap)
        size = 22.0
        while size > 9 and draw.textlength(name, font=ImageFont.load_default(size)) > tile:
            size -= 1  # the caption must fit the column
        draw.text((x, head / 2), name, font=ImageFont.load_default(size), fill=(20, 20, 24), anchor="lm")
        for row, (top, left) in enumerate(details):
            crop = Image.fromarray(np.ascontiguousarray(picture[top : top + side, left : left + side]))
            sheet.paste(crop.resize((tile, tile), Image.Resampling.NEAREST), (x, head + row * (tile + gap)))
    return sheet


def _details(before: NDArray[np.uint8], after: NDArray[np.uint8], side: int) -> list[tuple[int, int]]:
    """Return the top left corners (y, x) of the two squares that changed most and do not overlap."""
    change = np.abs(after.astype(np.int16) - before.astype(np.int16)).sum(axis=2)
    height, width = change.shape
    corners = [(y, x) for y in range(0, height - side + 1, side // 4) for x in range(0, width - side + 1, side // 4)]
    corners.sort(key=lambda c: -int(change[c[0] : c[0] + side, c[1] : c[1] + side].sum()))
    chosen = corners[:1]
    chosen += [c for c in corners if max(abs(c[0] - chosen[0][0]), abs(c[1] - chosen[0][1])) >= side][:1]
    return chosen
