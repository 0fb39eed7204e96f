"""A window: pictures as YUV textures, which SDL or the graphics card turns into colours; before and after side by side.

SDL 2 through PySDL2 (``acutance[live]``). Everything happens in the thread that opens it, which must be the main one.
"""

import ctypes
import math
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acutance._util.extras import require
from acutance.errors import OutputError
from acutance.frame import Frame, Plane
from acutance.io._frames import converted
from acutance.io.sink import LiveSink, Shown
from acutance.io.source import SourceInfo

__all__ = ["KEYS", "Window"]

KEYS = {
    "space": "sharpening on or off",
    "s": "split view: before on the left; drag the line",
    "+": "stronger",
    "-": "weaker",
    "m": "next tier",
    "p": "pause",
    "f": "full screen",
    "c": "save what is shown as a PNG",
    "i": "the line of figures on or off",
    "h": "these keys",
    "q": "quit",
}
"""What :attr:`Window.on_key` is called with, beside those that the window answers itself (s, f, i, h)."""

_NAMES = {"+": ("+", "=", "Keypad +"), "-": ("-", "Keypad -"), "q": ("q", "escape"), "space": ("space",)}
_GRAB = 14  # pixels beside the divider in which it can be taken hold of
_SHARE_OF_SCREEN = 0.85
_FONT = 15
_PADDING = 8
_JPEG, _BT601, _BT709 = 0, 1, 2  # SDL_YUV_CONVERSION_MODE, which PySDL2 does not name


