// A track in, a sharpened track out.
import { Stream } from './stream.js';

/** What is known of the sharpened tracks of this page. */
const controls = new WeakMap();

/**
 * @param {object} acutance @param {MediaStreamTrack} track
 * @param {{scale?: number, whenHidden?: 'pass' | 'sharpen'} & object} [options]
 * @returns {MediaStreamTrack}
 */
export function sharpenTrack(acutance, track, { scale = 1, whenHidden = 'pass', ...settings } = {}) {
  if (!(track instanceof MediaStreamTrack) || track.kind !== 'video') throw new TypeError('sharpenTrack takes a video track');
  if (!(scale >= 1 && scale <= 8)) throw new TypeError(`scale is a number from 1 to 8, not ${scale}`);
  if (!['pass', 'sharpen'].includes(whenHidden)) throw new TypeError('whenHidden is pass or sharpen');
  if (typeof MediaStreamTrackProcessor !== 'function' || typeof MediaStreamTrackGenerator !== 'function')
    return byCanvas(acutance, track, settings);
  const processor = new MediaStreamTrackProcessor({ track, maxBufferSize: 1 });
  const generator = new MediaStreamTrackGenerator({ kind: 'video' });
  const leave = new AbortController();
  let given = false; // to the worker: until then the newest frame waits in the processor
  const stream = new Stream(acutance, settings, {
    onReady: () => {
      if (stream.state === 'stopped') return;
      given = true;
      const { readable } = processor, { writable } = generator;
      stream.send({ readable, writable, scale }, [readable, writable]);
    },
    onDone: () => stream.stats.received(),
    onEnded: () => { leave.abort(); stream.stop(); },
    onBroken: () => { leave.abort(); generator.stop(); return false; },
  });
  acutance.remember(stream);
  if (whenHidden === 'pass') {
    const follow = () => { if (stream.settings.enabled) stream.send({ settings: { enabled: !document.hidden } }); };
    document.addEventListener('visibilitychange', follow, { signal: leave.signal });
  }
  // The worker goes first: a frame that is written to a track that has ended is closed by nobody.
  const stop = async () => {
    leave.abort();
    if (!given) await processor.readable.cancel().catch(() => {});
    await stream.stop();
    generator.stop();
  };
  controls.set(generator, { stats: () => stream.report(), update: (changes) => stream.update(changes), stop, test: { slow: (slowness) => stream.send({ slowness }) } });
  return generator;
}

/** Firefox and Safari: through a <video> and a <canvas>. */
function byCanvas(acutance, track, settings) {
  const video = document.createElement('video'), canvas = document.createElement('canvas');
  if (typeof canvas.captureStream !== 'function') throw new Error('this browser cannot make tracks of pictures');
  Object.assign(video, { muted: true, playsInline: true, srcObject: new MediaStream([track]) });
  const { width = 640, height = 360 } = track.getSettings();
  Object.assign(canvas, { width, height });
  Object.assign(video.style, { position: 'fixed', width: `${width}px`, height: `${height}px`, opacity: '0', pointerEvents: 'none', zIndex: '-1' });
  document.body.append(video);
  const sharpened = acutance.sharpenVideo(video, { ...settings, canvas });
  const [out] = canvas.captureStream().getVideoTracks();
  const stop = async () => { out.stop(); video.remove(); await sharpened.detach(); };
  track.addEventListener('ended', stop, { once: true });
  video.play().catch(() => {});
  controls.set(out, { stats: () => sharpened.stats(), update: (changes) => sharpened.update(changes), stop, test: sharpened.test });
  return out;
}

/**
 * What belongs to a track that `sharpenTrack` made.
 *
 * @param {MediaStreamTrack} track
 * @returns {{stats: () => object, update: (settings: object) => void, stop: () => Promise<void>}} throws TypeError
 */
export function controlsOf(track) {
  const found = controls.get(track);
  if (found === undefined) throw new TypeError('sharpenTrack did not make this track');
  return found;
}
