"""Make docs/pictures/before-after.png, the picture of the README: a face, hair and text, before and after.

    python tools/readme_picture.py                     with the default model
    python tools/readme_picture.py --model balanced    with another one

The source is NASA's portrait of Eileen Collins. It is in the public domain and comes with scikit-image (the extra
``eval``). It moves by one pixel every other frame and goes through a call: half the size, H.264 in real-time
settings, and back to full size. The last frame is shown. Run this again when new students ship.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from acutance.choosing.automatic import AutoSession, open_sharpener
from acutance.cli.exit_codes import exit_code
from acutance.degrade import Yuv420, encode_decode, resize, rgb_from_yuv420, yuv420_from_rgb
from acutance.errors import AcutanceError
from acutance.frame import ColourInfo, Frame
from acutance.io import AtomicOutput
from acutance.metrics import psnr
from acutance.metrics.acutance import AcutanceMeter

OUT = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "before-after.png"
SIDE, FRAMES, FACTOR = 480, 60, 2
DETAILS = ((8, 140), (318, 108))  # top left corners (y, x): face and hair, the crew's badge
DETAIL, ZOOM = 156, 2


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="auto", help="as for acutance sharpen")
    parser.add_argument("--kbps", type=float, default=200.0, help="bit rate of the call in 1000 bit/s")
    parser.add_argument("--out", type=Path, default=OUT, help="the picture (docs/pictures/before-after.png)")
    options = parser.parse_args(arguments)
    try:
        sheet, text = make_sheet(options.model, options.kbps)
        with AtomicOutput(options.out, overwrite=True) as output:
            sheet.save(output.temporary, optimize=True)
    except AcutanceError as error:
        print(f"readme_picture: {error}", file=sys.stderr)
        return exit_code(error)
    print(f"{options.out}: {text}")
    return 0


def make_sheet(model: str, kbps: float) -> tuple[Image.Image, str]:
    """Send the clip through a call and sharpen it. Return the picture and the figures in words."""
    truth = _clip()
    low = (_resized(frame, SIDE // FACTOR) for frame in truth)
    call = encode_decode(low, codec="h264", bitrate_kbps=kbps)
    received = [_resized(frame, SIDE) for frame in call.frames]
    sharpener = open_sharpener(model)
    with sharpener.session() as session:
        sharp = [session.frame(Frame(frame.luma, colour=ColourInfo(matrix=6))).luma for frame in received]
        choice = session.choice if isinstance(session, AutoSession) else None
    name = (choice.student if choice is not None else None) or sharpener.name
    after = Yuv420(np.asarray(sharp[-1], np.uint8), received[-1].cb, received[-1].cr)
    figures = [_figures(frame, truth[-1]) for frame in (received[-1], after)]
    bits = call.size_bytes * 8 / 1000 / (FRAMES / 30)
    names = (f"received: {figures[0][0]:.0%} sharp", f"acutance: {figures[1][0]:.0%} sharp", "original")
    text = f"{SIDE}x{SIDE} sent as {SIDE // FACTOR}x{SIDE // FACTOR}, H.264, {bits:.0f} kbit/s; {name}; "
    text += "; ".join(f"A {a:.3f}, C {c:.3f}, {db:.2f} dB" for a, c, db in figures)
    return _sheet([rgb_from_yuv420(frame) for frame in (received[-1], after, truth[-1])], names), text


def _figures(frame: Yuv420, truth: Yuv420) -> tuple[float, float, float]:
    """Return acutance, coherence and PSNR (dB) of a frame's luma."""
    meter = AcutanceMeter()
    meter.add(frame.luma, truth.luma)
    found = meter.result()
    return found.acutance, found.coherence, psnr(frame.luma, truth.luma)


def _clip() -> list[Yuv420]:
    from skimage import data

    picture: NDArray[np.uint8] = data.astronaut()
    return [yuv420_from_rgb(picture[:SIDE, x : x + SIDE]) for x in np.arange(FRAMES, 0, -1) // 2]


def _resized(frame: Yuv420, side: int) -> Yuv420:
    luma, cb, cr = (np.ascontiguousarray(plane) for plane in frame)
    return Yuv420(resize(luma, side, side), resize(cb, side // 2, side // 2), resize(cr, side // 2, side // 2))


def _sheet(pictures: Sequence[NDArray[np.uint8]], names: Sequence[str]) -> Image.Image:
    tile, gap, head = DETAIL * ZOOM, 8, 40
    sheet = Image.new(
        "RGB", (3 * tile + 2 * gap, head + len(DETAILS) * tile + (len(DETAILS) - 1) * gap), (255, 255, 255)
    )
    draw = ImageDraw.Draw(sheet)
    for column, (name, picture) in enumerate(zip(names, pictures, strict=True)):
        x = column * (tile + gap)
        draw.text((x, head / 2), name, font=ImageFont.load_default(20), fill=(20, 20, 24), anchor="lm")
        for row, (top, left) in enumerate(DETAILS):
            detail = Image.fromarray(np.ascontiguousarray(picture[top : top + DETAIL, left : left + DETAIL]))
            sheet.paste(detail.resize((tile, tile), Image.Resampling.BICUBIC), (x, head + row * (tile + gap)))
    return sheet


if __name__ == "__main__":
    sys.exit(main())
