"""The window, a real one: SDL under Xvfb, driven by xdotool, photographed by our own screen source."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from acutance.io._frames import rgb_of
from io_clips import make_clip

pytestmark = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("Xvfb", "xdotool")), reason="needs Xvfb and xdotool"
)
pytest.importorskip("sdl2", reason="needs acutance[live]", exc_type=ImportError)

SCREEN = (800, 600)


@pytest.fixture(scope="module")
def display(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A screen of its own; its name."""
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{SCREEN[0]}x{SCREEN[1]}x24", "-nolisten", "tcp"],
        pass_fds=[write], stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    with os.fdopen(read) as pipe:
        number = pipe.readline().strip()
    probe = "import sdl2, sys; sys.exit(sdl2.SDL_Init(sdl2.SDL_INIT_VIDEO) and sdl2.SDL_GetError().decode())"
    environment = {**os.environ, "DISPLAY": f":{number}", "SDL_VIDEODRIVER": "x11"}
    done = subprocess.run([sys.executable, "-c", probe], env=environment, capture_output=True, text=True, check=False)
    try:
        if done.returncode:
            pytest.skip(f"SDL opens no window here: {done.stderr.strip().splitlines()[-1:]}")
        yield f":{number}"
    finally:
        server.terminate()
        server.wait()


