"""The page in Chromium: what users see and do."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("playwright")

from server_thread import ServerThread

from acutance.web.files import page_files
from browser import chromium, needs_chromium, write_camera, write_clip

pytestmark = [needs_chromium, pytest.mark.skipif(sys.platform != "linux", reason="drives Debian's Chromium")]

ROOT = Path(__file__).resolve().parents[2]
WAIT = 60_000  # milliseconds: a busy machine compiles slowly


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    camera = write_camera(tmp_path_factory.mktemp("camera") / "camera.y4m")
    with chromium(camera) as running:
        yield running


@pytest.fixture(scope="module")
def server() -> Iterator[ServerThread]:
    with ServerThread(page_files()) as running:
        yield running


@pytest.fixture
def page(browser: Any, server: ServerThread) -> Iterator[Any]:
    """The page, opened; fails the test for errors in the console and for requests to anybody else."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page, complaints = context.new_page(), []
    page.set_default_timeout(WAIT)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda told: complaints.append(told.text) if told.type == "error" else None)
    own = (server.address, "blob:", "data:")
    page.on("request", lambda asked: None if asked.url.startswith(own) else complaints.append(asked.url))
    page.goto(server.address)
    yield page
    context.close()
    assert complaints == []


def start(page: Any, source: str) -> None:
    """Choose a source, start, without a limit of time, and wait until the picture is sharpened."""
    page.check(f"input[name=source][value={source}]")
    page.uncheck("#budget")
    page.click("#start")
    page.wait_for_function("() => document.querySelector('canvas')?.style.visibility === 'visible'")


def test_page_loads_and_says_what_to_do(page: Any) -> None:
    assert page.title() == "acutance: sharper calls, in the browser"
    assert page.is_visible("#hint")
    assert page.is_enabled("#start")
    assert page.is_disabled("#still")


def test_camera_is_played_and_stopped(page: Any) -> None:
    start(page, "camera")
    page.wait_for_function(
        "() => document.getElementById('coded').textContent === '1280 × 720' || document.getElementById('coded').textContent === '640 × 360'"
    )
    page.click("#start")
    page.wait_for_function("() => document.getElementById('start').textContent === 'Start'")
    assert page.locator("canvas").count() == 0
    assert page.evaluate("() => document.getElementById('video').srcObject") is None


def test_call_simulator_connects_and_makes_the_picture_smaller(page: Any) -> None:
    start(page, "call")
    page.wait_for_function("() => /kbit/.test(document.getElementById('rate').textContent)")
    width = int(page.inner_text("#coded").split()[0])
    assert width <= 640
    page.wait_for_function("() => document.getElementById('student').textContent.startsWith('fast-call-x')")


def test_file_is_played(page: Any, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.webm", seconds=1.0)
    page.check("input[name=source][value=file]")
    page.set_input_files("#file", str(clip))
    start(page, "file")
    page.wait_for_function("() => document.getElementById('coded').textContent === '320 × 180'")


def test_divider_follows_keys_and_pointer(page: Any) -> None:
    start(page, "camera")
    page.focus("#divider")
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("#divider", "aria-valuenow") == "52"
    page.keyboard.press("Home")
    assert page.get_attribute("#divider", "aria-valuenow") == "0"
    box = page.locator("#frame").bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] / 2)
    page.mouse.up()
    assert page.get_attribute("#divider", "aria-valuenow") in ("25", "26", "24")
    page.wait_for_function("() => /25(\\.\\d+)?%|24\\.\\d+%/.test(document.querySelector('canvas').style.clipPath)")


def test_space_turns_sharpening_off_and_on(page: Any) -> None:
    start(page, "camera")
    page.focus("#divider")
    page.keyboard.press("Space")
    page.wait_for_function("() => document.querySelector('canvas').style.visibility === 'hidden'")
    assert page.get_attribute("#toggle", "aria-pressed") == "false"
    page.keyboard.press("Space")
    page.wait_for_function("() => document.querySelector('canvas').style.visibility === 'visible'")


def test_still_and_clip_can_be_saved(page: Any, tmp_path: Path) -> None:
    from PIL import Image

    start(page, "camera")
    with page.expect_download() as still:
        page.click("#still")
    still.value.save_as(tmp_path / "still.png")
    assert Image.open(tmp_path / "still.png").size[0] > 300
    page.click("#clip")
    page.wait_for_timeout(500)  # what is recorded needs to have a length
    with page.expect_download() as clip:
        page.click("#clip")
    clip.value.save_as(tmp_path / "clip.webm")
    assert (tmp_path / "clip.webm").stat().st_size > 1000


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_has_no_accessibility_fault_that_axe_finds(browser: Any, server: ServerThread, scheme: str) -> None:
    axe = axe_source()
    if axe is None:
        pytest.skip("axe-core is not installed (npm install axe-core)")
    for viewport in ({"width": 1280, "height": 900}, {"width": 390, "height": 844}):
        context = browser.new_context(viewport=viewport, color_scheme=scheme, bypass_csp=True)
        page = context.new_page()
        page.goto(server.address)
        page.add_script_tag(content=axe)
        found = page.evaluate("async () => (await axe.run()).violations.map(({ id, nodes }) => [id, nodes[0].html])")
        assert found == []
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        context.close()


def axe_source() -> str | None:
    """Return axe-core, from ``node_modules`` of the repository or of the folder that NODE_MODULES names."""
    import os

    for folder in (Path(os.environ.get("NODE_MODULES", "/nonexistent")), ROOT / "node_modules"):
        path = folder / "axe-core" / "axe.min.js"
        if path.is_file():
            return path.read_text("utf-8")
    return None


def test_npm_package_has_all_that_it_exports(tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    subprocess.run([sys.executable, "web/pack.py", "npm", str(tmp_path)], cwd=ROOT, check=True)
    told = subprocess.run(
        ["npm", "pack", "--dry-run", "--json"], cwd=tmp_path / "npm", capture_output=True, text=True, check=True
    )
    names = set(re.findall(r'"path": "([^"]+)"', told.stdout))
    assert {
        "acutance.js",
        "acutance.d.ts",
        "worker.js",
        "wasm/acutance.wasm",
        "models/models.json",
        "LICENSE",
        "README.md",
    } <= names
