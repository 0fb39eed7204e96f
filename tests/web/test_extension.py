"""The extension in Chromium, on a page that knows nothing of it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("playwright")

from server_thread import ServerThread

from browser import CHROMIUM, needs_chromium, write_camera

pytestmark = [needs_chromium, pytest.mark.skipif(sys.platform != "linux", reason="drives Debian's Chromium")]

ROOT = Path(__file__).resolve().parents[2]
WAIT = 60_000  # milliseconds: a busy machine compiles slowly

CALL = """<!doctype html><meta charset=utf-8><title>call</title><body>
<video id=video muted playsinline width=640 height=360></video><script src=call.js></script>"""
CALL_SCRIPT = """(async () => {
  const media = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 360 } });
  const near = new RTCPeerConnection(), far = new RTCPeerConnection();
  near.onicecandidate = ({ candidate }) => far.addIceCandidate(candidate);
  far.onicecandidate = ({ candidate }) => near.addIceCandidate(candidate);
  far.ontrack = ({ track }) => { video.srcObject = new MediaStream([track]); video.play(); };
  near.addTransceiver(media.getVideoTracks()[0], { sendEncodings: [{ scaleResolutionDownBy: 2 }] });
  await near.setLocalDescription(); await far.setRemoteDescription(near.localDescription);
  await far.setLocalDescription(); await near.setRemoteDescription(far.localDescription);
})();"""


def test_extension_sharpens_a_call_on_a_page_of_others(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    subprocess.run([sys.executable, "web/pack.py", "extension", str(tmp_path)], cwd=ROOT, check=True)
    folder = tmp_path / "chromium"
    # The button cannot be pressed here; a permission for the site stands for it.
    manifest = (folder / "manifest.json").read_text("utf-8")
    (folder / "manifest.json").write_text(
        re.sub(r'"permissions"', '"host_permissions": ["http://127.0.0.1/*"], "permissions"', manifest, count=1)
    )
    camera = write_camera(tmp_path / "camera.y4m")
    files = {"index.html": CALL.encode(), "call.js": CALL_SCRIPT.encode(), "favicon.ico": b""}
    arguments = [
        "--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={camera}",
        f"--disable-extensions-except={folder}", f"--load-extension={folder}",
    ]  # fmt: skip
    with ServerThread(files) as site, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path / "profile", executable_path=CHROMIUM, args=arguments, ignore_default_args=["--disable-extensions"]
        )
        worker = context.service_workers[0] if context.service_workers else context.wait_for_event("serviceworker")
        page = context.new_page()
        page.set_default_timeout(WAIT)
        page.goto(site.address)
        page.wait_for_function("() => video.videoWidth > 0")
        assert page.locator("iframe").count() == 0
        change = """async ([address, on]) => { const [tab] = await chrome.tabs.query({ url: address + '*' });
          return acutance.apply(tab.id, new URL(address).origin, { on }); }"""
        worker.evaluate(change, [site.address, True])
        page.wait_for_function("() => document.querySelector('iframe')?.style.visibility === 'visible'")
        worker.evaluate(change, [site.address, False])
        page.wait_for_function("() => document.querySelector('iframe') === null")
        context.close()
