"""Draw docs/pictures/browser.gif: ``python tools/browser_picture.py``. The page with the demo's scene as its camera."""

import io
import sys
import tempfile
from pathlib import Path

import av
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "web"))
from server_thread import ServerThread

from acutance.demo.scene import scene
from acutance.web.files import page_files
from browser import chromium

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "docs" / "pictures" / "browser.gif"
WIDTH = 640  # of the picture
STOPS = (70, 60, 50, 40, 30, 40, 50, 60)  # percent of the width at which the divider stands


def main() -> int:
    """Play the scene through the call simulator, move the divider, keep pictures."""
    with tempfile.TemporaryDirectory() as folder:
        camera = Path(folder) / "scene.y4m"
        with camera.open("wb") as out:
            for number, frame in enumerate(scene(2.0)):
                planes = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(1280, 720, "yuv420p")
                if number == 0:
                    out.write(b"YUV4MPEG2 W1280 H720 F30:1 Ip A1:1 C420jpeg\n")
                out.write(b"FRAME\n" + planes.to_ndarray().tobytes())
        with ServerThread(page_files()) as server, chromium(camera) as browser:
            page = browser.new_page(viewport={"width": 960, "height": 760})
            page.set_default_timeout(120_000)
            page.goto(server.address)
            page.uncheck("#budget")
            page.click("#start")
            page.wait_for_function("() => document.querySelector('canvas')?.style.visibility === 'visible'")
            page.wait_for_timeout(4000)  # the connection finds its bitrate
            pictures = []
            for stop in STOPS:
                page.focus("#divider")
                page.keyboard.press("Home")
                for _ in range(stop // 2):
                    page.keyboard.press("ArrowRight")
                page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
                page.wait_for_timeout(300)
                shot = Image.open(io.BytesIO(page.screenshot(clip={"x": 0, "y": 0, "width": 960, "height": 720})))
                pictures.append(shot.convert("RGB").resize((WIDTH, WIDTH * 3 // 4), Image.Resampling.LANCZOS))
    palette = pictures[0].quantize(128)
    frames = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    frames[0].save(OUT, save_all=True, append_images=frames[1:], duration=500, loop=0, optimize=True)
    print(f"{OUT.relative_to(ROOT)}: {OUT.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