class Window(LiveSink):
    """Shows frames in a window that can be resized. on_key: called with a name of :data:`KEYS`.

    ``status`` and ``alert`` may be set at any time: the line of figures, and what stands in the middle while no frames
    come. ``closed``: the user closed it. ``visible``: False while it is minimised or hidden, or the screen is locked as
    far as SDL is told.
    Opening raises MissingExtraError, and OutputError where there is no display.
    """

    name = "window"
    main_thread = True

    def __init__(
        self, *, title: str = "acutance", split: bool = False, fullscreen: bool = False,
        on_key: Callable[[str], None] | None = None,
    ) -> None:  # fmt: skip
        self.title, self.on_key = title, on_key
        self.split, self.fullscreen = split, fullscreen
        self.divider = 0.5
        self.status, self.alert = "", ""
        self.figures = True
        self.help = False
        self.closed, self.visible = False, True
        self._sdl: Any = None
        self._window: Any = None
        self._renderer: Any = None
        self._textures: dict[str, tuple[Any, tuple[int, int]]] = {}
        self._texts: dict[str, tuple[Any, tuple[int, int], tuple[str, ...]]] = {}
        self._shown: Shown | None = None
        self._dragging = False

    # -- life -------------------------------------------------------------------------------------------------------

    def open(self, info: SourceInfo) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says which library it has found
            self._sdl = sdl = require("sdl2", extra="live", purpose="a window")
        os.environ.setdefault("SDL_VIDEO_X11_WMCLASS", "acutance")  # what desktops group windows by
        sdl.SDL_SetHint(sdl.SDL_HINT_RENDER_SCALE_QUALITY, b"linear")
        sdl.SDL_SetHint(sdl.SDL_HINT_VIDEO_ALLOW_SCREENSAVER, b"1")
        if sdl.SDL_InitSubSystem(sdl.SDL_INIT_VIDEO):
            raise OutputError(f"window: there is no display to open one on ({self._error()})")
        width, height = self._first_size(info.width, info.height)
        flags = sdl.SDL_WINDOW_RESIZABLE | sdl.SDL_WINDOW_ALLOW_HIGHDPI
        if self.fullscreen:
            flags |= sdl.SDL_WINDOW_FULLSCREEN_DESKTOP
        centered = sdl.SDL_WINDOWPOS_CENTERED
        self._window = sdl.SDL_CreateWindow(self.title.encode(), centered, centered, width, height, flags)
        if not self._window:
            raise OutputError(f"window: cannot be opened: {self._error()}")
        self._renderer = sdl.SDL_CreateRenderer(self._window, -1, sdl.SDL_RENDERER_PRESENTVSYNC)
        if not self._renderer:
            self._renderer = sdl.SDL_CreateRenderer(self._window, -1, sdl.SDL_RENDERER_SOFTWARE)
        if not self._renderer:
            raise OutputError(f"window: cannot be drawn in: {self._error()}")
        self._draw()

    def _error(self) -> str:
        return str(self._sdl.SDL_GetError().decode(errors="replace")) or "no reason given"

    def _first_size(self, width: int, height: int) -> tuple[int, int]:
        """The picture's size, or as much of it as the screen has room for."""
        bounds = self._sdl.SDL_Rect()
        if self._sdl.SDL_GetDisplayUsableBounds(0, ctypes.byref(bounds)) or not bounds.w:
            return width, height
        fit = min(1.0, _SHARE_OF_SCREEN * bounds.w / width, _SHARE_OF_SCREEN * bounds.h / height)
        return max(160, round(width * fit)), max(90, round(height * fit))

    def close(self) -> None:
        sdl, self._shown = self._sdl, None
        if sdl is None:
            return
        for texture, *_ in (*self._textures.values(), *self._texts.values()):
            sdl.SDL_DestroyTexture(texture)
        self._textures, self._texts = {}, {}
        if self._renderer:
            sdl.SDL_DestroyRenderer(self._renderer)
        if self._window:
            sdl.SDL_DestroyWindow(self._window)
        self._renderer = self._window = None
        sdl.SDL_QuitSubSystem(sdl.SDL_INIT_VIDEO)
        self._sdl = None

    # -- pictures ---------------------------------------------------------------------------------------------------

    def show(self, shown: Shown) -> None:
        if self._renderer is None:
            raise OutputError("window: is not open")
        if self._shown is None and shown.frame.rotation % 180 == 90 and not self.fullscreen:
            width, height = self._first_size(shown.frame.height, shown.frame.width)
            self._sdl.SDL_SetWindowSize(self._window, width, height)
        self._shown = shown
        self._upload("after", shown.frame)
        if self.split:
            self._upload("before", shown.before)
        self._draw()

    def _upload(self, name: str, frame: Frame) -> None:
        sdl = self._sdl
        planar = converted(frame, frame.width, frame.height)
        luma, chroma = _packed(planar.luma), [_packed(plane) for plane in planar.chroma or ()]
        size = (frame.width, frame.height)
        texture, known = self._textures.get(name, (None, (0, 0)))
        if known != size:
            if texture is not None:
                sdl.SDL_DestroyTexture(texture)
            texture = sdl.SDL_CreateTexture(
                self._renderer, sdl.SDL_PIXELFORMAT_IYUV, sdl.SDL_TEXTUREACCESS_STREAMING, *size
            )
            if not texture:
                raise OutputError(f"window: a picture of {size[0]} x {size[1]} cannot be shown: {self._error()}")
            self._textures[name] = texture, size
        planes = (luma, *chroma)
        arguments = [value for plane in planes for value in (_pointer(plane), plane.strides[0])]
        if sdl.SDL_UpdateYUVTexture(texture, None, *arguments):
            raise OutputError(f"window: a picture cannot be shown: {self._error()}")

    def _draw(self) -> None:
        sdl, renderer, shown = self._sdl, self._renderer, self._shown
        if renderer is None:
            return
        sdl.SDL_SetRenderDrawColor(renderer, 18, 18, 20, 255)
        sdl.SDL_RenderClear(renderer)
        width, height = self._drawable()
        if shown is not None and "after" in self._textures:
            frame = shown.frame
            sdl.SDL_SetYUVConversionMode(_conversion(frame))
            place, drawn = self._places(frame, width, height)
            if self.split and "before" in self._textures:
                line = round(place[0] + place[2] * self.divider)
                self._clipped("before", drawn, frame.rotation, (0, 0, line, height))
                self._clipped("after", drawn, frame.rotation, (line, 0, width - line, height))
                sdl.SDL_SetRenderDrawColor(renderer, 255, 255, 255, 255)
                sdl.SDL_RenderFillRect(renderer, sdl.SDL_Rect(line - 1, place[1], 2, place[3]))
                self._text("before", ("before",), (place[0] + _PADDING, place[1] + _PADDING))
                self._text("sharp", ("after",), (place[0] + place[2] - _PADDING, place[1] + _PADDING), right=True)
            else:
                self._clipped("after", drawn, frame.rotation, None)
        if self.figures and self.status:
            self._text("status", (self.status,), (_PADDING, height - _PADDING), bottom=True)
        if self.help:
            lines = tuple(f"{key}:  {what}" for key, what in KEYS.items())
            self._text("help", lines, (width // 2, height // 2), centre=True)
        elif self.alert:
            self._text("alert", (self.alert,), (width // 2, height // 2), centre=True)
        sdl.SDL_RenderPresent(renderer)

    def _drawable(self) -> tuple[int, int]:
        width, height = ctypes.c_int(), ctypes.c_int()
        self._sdl.SDL_GetRendererOutputSize(self._renderer, ctypes.byref(width), ctypes.byref(height))
        return width.value, height.value

    @staticmethod
    def _places(frame: Frame, width: int, height: int) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
        """Where the picture is seen (left, top, width, height), and where it is drawn before it is turned about its
        middle: as large as fits, in its own proportions."""
        aspect = float(frame.sample_aspect_ratio or 1)
        own_width, own_height = frame.width * aspect, float(frame.height)
        turned = frame.rotation % 180 == 90
        seen = (own_height, own_width) if turned else (own_width, own_height)
        fit = min(width / seen[0], height / seen[1])
        shown_width, shown_height = round(seen[0] * fit), round(seen[1] * fit)
        place = ((width - shown_width) // 2, (height - shown_height) // 2, shown_width, shown_height)
        if not turned:
            return place, place
        middle = place[0] + shown_width / 2, place[1] + shown_height / 2
        left, top = math.floor(middle[0] - shown_height / 2), math.floor(middle[1] - shown_width / 2)
        return place, (left, top, shown_height, shown_width)

    def _clipped(
        self, name: str, drawn: tuple[int, int, int, int], rotation: int, clip: tuple[int, int, int, int] | None
    ) -> None:
        sdl = self._sdl
        sdl.SDL_RenderSetClipRect(self._renderer, None if clip is None else sdl.SDL_Rect(*clip))
        # SDL turns clockwise, frames are turned counter-clockwise.
        sdl.SDL_RenderCopyEx(
            self._renderer, self._textures[name][0], None, sdl.SDL_Rect(*drawn), -float(rotation), None, 0
        )
        sdl.SDL_RenderSetClipRect(self._renderer, None)

    def _text(
        self, name: str, lines: tuple[str, ...], place: tuple[int, int], *,
        right: bool = False, bottom: bool = False, centre: bool = False,
    ) -> None:  # fmt: skip
        sdl = self._sdl
        texture, size, known = self._texts.get(name, (None, (0, 0), ()))
        if known != lines:
            if texture is not None:
                sdl.SDL_DestroyTexture(texture)
            pixels = _drawn(lines)
            size = pixels.shape[1], pixels.shape[0]
            texture = sdl.SDL_CreateTexture(
                self._renderer, sdl.SDL_PIXELFORMAT_RGBA32, sdl.SDL_TEXTUREACCESS_STATIC, *size
            )
            sdl.SDL_SetTextureBlendMode(texture, sdl.SDL_BLENDMODE_BLEND)
            sdl.SDL_UpdateTexture(texture, None, pixels.ctypes.data_as(ctypes.c_void_p), 4 * size[0])
            self._texts[name] = texture, size, lines
        left = place[0] - (size[0] if right else size[0] // 2 if centre else 0)
        top = place[1] - (size[1] if bottom else size[1] // 2 if centre else 0)
        sdl.SDL_RenderCopy(self._renderer, texture, None, sdl.SDL_Rect(left, top, *size))

    # -- the user ---------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Answer keys, mouse and system; draws again where that changes the picture."""
        sdl = self._sdl
        if sdl is None:
            return
        event = sdl.SDL_Event()
        again = False
        while sdl.SDL_PollEvent(ctypes.byref(event)):
            again |= self._answer(event)
        if again and not self.closed:
            self._draw()

    def _answer(self, event: Any) -> bool:
        """Whether the picture is to be drawn again."""
        sdl = self._sdl
        kind = event.type
        if kind == sdl.SDL_QUIT:
            self.closed = True
        elif kind == sdl.SDL_WINDOWEVENT:
            what = event.window.event
            if what == sdl.SDL_WINDOWEVENT_CLOSE:
                self.closed = True
            elif what in (sdl.SDL_WINDOWEVENT_MINIMIZED, sdl.SDL_WINDOWEVENT_HIDDEN):
                self.visible = False
            elif what in (sdl.SDL_WINDOWEVENT_RESTORED, sdl.SDL_WINDOWEVENT_SHOWN, sdl.SDL_WINDOWEVENT_MAXIMIZED):
                self.visible = True
            return True
        elif kind == sdl.SDL_KEYDOWN and not event.key.repeat:
            return self._key(sdl.SDL_GetKeyName(event.key.keysym.sym).decode(errors="replace"))
        elif kind == sdl.SDL_MOUSEBUTTONDOWN and event.button.button == sdl.SDL_BUTTON_LEFT:
            if event.button.clicks == 2:
                self._toggle_fullscreen()
            elif self.split and abs(event.button.x * self._density() - self._line()) <= _GRAB * self._density():
                self._dragging = True
        elif kind == sdl.SDL_MOUSEBUTTONUP:
            self._dragging = False
        elif kind == sdl.SDL_MOUSEMOTION and self._dragging and self._shown is not None:
            place, _ = self._places(self._shown.frame, *self._drawable())
            self.divider = min(1.0, max(0.0, (event.motion.x * self._density() - place[0]) / max(1, place[2])))
            return True
        return False

    def _density(self) -> float:
        """Pixels of the picture for each unit in which the system counts."""
        width, height = ctypes.c_int(), ctypes.c_int()
        self._sdl.SDL_GetWindowSize(self._window, ctypes.byref(width), ctypes.byref(height))
        return self._drawable()[0] / max(1, width.value)

    def _line(self) -> float:
        if self._shown is None:
            return 0.0
        place, _ = self._places(self._shown.frame, *self._drawable())
        return place[0] + place[2] * self.divider

    def _key(self, pressed: str) -> bool:
        name = next((name for name in KEYS if pressed.lower() in map(str.lower, _NAMES.get(name, (name,)))), None)
        if name == "s":
            self.split = not self.split
            if self.split and self._shown is not None:
                self._upload("before", self._shown.before)
        elif name == "f":
            self._toggle_fullscreen()
        elif name == "i":
            self.figures = not self.figures
        elif name == "h":
            self.help = not self.help
        elif name == "q":
            self.closed = True
        elif name is not None and self.on_key is not None:
            self.on_key(name)
        return name is not None

    def _toggle_fullscreen(self) -> None:
        self.fullscreen = not self.fullscreen
        flag = self._sdl.SDL_WINDOW_FULLSCREEN_DESKTOP if self.fullscreen else 0
        self._sdl.SDL_SetWindowFullscreen(self._window, flag)

    @property
    def shown(self) -> Shown | None:
        """The frame that is on the screen."""
        return self._shown


def _packed(plane: Plane) -> Plane:
    """A plane whose rows SDL can read where they lie, or a copy."""
    if plane.strides[1] == plane.itemsize and plane.strides[0] > 0:
        return plane
    return np.require(plane, requirements="C")


def _pointer(plane: Plane) -> Any:
    return ctypes.cast(plane.ctypes.data, ctypes.POINTER(ctypes.c_ubyte))


def _conversion(frame: Frame) -> int:
    """SDL's number for what turns a frame's YUV into RGB: full-range BT.601, or BT.601 or BT.709 of limited range."""
    if frame.full_range:
        return _JPEG
    high = frame.colour.matrix == 1 or (frame.colour.matrix == 2 and (frame.width >= 1280 or frame.height > 576))
    return _BT709 if high else _BT601


def _drawn(lines: Sequence[str]) -> NDArray[np.uint8]:
    """Lines of text on a dark ground that lets some of the picture through: H x W x 4, RGBA."""
    from PIL import Image, ImageDraw, ImageFont

    font: Any = ImageFont.load_default(_FONT)
    step = round(_FONT * 1.45)
    width = max(math.ceil(font.getlength(line)) for line in lines)
    picture = Image.new("RGBA", (width + 2 * _PADDING, step * len(lines) + _PADDING), (0, 0, 0, 150))
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        draw.text((_PADDING, _PADDING // 2 + number * step), line, font=font, fill=(255, 255, 255, 255))
    return np.array(picture)