class Running:
    """``acutance live`` in a process of its own, with a window on a display."""

    def __init__(self, display: str, folder: Path, *arguments: str) -> None:
        self.environment = {**os.environ, "DISPLAY": display, "SDL_VIDEODRIVER": "x11"}
        self.display = display
        command = [sys.executable, "-m", "acutance", "live", *arguments, "--progress", "json", "--threads", "1"]
        self._log = folder / "log.jsonl"
        self._process = subprocess.Popen(
            command, env=self.environment, cwd=folder, stderr=self._log.open("wb"), stdout=subprocess.DEVNULL
        )

    def events(self) -> list[dict[str, Any]]:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def statuses(self) -> list[dict[str, Any]]:
        return [event for event in self.events() if event["event"] == "status"]

    def wait_for(self, happened: Callable[[], bool], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not happened():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < end, self._log.read_text()
            time.sleep(0.1)

    def status(self, check: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until the latest status passes."""
        self.wait_for(lambda: bool(self.statuses()) and check(self.statuses()[-1]))

    def xdotool(self, *words: str) -> str:
        done = subprocess.run(["xdotool", *words], env=self.environment, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def press(self, *keys: str) -> None:
        self.xdotool("windowfocus", self.window())
        self.xdotool("key", *keys)

    def window(self) -> str:
        return self.xdotool("search", "--class", "^acutance$").splitlines()[-1]

    def photograph(self) -> NDArray[np.uint8]:
        from acutance.io.capture import CaptureSource, screen

        with CaptureSource(screen((0, 0, *SCREEN), display=self.display)) as source:
            source.open()
            return rgb_of(source.read(5.0))

    def end(self) -> tuple[int, dict[str, Any]]:
        code = self._process.wait(timeout=30)
        return code, self.events()[-1]

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def start(display: str, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    made: list[Running] = []

    def run(*arguments: str) -> Running:
        made.append(Running(display, tmp_path, *arguments))
        return made[-1]

    yield run
    for running in made:
        running.kill()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "a.mp4", size=(320, 240), pts=[512 * i for i in range(50)])


def test_keys_and_mouse_do_what_the_help_says_and_closing_ends_with_a_summary(
    start: Callable[..., Running], clip: Path, tmp_path: Path
) -> None:
    running = start(str(clip), "--loop", "--model", "fast-clean-x2", "--strength", "2", "--threshold", "0")
    running.status(lambda s: s["shown"] >= 5)
    picture = running.photograph()
    assert np.ptp(picture.astype(int)) > 50  # there is something on the screen
    lit = np.argwhere(picture.max(axis=2) > 60)
    assert 200 <= np.ptp(lit[:, 0]) <= 400, "a window of about its picture's size"

    running.press("space")
    running.status(lambda s: s["enabled"] is False)
    running.press("space")
    running.status(lambda s: s["enabled"] is True)
    running.press("minus")
    running.status(lambda s: s["strength"] == 1.75)
    running.press("p")
    running.status(lambda s: s["paused"] is True)
    running.press("p")
    running.status(lambda s: s["paused"] is False)
    running.press("c")
    running.wait_for(lambda: any(tmp_path.glob("acutance-*.png")))

    running.press("q")
    code, done = running.end()
    assert code == 0
    sink = done["sinks"]["window"]
    assert done["captured"] == sink["shown"] + sum(sink["dropped"].values())


def test_the_divider_is_dragged_and_both_sides_are_shown(start: Callable[..., Running], clip: Path) -> None:
    running = start(str(clip), "--loop", "--split", "--model", "fast-clean-x2", "--strength", "2", "--threshold", "0")
    running.status(lambda s: s["shown"] >= 5)

    def line() -> int | None:
        """Column of the white line."""
        picture = running.photograph().min(axis=2)
        whites = (picture > 245).sum(axis=0)
        return int(whites.argmax()) if whites.max() > 150 else None

    running.wait_for(lambda: line() is not None)
    column = line()
    assert column is not None
    assert abs(column - SCREEN[0] / 2) <= 3
    running.xdotool("mousemove", str(column), str(SCREEN[1] // 2), "mousedown", "1")
    running.xdotool("mousemove", str(column - 80), str(SCREEN[1] // 2))
    running.xdotool("mouseup", "1")
    running.wait_for(lambda: (line() or 0) in range(column - 83, column - 77))
    running.press("Escape")
    assert running.end()[0] == 0


def test_a_turned_picture_is_shown_upright(start: Callable[..., Running], tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "turned.mp4", size=(320, 160), pts=[512 * i for i in range(50)], rotation=90)
    running = start(str(clip), "--loop")
    running.status(lambda s: s["shown"] >= 5)
    running.press("i")

    def upright() -> bool:
        lit = np.argwhere(running.photograph().max(axis=2) > 60)
        return bool(np.ptp(lit[:, 0]) > np.ptp(lit[:, 1]))

    running.wait_for(upright)
    running.press("q")
    assert running.end()[0] == 0


def test_a_window_handles_system_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minimised, back again, closed: told by SDL itself, whatever the system."""
    import ctypes

    import sdl2

    from acutance.io.sink import Shown
    from acutance.io.source import SourceInfo
    from acutance.io.window import Window
    from live_fakes import frame

    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window = Window(split=True)
    window.open(SourceInfo("test", 96, 64, None))

    def tell(what: int) -> None:
        event = sdl2.SDL_Event()
        event.type, event.window.event = sdl2.SDL_WINDOWEVENT, what
        sdl2.SDL_PushEvent(ctypes.byref(event))
        window.pump()

    for width, height, rotation in ((96, 64, 0), (97, 65, 90), (1, 1, 180), (33, 31, 270)):
        taken = frame(0, width, height, rotation=rotation)
        window.show(Shown(taken, taken, 0.0))
    tell(sdl2.SDL_WINDOWEVENT_MINIMIZED)
    assert not window.visible
    tell(sdl2.SDL_WINDOWEVENT_RESTORED)
    assert window.visible
    tell(sdl2.SDL_WINDOWEVENT_CLOSE)
    assert window.closed
    window.close()
    window.close()


def test_without_a_display_one_line_says_so(tmp_path: Path, clip: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    done = subprocess.run(
        [sys.executable, "-m", "acutance", "live", str(clip)],
        env={**environment, "SDL_VIDEODRIVER": "x11"}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 9
    assert "there is no display to open one on" in done.stderr
    assert "Traceback" not in done.stderr
