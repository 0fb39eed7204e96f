"""Sheets to look at: details of a call as received, as each method restores them, and in truth."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from _calls.cases import Case
from _calls.clips import CLIPS, Luma, read_source
from _calls.restorers import open_restorers
from _calls.send import send
from acutance.degrade import Yuv420, rgb_from_yuv420
from acutance.io import AtomicOutput

__all__ = ["draw_sheets", "find_details", "worst_calls"]

_ZOOM = 3
_SIDE = 120  # pixels of a detail that is enlarged
_GAP, _HEAD = 10, 54

Rgb = NDArray[np.uint8]


def worst_calls(rows: Sequence[Mapping[str, Any]], method: str, count: int) -> list[Mapping[str, Any]]:
    """Return the calls on which a method does worst: first those it makes worse, then those it restores least.

    The order is that of the gain in ColorVideoVDP where it was measured, else in PSNR.
    """

    def gain(row: Mapping[str, Any]) -> float:
        figures, received = row["methods"][method], row["methods"]["input"]
        if "jod" in figures:
            return float(figures["jod"] - received["jod"])
        return float(figures["psnr"] - received["psnr"])

    return sorted((row for row in rows if method in row["methods"]), key=gain)[:count]


def draw_sheets(data: Path, report: Mapping[str, Any], folder: Path, *, count: int) -> list[Path]:
    """Draw a sheet for each of the worst calls of a report's second method, and return the files.

    Args:
        data: The data folder.
        report: What ``calls.py`` wrote. Its methods must be such as :func:`open_restorers` takes.
        folder: Where the PNG files go.
        count: How many calls.
    """
    methods = list(report["methods"])
    folder.mkdir(parents=True, exist_ok=True)
    restorers = open_restorers(methods)
    paths = []
    for number, row in enumerate(worst_calls(report["rows"], methods[1], count), start=1):
        case = Case(**{name: row[name] for name in Case.__dataclass_fields__})
        clip = next(c for c in CLIPS if c.name == case.clip)
        call = send(read_source(data, clip, frames=report["frames"], step=2 if case.halved else 1), case)
        at = len(call.truth) // 2
        truth, shown = call.truth[at], call.shown[at]
        columns = {r.name: rgb_from_yuv420(shown._replace(luma=r.restore(call)[0][at])) for r in restorers}
        columns["truth"] = rgb_from_yuv420(Yuv420(*truth))
        figures = {name: _caption(row["methods"].get(name, {})) for name in columns}
        sheet = _sheet(columns, figures, find_details(truth.luma, columns["truth"]), case.key)
        path = folder / f"{number:02d}-{case.key}.png"
        with AtomicOutput(path, overwrite=True) as output:
            sheet.save(output.temporary, "PNG")
        paths.append(path)
    return paths


def _caption(figures: Mapping[str, Any]) -> str:
    if not figures:
        return ""
    text = f"{figures['psnr']:.2f} dB"
    if figures["acutance"] is not None:
        text += f"  A {figures['acutance']:.2f} C {figures['coherence']:.2f}"
    return text + (f"  {figures['jod']:.2f} JOD" if "jod" in figures else "")


def find_details(luma: Luma, rgb: Rgb) -> dict[str, tuple[int, int]]:
    """Return the top left corner of details worth a look, by name.

    A face and the hair above it, where scikit-image finds a face; and the two places with the most detail.
    """
    height, width = luma.shape
    found: dict[str, tuple[int, int]] = {}
    for top, left, side in _faces(rgb):
        centre = left + side // 2 - _SIDE // 2
        found["face"] = _inside(top + side // 2 - _SIDE // 2, centre, height, width)
        found["hair"] = _inside(top - _SIDE // 2, centre, height, width)
        break
    # Second differences mark text and fine lines more than the edges of large things.
    plane = luma.astype(np.float32)
    detail = np.abs(4 * plane[1:-1, 1:-1] - plane[:-2, 1:-1] - plane[2:, 1:-1] - plane[1:-1, :-2] - plane[1:-1, 2:])
    corners = [(y, x) for y in range(0, height - _SIDE + 1, 24) for x in range(0, width - _SIDE + 1, 24)]
    corners.sort(key=lambda c: -float(detail[c[0] : c[0] + _SIDE, c[1] : c[1] + _SIDE].mean()))
    for corner in corners:
        if all(max(abs(corner[0] - y), abs(corner[1] - x)) >= _SIDE for y, x in found.values()):
            found[f"detail {1 + sum(name.startswith('detail') for name in found)}"] = corner
        if len(found) >= (4 if "face" in found else 3):
            break
    return found


def _faces(rgb: Rgb) -> list[tuple[int, int, int]]:
    """Return (top, left, side) of faces, the largest first; none where scikit-image is not installed."""
    try:
        from skimage.data import lbp_frontal_face_cascade_filename
        from skimage.feature import Cascade
    except ImportError:
        return []
    detector = Cascade(lbp_frontal_face_cascade_filename())
    found = detector.detect_multi_scale(
        rgb, scale_factor=1.2, step_ratio=1, min_size=(60, 60), max_size=(360, 360), min_neighbor_number=6
    )
    return sorted(((f["r"], f["c"], f["width"]) for f in found), key=lambda f: -f[2])


def _inside(top: int, left: int, height: int, width: int) -> tuple[int, int]:
    return min(max(0, top), height - _SIDE), min(max(0, left), width - _SIDE)


def _sheet(
    columns: Mapping[str, Rgb], captions: Mapping[str, str], details: Mapping[str, tuple[int, int]], title: str
) -> Image.Image:
    """Draw each detail enlarged three times, and below it a wider part at 100 %."""
    tile, low = _SIDE * _ZOOM, _SIDE * 2
    row_height = tile + low + 2 * _GAP
    sheet = Image.new(
        "RGB", (len(columns) * (tile + _GAP) + _GAP, 30 + _HEAD + len(details) * row_height), (250, 250, 250)
    )
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, 8), title, font=ImageFont.load_default(18), fill=(20, 20, 24))
    for column, (name, picture) in enumerate(columns.items()):
        x = _GAP + column * (tile + _GAP)
        draw.text((x, 32), name, font=ImageFont.load_default(18), fill=(20, 20, 24))
        draw.text((x, 56), captions[name], font=ImageFont.load_default(16), fill=(60, 60, 70))
        for row, (kind, (top, left)) in enumerate(details.items()):
            y = 30 + _HEAD + row * row_height
            crop = Image.fromarray(picture[top : top + _SIDE, left : left + _SIDE])
            sheet.paste(crop.resize((tile, tile), Image.Resampling.NEAREST), (x, y))
            wide_top = min(max(0, top - _SIDE // 2), picture.shape[0] - low)
            wide_left = min(max(0, left - _SIDE), picture.shape[1] - tile)
            wide = picture[max(0, wide_top) : wide_top + low, max(0, wide_left) : wide_left + tile]
            sheet.paste(Image.fromarray(np.ascontiguousarray(wide)), (x, y + tile + _GAP))
            if column == 0:
                draw.text((x + 4, y + 2), kind, font=ImageFont.load_default(16), fill=(255, 220, 0))
    return sheet
