"""The JavaScript module in Chromium: bits, times, closed frames, and what happens when things go wrong."""

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("playwright")

from server_thread import ServerThread

from acutance.engine import open_engine
from acutance.students.bundled import find_student
from acutance.web.files import module_files
from browser import chromium, needs_chromium, write_clip

pytestmark = [needs_chromium, pytest.mark.skipif(sys.platform != "linux", reason="drives Debian's Chromium")]

WAIT = 60_000  # milliseconds: a busy machine compiles slowly
BLANK = b"<!doctype html><meta charset=utf-8><title>blank</title><body>"
PAGE = b"""<!doctype html><meta charset=utf-8><title>video</title><body><main><div>
<video id=video src=clip.webm muted loop playsinline width=640 height=360></video></div></main>"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerThread]:
    clip = write_clip(tmp_path_factory.mktemp("clips") / "clip.webm")
    files = {**module_files(), "clip.webm": clip.read_bytes(), "index.html": BLANK, "video.html": PAGE}
    files["favicon.ico"] = b""
    with ServerThread(files) as running:
        yield running


@pytest.fixture
def page(browser: Any, server: ServerThread) -> Iterator[Any]:
    """A page that fails the test for any error, warning of a frame left open, or request to somebody else."""
    context = browser.new_context(viewport={"width": 900, "height": 600})
    page, complaints = context.new_page(), []
    page.set_default_timeout(WAIT)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda told: complaints.append(told.text) if told.type in ("error", "warning") else None)
    page.on(
        "request",
        lambda asked: None if asked.url.startswith((server.address, "blob:")) else complaints.append(asked.url),
    )
    page.complaints = complaints
    yield page
    context.close()
    assert [text for text in complaints if "GPU stall" not in text and "WEBGL_lose_context" not in text] == []


def open_video(page: Any, server: ServerThread, **options: Any) -> None:
    """Open the page with a video that is sharpened; wait for the first sharpened picture."""
    page.goto(server.address + "video.html")
    page.evaluate(
        """async (options) => {
          const { Acutance } = await import('/acutance.js');
          window.engine = await Acutance.load({ model: 'fast' });
          window.video = document.getElementById('video');
          await video.play();
          window.sharpened = engine.sharpenVideo(video, options);
        }""",
        {"budget": 0, **options},
    )
    page.wait_for_function("() => sharpened.stats().showing")


# A track made of I420 frames of given luma; what comes out of sharpenTrack, as [timestamp, luma in base64].
TRACK = """async ({ luma, width, height, count, options }) => {
  const { Acutance } = await import('/acutance.js');
  const engine = await Acutance.load({ model: 'fast', budget: 0 });
  const source = new MediaStreamTrackGenerator({ kind: 'video' }), writer = source.writable.getWriter();
  const track = engine.sharpenTrack(source, options), reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
  const bytes = Uint8Array.from(atob(luma), (c) => c.charCodeAt(0)), found = [];
  const whole = new Uint8Array(width * height * 3 / 2).fill(100);
  whole.set(bytes);
  let sending = true;
  (async () => {
    for (let i = 1; sending; ++i) {
      await writer.write(new VideoFrame(whole, { format: 'I420', codedWidth: width, codedHeight: height, timestamp: 33333 * i,
        colorSpace: { matrix: 'bt709', primaries: 'bt709', transfer: 'bt709', fullRange: false } }));
      await new Promise((resolve) => { setTimeout(resolve, 33); });
    }
  })();
  while (found.filter((one) => one.sharp).length < count) {
    const { value } = await reader.read();
    const out = new Uint8Array(value.allocationSize());
    const layout = await value.copyTo(out);
    const { width: wide, height: high } = value.visibleRect, plane = new Uint8Array(wide * high);
    for (let y = 0; y < high; ++y) plane.set(out.subarray(layout[0].offset + y * layout[0].stride, layout[0].offset + y * layout[0].stride + wide), y * wide);
    const chroma = out[layout[1].offset], sharp = engine.controls(track).stats().sharpened > 0;
    found.push({ timestamp: value.timestamp, wide, high, chroma, sharp, matrix: value.colorSpace.matrix, luma: btoa(Array.from(plane, (b) => String.fromCharCode(b)).join('')) });
    value.close();
  }
  sending = false;
  const stats = engine.controls(track).stats();
  await engine.controls(track).stop();
  return { found, stats, streams: engine.streams, state: track.readyState };
}"""


def send_track(page: Any, server: ServerThread, plane: np.ndarray, **options: Any) -> dict[str, Any]:
    import base64

    page.goto(server.address)
    height, width = plane.shape
    luma = base64.b64encode(plane.tobytes()).decode()
    told: dict[str, Any] = page.evaluate(
        TRACK, {"luma": luma, "width": width, "height": height, "count": 3, "options": options}
    )
    for one in told["found"]:
        one["plane"] = np.frombuffer(base64.b64decode(one["luma"]), np.uint8).reshape(one["high"], one["wide"])
    return told


def textured(width: int, height: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    rng = np.random.default_rng(3)
    plane = 120 + 50 * np.sin(x / 6) + 40 * np.sin(y / 9 + x / 30) + rng.normal(0, 4, (height, width))
    return plane.clip(16, 235).astype(np.uint8)


def test_track_gives_the_bits_of_the_native_engine(page: Any, server: ServerThread) -> None:
    plane = textured(160, 96)
    told = send_track(page, server, plane, threshold=0)
    expected = open_engine(find_student("fast-call-x1"), "native").process(plane)
    sharp = [one for one in told["found"] if one["sharp"]]
    assert len(sharp) == 3
    assert np.array_equal(sharp[-1]["plane"], expected)
    assert not np.array_equal(expected, plane)


def test_enlarged_track_gives_the_bits_of_pillow_and_the_native_engine(page: Any, server: ServerThread) -> None:
    from PIL import Image

    plane = textured(160, 96)
    told = send_track(page, server, plane, threshold=0, scale=2)
    large = np.asarray(Image.fromarray(plane).resize((320, 192), Image.Resampling.BICUBIC))
    expected = open_engine(find_student("fast-call-x2"), "native").process(large)
    last = told["found"][-1]
    assert (last["wide"], last["high"]) == (320, 192)
    assert np.array_equal(last["plane"], expected)


def test_track_keeps_times_chroma_and_colours(page: Any, server: ServerThread) -> None:
    told = send_track(page, server, textured(160, 96))
    for one in told["found"]:
        assert (one["timestamp"] % 33333, one["chroma"], one["matrix"]) == (0, 100, "bt709")


def test_stopped_track_leaves_nothing_behind(page: Any, server: ServerThread) -> None:
    told = send_track(page, server, textured(160, 96))
    assert (told["streams"], told["state"], told["stats"]["frame"]["open"]) == (0, "ended", 0)
    page.wait_for_function("() => true")
    assert page.workers == []


def test_video_is_covered_by_its_sharpened_picture(page: Any, server: ServerThread) -> None:
    open_video(page, server)
    box = page.evaluate(
        """() => { const [a, b] = [video, sharpened.canvas].map((e) => e.getBoundingClientRect());
          return [a.x - b.x, a.y - b.y, a.width - b.width, a.height - b.height].map(Math.abs); }"""
    )
    assert max(box) < 1
    stats = page.evaluate("() => sharpened.stats()")
    assert stats["frame"]["coded"] == [320, 180]
    assert stats["frame"]["size"] == [640, 360]
    assert stats["frame"]["model"] == "fast-call-x2.acu"


def test_canvas_equals_the_engine_on_a_still(page: Any, server: ServerThread) -> None:
    from PIL import Image

    open_video(page, server)
    told = page.evaluate(
        """async () => {
          video.pause();
          await new Promise((resolve) => { setTimeout(resolve, 500); });
          const before = sharpened.stats().shown;
          sharpened.update({ threshold: 0 });
          while (sharpened.stats().shown === before) await new Promise(requestAnimationFrame);
          await new Promise(requestAnimationFrame); await new Promise(requestAnimationFrame);
          const frame = new VideoFrame(video), bytes = new Uint8Array(frame.allocationSize()), layout = await frame.copyTo(bytes);
          const { width, height } = frame.visibleRect, space = frame.colorSpace.toJSON();
          frame.close();
          const canvas = document.createElement('canvas'); canvas.width = 640; canvas.height = 360;
          const context = canvas.getContext('2d'); context.drawImage(sharpened.canvas, 0, 0);
          return { bytes: Array.from(bytes), layout, width, height, space, rgb: Array.from(context.getImageData(0, 0, 640, 360).data) };
        }"""
    )
    planes, (width, height) = np.array(told["bytes"], np.uint8), (told["width"], told["height"])

    def plane(which: int, wide: int, high: int) -> np.ndarray:
        at, stride = told["layout"][which]["offset"], told["layout"][which]["stride"]
        return np.stack([planes[at + y * stride : at + y * stride + wide] for y in range(high)])

    large = np.asarray(Image.fromarray(plane(0, width, height)).resize((640, 360), Image.Resampling.BICUBIC))
    luma = open_engine(find_student("fast-call-x2"), "native").process(large).astype(float)
    # Of grey, what the picture shows is luma alone; take the mean weights of the matrix over R, G and B.
    rgb = np.array(told["rgb"], float).reshape(360, 640, 4)[..., :3]
    red, blue = (0.2126, 0.0722) if told["space"]["matrix"] == "bt709" else (0.299, 0.114)
    shown = 16 + 219 / 255 * (red * rgb[..., 0] + (1 - red - blue) * rgb[..., 1] + blue * rgb[..., 2])
    inside = (rgb > 1).all(axis=-1) & (rgb < 254).all(axis=-1)  # elsewhere colours are clipped
    assert inside.mean() > 0.5
    assert np.abs(shown - luma)[inside].max() < 1.5
    assert np.abs(large.astype(float) - luma)[inside].max() > 5


def test_detached_video_leaves_the_page_as_it_was(page: Any, server: ServerThread) -> None:
    page.goto(server.address + "video.html")
    before = page.evaluate("() => document.body.outerHTML")
    open_video(page, server)
    page.evaluate("() => sharpened.detach()")
    assert page.evaluate("() => document.body.outerHTML") == before
    assert page.evaluate("() => engine.streams") == 0
    page.wait_for_timeout(100)
    assert page.workers == []


def test_picture_follows_size_and_object_fit(page: Any, server: ServerThread) -> None:
    open_video(page, server)
    page.evaluate("() => { video.width = 480; video.height = 480; video.style.objectFit = 'contain'; }")
    page.wait_for_function("() => sharpened.canvas.getBoundingClientRect().height === 480")
    page.wait_for_function("() => sharpened.stats().frame.size[0] === 480")
    assert page.evaluate("() => sharpened.stats().frame.size") == [480, 270]


def test_slow_engine_drops_frames_and_keeps_one_waiting(page: Any, server: ServerThread) -> None:
    open_video(page, server)
    told = page.evaluate(
        """async () => {
          const before = sharpened.stats(), long = [];
          new PerformanceObserver((list) => long.push(...list.getEntries().map((e) => e.duration))).observe({ type: 'longtask' });
          sharpened.test.slow(200);
          let most = 0;
          for (const until = performance.now() + 3000; performance.now() < until;) {
            await new Promise(requestAnimationFrame);
            most = Math.max(most, sharpened.stats().waiting);
          }
          const after = sharpened.stats();
          return { most, long, dropped: (after.dropped.busy ?? 0) - (before.dropped.busy ?? 0), received: after.received - before.received, shown: after.shown - before.shown, latency: after.latency };
        }"""
    )
    assert told["most"] <= 1
    assert told["dropped"] > 0
    assert abs(told["received"] - told["shown"] - told["dropped"]) <= 2
    assert told["shown"] <= 16  # 3 seconds of 200 ms


def test_budget_leaves_out_tiles_and_then_all_of_it(page: Any, server: ServerThread) -> None:
    open_video(page, server, budget=None)
    page.evaluate("() => sharpened.test.slow(60)")
    page.wait_for_function("() => sharpened.stats().passed.budget > 0")
    page.evaluate("() => sharpened.test.slow(0)")
    page.wait_for_function("() => sharpened.stats().reason !== 'budget' || sharpened.stats().showing")


def test_lost_context_shows_the_video_and_comes_back(page: Any, server: ServerThread) -> None:
    open_video(page, server)
    page.evaluate("() => sharpened.test.lose()")
    page.wait_for_function("() => !sharpened.stats().showing && sharpened.stats().reason === 'context lost'")
    page.evaluate("() => sharpened.test.restore()")
    page.wait_for_function("() => sharpened.stats().showing")


@pytest.mark.parametrize(
    "message",
    ["null", "{}", "{ settings: { strength: NaN } }", "{ settings: { model: '../x' } }", "{ place: { width: 1e9 } }",
     "{ frame: 5 }", "{ start: {} }", "{ readable: 1, writable: 2 }", "'text'", "{ settings: { toString: 1 } }"],
)  # fmt: skip
def test_hostile_messages_are_refused_and_the_video_goes_on(page: Any, server: ServerThread, message: str) -> None:
    open_video(page, server)
    page.evaluate(f"() => {{ window.before = sharpened.stats().shown; sharpened.test.send({message}); }}")
    page.wait_for_function("() => sharpened.stats().shown > before + 1 && sharpened.stats().showing")


@pytest.mark.parametrize(
    "options", ["{ strength: NaN }", "{ strength: 3 }", "{ model: 'huge' }", "{ threads: 0 }", "{ nonsense: 1 }"]
)
def test_settings_that_make_no_sense_are_refused(page: Any, server: ServerThread, options: str) -> None:
    page.goto(server.address)
    told = page.evaluate(
        f"""async () => {{ const {{ Acutance }} = await import('/acutance.js');
          try {{ await Acutance.load({options}); return null; }} catch (error) {{ return error.name; }} }}"""
    )
    assert told == "TypeError"


def test_fifty_starts_and_stops_leave_no_worker(page: Any, server: ServerThread) -> None:
    open_video(page, server)
    page.evaluate(
        """async () => {
          await sharpened.detach();
          for (let i = 0; i < 50; ++i) { const one = engine.sharpenVideo(video); if (i % 5 === 0) await new Promise((r) => { setTimeout(r, 50); }); await one.detach(); }
        }"""
    )
    assert page.evaluate("() => [engine.streams, document.querySelectorAll('canvas').length]") == [0, 0]
    page.wait_for_timeout(100)
    assert page.workers == []


def test_changed_model_is_refused_and_the_video_goes_on(browser: Any, server: ServerThread) -> None:
    files = dict(server.server.files)
    files["models/fast-call-x2.acu"] = files["models/fast-call-x2.acu"][:-1] + b"\0"
    with ServerThread(files) as damaged:
        context = browser.new_context()
        page = context.new_page()
        page.goto(damaged.address + "video.html")
        page.evaluate(
            """async () => { const { Acutance } = await import('/acutance.js'); const engine = await Acutance.load();
              const video = document.getElementById('video'); await video.play(); window.sharpened = engine.sharpenVideo(video); }"""
        )
        page.wait_for_function("() => sharpened.stats().reason === 'error'", timeout=WAIT)
        stats = page.evaluate("() => sharpened.stats()")
        assert "not the file that belongs to this version" in stats["frame"]["message"]
        assert not stats["showing"]
        context.close()


def test_page_without_isolation_runs_on_one_thread(browser: Any, server: ServerThread) -> None:
    from acutance.web import server as module

    headers = dict(module._HEADERS)
    try:
        for name in ("Cross-Origin-Opener-Policy", "Cross-Origin-Embedder-Policy"):
            module._HEADERS.pop(name)
        context = browser.new_context()
        page = context.new_page()
        open_video(page, server)
        assert page.evaluate("() => [crossOriginIsolated, engine.threads]") == [False, 1]
        context.close()
    finally:
        module._HEADERS.update(headers)


def test_threads_are_used_where_the_page_is_isolated(page: Any, server: ServerThread) -> None:
    page.goto(server.address + "video.html")
    page.evaluate(
        """async () => { const { Acutance } = await import('/acutance.js'); window.engine = await Acutance.load({ threads: 2, budget: 0 });
          window.video = document.getElementById('video'); await video.play(); window.sharpened = engine.sharpenVideo(video); }"""
    )
    page.wait_for_function("() => sharpened.stats().showing")
    assert page.evaluate("() => [engine.threads, sharpened.stats().frame.threads]") == [2, 2]
