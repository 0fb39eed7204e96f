"""What a call in the page keeps of its frames: ``python benchmarks/browser_call.py --camera CALL.y4m``.

A camera of 640 x 360 goes through a loopback connection. The received track is sharpened at two and three times its size,
and passed through, in turns. Frames that came out are counted; latency is from a frame's arrival in the worker until its
output is written. ``overhead`` is the time of reading and uploading a frame of 1080p without the engine.
"""

import argparse
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "web"))
from server_thread import ServerThread

from acutance.web.files import module_files
from browser import chromium

CALL = """async () => {
  const { Acutance } = await import('/acutance.js');
  window.engine = await Acutance.load({ model: 'fast' });
  const media = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 360, frameRate: 30 } });
  const near = new RTCPeerConnection(), far = new RTCPeerConnection();
  near.onicecandidate = ({ candidate }) => far.addIceCandidate(candidate);
  far.onicecandidate = ({ candidate }) => near.addIceCandidate(candidate);
  const received = new Promise((resolve) => { far.ontrack = ({ track }) => resolve(track); });
  near.addTransceiver(media.getVideoTracks()[0], { sendEncodings: [{ maxBitrate: 1500000 }] });
  await near.setLocalDescription(); await far.setRemoteDescription(near.localDescription);
  await far.setLocalDescription(); await near.setRemoteDescription(far.localDescription);
  window.received = await received;
}"""
TURN = """async ({ scale, enabled, seconds }) => {
  const track = engine.sharpenTrack(received.clone(), { scale, enabled, maxPixels: 1920 * 1080 });
  const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
  let frames = 0, size = null, counting = false;
  (async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (counting) { ++frames; size = [value.visibleRect.width, value.visibleRect.height]; }
      value.close();
    }
  })();
  await new Promise((resolve) => { setTimeout(resolve, 3000); });
  counting = true;
  await new Promise((resolve) => { setTimeout(resolve, 1000 * seconds); });
  const { latency, took, sharpened, passed, frame } = engine.controls(track).stats();
  await engine.controls(track).stop();
  return { frames, size, latency, took, sharpened, passed, coded: frame.coded, share: frame.share };
}"""
OVERHEAD = """async () => {
  const [w, h] = [1920, 1080], source = new Uint8Array(w * h * 3 / 2).fill(90), memory = new WebAssembly.Memory({ initial: 256 });
  const target = new Uint8Array(memory.buffer, 0, source.length), gl = new OffscreenCanvas(w, h).getContext('webgl2');
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  const textures = [[w, h], [w / 2, h / 2], [w / 2, h / 2]].map(([wide, high]) => { const t = gl.createTexture(); gl.bindTexture(gl.TEXTURE_2D, t); gl.texStorage2D(gl.TEXTURE_2D, 1, gl.R8, wide, high); return [t, wide, high]; });
  const read = [], upload = [], median = (a) => a.sort((x, y) => x - y)[a.length >> 1];
  for (let i = 0; i < 200; ++i) {
    const frame = new VideoFrame(source, { format: 'I420', codedWidth: w, codedHeight: h, timestamp: i });
    let began = performance.now();
    await frame.copyTo(target);
    read.push(performance.now() - began);
    frame.close();
    began = performance.now();
    let at = 0;
    for (const [t, wide, high] of textures) { gl.bindTexture(gl.TEXTURE_2D, t); gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, wide, high, gl.RED, gl.UNSIGNED_BYTE, target, at); at += wide * high; }
    upload.push(performance.now() - began);
    if (i % 20 === 19) { gl.finish(); await new Promise((r) => { setTimeout(r, 5); }); }
  }
  return { read: median(read), upload: median(upload) };
}"""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--camera", type=Path, required=True, help="Y4M file of 640 x 360")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    files = {**module_files(), "index.html": b"<!doctype html><title>call</title>", "favicon.ico": b""}
    results: dict[str, object] = {"load": os.getloadavg()[0]}
    with ServerThread(files) as server, chromium(options.camera) as browser:
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.goto(server.address)
        results["overhead"] = page.evaluate(OVERHEAD)
        page.evaluate(CALL)
        for scale in (2, 3):
            turns = []
            for _ in range(options.rounds):
                for enabled in (False, True):
                    one = page.evaluate(TURN, {"scale": scale, "enabled": enabled, "seconds": options.seconds})
                    turns.append({"enabled": enabled, **one})
            passed, kept = (sum(one["frames"] for one in turns if one["enabled"] is on) for on in (False, True))
            results[f"x{scale}"] = {"kept": kept / passed, "turns": turns}
    print(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
