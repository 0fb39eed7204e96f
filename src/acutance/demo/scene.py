"""Draw a moving scene with what calls blur: text, fine lines, texture, a slide. It is free to share."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = ["FRAME_RATE", "SIZE", "scene"]

SIZE = (1280, 720)
"""Width and height of the scene."""

FRAME_RATE = 30
"""Frames a second of the scene."""

_SUPERSAMPLE = 2  # the scene is drawn twice as large and scaled down, which gives soft edges as a camera does

_PAGE = (
    "Acutance is the sharpness of an image",
    "as the eye perceives it at its edges.",
    "A call arrives blurred: scaled down to fit",
    "the network, compressed, and scaled up",
    "again to fill the screen. The edges are",
    "still there, only softened. A small network",
    "that learned from a large one puts them",
    "back, sixty times a second.",
)
_BARS = (("Latency", 0.82), ("Sharpness", 0.93), ("Battery", 0.61), ("Bandwidth", 0.38))


def scene(seconds: float, *, seed: int = 1) -> Iterator[NDArray[np.uint8]]:
    """Draw the frames of the scene.

    A page of text scrolls, a fan of fine lines turns, a textured ball rolls, and the bars of a slide grow. The whole
    picture sways as with a hand-held camera.

    Args:
        seconds: length; at least one frame is drawn.
        seed: seed of the textures.

    Yields:
        720 x 1280 x 3, uint8, RGB.
    """
    rng = np.random.default_rng(seed)
    width, height = (side * _SUPERSAMPLE for side in SIZE)
    margin = 24 * _SUPERSAMPLE
    background = _background(rng, width + 2 * margin, height + 2 * margin)
    texture = _texture(rng, 700 * _SUPERSAMPLE)
    for index in range(max(1, round(seconds * FRAME_RATE))):
        time = index / FRAME_RATE
        sway_x = round(margin * 0.5 * math.sin(time * 0.9))
        sway_y = round(margin * 0.4 * math.sin(time * 1.3 + 1))
        picture = background.crop((margin + sway_x, margin + sway_y, margin + sway_x + width, margin + sway_y + height))
        draw = ImageDraw.Draw(picture)
        _page(draw, time, -sway_x, -sway_y)
        _slide(draw, time, -sway_x, -sway_y)
        _lines(draw, time, -sway_x, -sway_y)
        _ball(picture, texture, time)
        yield np.asarray(picture.resize(SIZE, Image.Resampling.BOX))


def _px(value: float) -> float:
    return value * _SUPERSAMPLE


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_px(size))


def _background(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Draw a wall with a gradient of light and a little grain."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    light = 168 - 60 * np.hypot(x / width - 0.3, y / height - 0.2)
    light += np.repeat(np.repeat(rng.normal(0, 2.0, (height // 4 + 1, width // 4 + 1)), 4, 0), 4, 1)[:height, :width]
    rgb = np.stack([light * 0.96, light, light * 1.05], axis=-1)
    return Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8))


def _texture(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    """Return woven cloth that is large enough for the ball to roll without a seam."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    weave = 26 * np.sin(x / _px(1.6)) * np.sin(y / _px(1.6)) + 22 * np.sin((x + y) / _px(5.0))
    noise = np.repeat(np.repeat(rng.normal(0, 14, (side // 3 + 1, side // 3 + 1)), 3, 0), 3, 1)[:side, :side]
    base = 128 + weave + noise
    cloth = np.stack([base * 1.05, base * 0.78, base * 0.62], axis=-1)
    return np.array(np.clip(cloth, 0, 255), np.uint8)


def _page(draw: ImageDraw.ImageDraw, time: float, dx: float, dy: float) -> None:
    left, top, right, bottom = (_px(v) for v in (60, 60, 560, 430))
    draw.rectangle((left + dx, top + dy, right + dx, bottom + dy), fill=(246, 244, 238), outline=(190, 186, 178))
    font = _font(21)
    scroll = (time * 14) % 46
    for i in range(-1, 9):
        line = _PAGE[(i + int(time * 14 // 46)) % len(_PAGE)]
        y = top + _px(i * 46 + 46 - scroll)
        if top + _px(6) < y < bottom - _px(34):
            draw.text((left + _px(26) + dx, y + dy), line, font=font, fill=(34, 34, 40))


def _slide(draw: ImageDraw.ImageDraw, time: float, dx: float, dy: float) -> None:
    left, top, right, bottom = (_px(v) for v in (700, 60, 1220, 330))
    draw.rectangle((left + dx, top + dy, right + dx, bottom + dy), fill=(24, 34, 58))
    draw.text((left + _px(24) + dx, top + _px(16) + dy), "Quarterly review", font=_font(30), fill=(240, 243, 250))
    for i, (name, share) in enumerate(_BARS):
        y = top + _px(76 + i * 46) + dy
        draw.text((left + _px(24) + dx, y), name, font=_font(16), fill=(190, 202, 226))
        grown = share * (0.86 + 0.14 * math.sin(time * 1.1 + i))
        x = left + _px(150) + dx
        draw.rectangle((x, y + _px(3), x + _px(320 * grown), y + _px(19)), fill=(86, 156, 250))
        draw.text((x + _px(320 * grown + 8), y), f"{grown * 100:.0f}%", font=_font(15), fill=(240, 243, 250))


def _lines(draw: ImageDraw.ImageDraw, time: float, dx: float, dy: float) -> None:
    """Draw a fan of lines that converge, as on a test chart."""
    cx, cy, radius = _px(960) + dx, _px(540) + dy, _px(150)
    draw.ellipse((cx - radius, cy - radius, cx + radius, cy + radius), fill=(238, 238, 236))
    spokes = 60
    for i in range(spokes):
        angle = 2 * math.pi * i / spokes + time * 0.12
        inner = radius * 0.25
        half = math.pi / spokes / 2
        corners = [
            (cx + r * math.cos(a), cy + r * math.sin(a))
            for r, a in ((inner, angle - half), (radius, angle - half), (radius, angle + half), (inner, angle + half))
        ]
        draw.polygon(corners, fill=(28, 28, 30))


def _ball(picture: Image.Image, texture: NDArray[np.uint8], time: float) -> None:
    """Draw a ball of cloth that rolls left and right along the bottom."""
    radius = int(_px(95))
    x = int(_px(330 + 170 * math.sin(time * 0.7)))
    y = int(_px(585))
    turn = int(_px(170 * math.sin(time * 0.7)))
    side = 2 * radius
    rows, columns = np.mgrid[0:side, 0:side]
    u, v = (columns - radius) / radius, (rows - radius) / radius
    depth = np.sqrt(np.clip(1 - u * u - v * v, 0, 1))
    centre = texture.shape[0] // 2
    cloth = texture[
        centre + (np.arcsin(np.clip(v, -1, 1)) * radius).astype(int),
        centre + (np.arctan2(u, depth + 1e-6) * radius).astype(int) - turn,
    ]
    shaded = np.clip(cloth * (0.35 + 0.75 * depth[..., None]), 0, 255).astype(np.uint8)
    mask = Image.fromarray(((u * u + v * v) <= 1).astype(np.uint8) * 255)
    picture.paste(Image.fromarray(shaded), (x - radius, y - radius), mask)
