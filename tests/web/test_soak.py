"""A call that goes on for long: starts, stops, mutes and resizes, and nothing is left behind."""

import os
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("playwright")

from server_thread import ServerThread

from acutance.web.files import module_files
from browser import chromium, needs_chromium, write_camera

pytestmark = [needs_chromium, pytest.mark.skipif(sys.platform != "linux", reason="drives Debian's Chromium")]

MINUTES = float(os.environ.get("ACUTANCE_SOAK_MINUTES", "1"))
STARTS = 50
CALL = """async () => {
  const { Acutance } = await import('/acutance.js');
  window.engine = await Acutance.load({ model: 'fast' });
  const media = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 360, frameRate: 30 } });
  const near = new RTCPeerConnection(), far = new RTCPeerConnection();
  near.onicecandidate = ({ candidate }) => far.addIceCandidate(candidate);
  far.onicecandidate = ({ candidate }) => near.addIceCandidate(candidate);
  const received = new Promise((resolve) => { far.ontrack = ({ track }) => resolve(track); });
  window.camera = media.getVideoTracks()[0];
  near.addTrack(camera, media);
  await near.setLocalDescription(); await far.setRemoteDescription(near.localDescription);
  await far.setLocalDescription(); await near.setRemoteDescription(far.localDescription);
  window.received = await received;
  window.video = document.createElement('video');
  Object.assign(video, { muted: true, width: 640, height: 360, srcObject: new MediaStream([window.received]) });
  document.body.append(video);
  await video.play();
  window.sharpened = null; window.out = null; window.shown = 0;
}"""
ROUND = """async (number) => {
  if (sharpened) { window.shown += sharpened.stats().shown; await sharpened.detach(); }
  if (out) await engine.controls(out).stop();
  video.width = number % 2 ? 640 : 480;
  video.height = number % 2 ? 360 : 270;
  camera.enabled = number % 5 !== 3;
  window.sharpened = engine.sharpenVideo(video);
  window.out = number % 3 === 0 ? engine.sharpenTrack(received.clone()) : null;
  Object.defineProperty(document, 'hidden', { configurable: true, get: () => number % 7 === 6 });
  document.dispatchEvent(new Event('visibilitychange'));
}"""


@pytest.mark.long  # a minute; ten with ACUTANCE_SOAK_MINUTES=10
def test_long_call_leaves_no_frame_open_no_worker_and_a_flat_heap(tmp_path: Path) -> None:
    camera = write_camera(tmp_path / "camera.y4m")
    files = {**module_files(), "index.html": b"<!doctype html><title>call</title><body>", "favicon.ico": b""}
    heaps = []
    with ServerThread(files) as server, chromium(camera, "--enable-precise-memory-info") as browser:
        page, complaints = browser.new_page(), []
        page.set_default_timeout(60_000)
        page.on("console", lambda told: complaints.append(told.text) if told.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(server.address)
        page.evaluate(CALL)
        session = page.context.new_cdp_session(page)
        began = time.monotonic()
        for number in range(STARTS):
            page.evaluate(ROUND, number)
            page.wait_for_timeout(max(0.0, 1000 * (began + MINUTES * 60 * (number + 1) / STARTS - time.monotonic())))
            session.send(
                "HeapProfiler.collectGarbage"
            )  # frames that were left open are told of when they are collected
            heaps.append(session.send("Runtime.getHeapUsage")["usedSize"])
        shown = page.evaluate("() => window.shown")
        page.evaluate("async () => { await engine.close(); await sharpened.detach(); camera.stop(); }")
        session.send("HeapProfiler.collectGarbage")
        page.wait_for_timeout(200)
        assert page.evaluate("() => [engine.streams, document.querySelectorAll('canvas').length]") == [0, 0]
        assert page.workers == []
    print(
        f"{MINUTES:g} minutes, {STARTS} starts, {shown} frames, heap {heaps[4] / 1e6:.2f} to {heaps[-1] / 1e6:.2f} MB"
    )
    left_open = [text for text in complaints if "garbage collected without being closed" in text]
    assert [text for text in complaints if "GPU stall" not in text and text not in left_open] == []
    assert shown > STARTS
    assert heaps[-1] < 1.25 * heaps[4] + 500_000
    # Known to fail: a frame that is on its way to the worker when a track is stopped is not closed yet.
    assert left_open == []
