"""What integrators copy: Jitsi, Twilio and LiveKit objects in Chromium, driven as their libraries drive them."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("playwright")

from server_thread import ServerThread

from acutance.web.files import module_files
from browser import chromium, needs_chromium, write_camera

pytestmark = [needs_chromium, pytest.mark.skipif(sys.platform != "linux", reason="drives Debian's Chromium")]

WAIT = 60_000  # milliseconds: a busy machine compiles slowly
BEGIN = """
  const { Acutance } = await import('/acutance.js');
  const engine = await Acutance.load({ model: 'fast', budget: 0 });
  const media = await navigator.mediaDevices.getUserMedia({ video: { width: 320, height: 180 } });
  const [camera] = media.getVideoTracks();
  const play = async (track) => { const video = document.createElement('video'); Object.assign(video, { muted: true, srcObject: new MediaStream([track]) }); await video.play(); return video; };
  const sharpens = async (track) => { while (!(engine.controls(track).stats().sharpened > 2)) await new Promise((resolve) => { setTimeout(resolve, 20); }); };
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    camera = write_camera(tmp_path_factory.mktemp("camera") / "camera.y4m", 320, 180)
    files = {**module_files(), "index.html": b"<!doctype html><title>recipes</title><body>", "favicon.ico": b""}
    with ServerThread(files) as server, chromium(camera) as browser:
        page = browser.new_page()
        page.set_default_timeout(WAIT)
        page.goto(server.address)
        yield page


def test_livekit_processor_gives_a_track_and_takes_it_back(page: Any) -> None:
    told = page.evaluate(
        f"""async () => {{ {BEGIN}
          const processor = engine.livekitProcessor();
          await processor.init({{ track: camera, kind: 'video' }});
          const first = processor.processedTrack;
          await play(first); await sharpens(first);
          await processor.restart({{ track: camera, kind: 'video' }});
          const second = processor.processedTrack;
          await play(second); await sharpens(second);
          await processor.destroy();
          camera.stop();
          return [first.readyState, second === first, second.readyState, processor.processedTrack, engine.streams]; }}"""
    )
    assert told == ["ended", False, "ended", None, 0]


def test_jitsi_effect_gives_a_stream_and_takes_it_back(page: Any) -> None:
    told = page.evaluate(
        f"""async () => {{ {BEGIN}
          const {{ jitsiEffect }} = await import('/recipes/jitsi.js');
          const effect = jitsiEffect(engine);
          const wanted = effect.isEnabled({{ isVideoTrack: () => true, videoType: 'camera' }});
          const [track] = effect.startEffect(media).getVideoTracks();
          await play(track); await sharpens(track);
          await effect.stopEffect();
          camera.stop();
          return [wanted, track.readyState, engine.streams]; }}"""
    )
    assert told == [True, "ended", 0]


def test_twilio_processor_draws_sharpened_frames(page: Any) -> None:
    told = page.evaluate(
        f"""async () => {{ {BEGIN}
          const {{ twilioProcessor }} = await import('/recipes/twilio.js');
          const video = await play(camera), processor = twilioProcessor(engine), output = document.createElement('canvas');
          Object.assign(output, {{ width: 320, height: 180 }});
          for (let i = 0; i < 40; ++i) {{ await processor.processFrame(video, output); await new Promise((resolve) => {{ setTimeout(resolve, 30); }}); }}
          const shown = output.getContext('2d').getImageData(0, 0, 320, 180).data.some((value, at) => at % 4 < 3 && value > 30);
          await processor.close();
          camera.stop();
          return [shown, engine.streams]; }}"""
    )
    assert told == [True, 0]


def test_track_of_a_plain_connection_is_sharpened_on_the_way_out(page: Any) -> None:
    told = page.evaluate(
        f"""async () => {{ {BEGIN}
          const near = new RTCPeerConnection(), far = new RTCPeerConnection();
          near.onicecandidate = ({{ candidate }}) => far.addIceCandidate(candidate);
          far.onicecandidate = ({{ candidate }}) => near.addIceCandidate(candidate);
          const received = new Promise((resolve) => {{ far.ontrack = ({{ track }}) => resolve(track); }});
          const out = engine.sharpenTrack(camera);
          near.addTrack(out, new MediaStream([out]));
          await near.setLocalDescription(); await far.setRemoteDescription(near.localDescription);
          await far.setLocalDescription(); await near.setRemoteDescription(far.localDescription);
          const video = await play(await received);
          await sharpens(out);
          const size = [video.videoWidth > 0, video.videoHeight > 0];
          near.close(); far.close();
          await engine.controls(out).stop();
          camera.stop();
          return [...size, engine.streams]; }}"""
    )
    assert told == [True, True, 0]
