// The worker of one stream: takes frames, gives them back sharpened or draws them. Never more than one frame waits.
//
// in:  {start: {...}} once; {settings}, {place}, {reset}, {report}; {frame} to be drawn; {readable, writable} of a track
// out: {ready} or {failed}; {done: {...}} for each frame; {lost}, {restored} of the canvas; {refused} for other messages
import { readManifest } from './choose.js';
import { Runtime } from './engine.js';
import { Painter } from './painter.js';
import { placeOf, settingsOf } from './settings.js';
import { PassThrough, Sharpener } from './sharpener.js';
import { fetchChecked } from './fetch.js';

let sharpener = null;
let painter = null;
let settings = settingsOf({});
let place = null;
let open = 0; // frames that this worker has to close
let stopping = false;
let reading = null; // the reader of a track
let endReading = () => {};
const LAST_FRAME = 300; // milliseconds: a track that is muted gives none

const isFrame = (value) => typeof VideoFrame === 'function' && value instanceof VideoFrame;

async function start({ module, threads, baseUrl, manifest, settings: wanted, canvas, slowness = 0 }) {
  if (sharpener !== null) throw new TypeError('the worker has been started');
  if (!(module instanceof WebAssembly.Module)) throw new TypeError('the engine is a WebAssembly.Module');
  if (!Number.isInteger(threads) || threads < 1 || threads > 16) throw new TypeError(`threads are 1 to 16, not ${threads}`);
  const models = readManifest(manifest);
  settings = settingsOf(wanted);
  const base = new URL(baseUrl, globalThis.location.href);
  const spawn = () => new Worker(new URL('./thread.js', import.meta.url), { type: 'module', name: 'acutance thread' });
  const runtime = new Runtime(module, { spawn });
  const fetchModel = ({ file, sha256 }) => fetchChecked(new URL(`models/${file}`, base), sha256);
  sharpener = new Sharpener(runtime, { models, fetchModel, threads, settings });
  sharpener.slowness = slowness;
  if (canvas !== undefined) painter = new Painter(canvas, { onLost: () => postMessage({ lost: true }), onRestored: () => postMessage({ restored: true }) });
}

/** Sharpen, or say why not. Errors of any kind pass the frame through. */
async function attempt(frame, shown, more) {
  if (!settings.enabled) return { reason: 'disabled' };
  try {
    return await sharpener.sharpen(frame, shown, more);
  } catch (error) {
    if (error instanceof PassThrough) return { reason: error.reason, message: error.message };
    sharpener.reset();
    return { reason: 'error', message: String(error?.message ?? error).slice(0, 300) };
  }
}

function facts(frame, result, sent) {
  const { took, tiles, model, width, height, reason, message } = result, { width: wide, height: high } = frame.visibleRect;
  return {
    sharpened: reason === undefined, reason, message, took, tiles, model, coded: [wide, high],
    size: reason === undefined ? [width, height] : [wide, high], latency: performance.timeOrigin + performance.now() - sent,
    format: frame.format, ...sharpener.state, open,
  };
}

/** A frame of a video: draw it. */
async function draw({ frame, sent, dropped, rotation = 0, flip = false }) {
  ++open;
  try {
    const turned = rotation % 180 !== 0, shown = { width: turned ? place.high : place.wide, height: turned ? place.wide : place.high };
    const result = painter.lost ? { reason: 'context lost' } : await attempt(frame, shown, { dropped });
    if (result.reason === undefined && !painter.lost) painter.drawPlanes(result.planes, result.color, { ...place, rotation, flip });
    --open;
    const told = facts(frame, result, sent);
    frame.close();
    postMessage({ done: told });
  } catch (error) {
    frame.close();
    open = 0;
    postMessage({ done: { sharpened: false, reason: 'error', message: String(error?.message ?? error).slice(0, 300), open } });
  }
  stopIfClosed();
}

/** A new frame of I420 with sharpened luma, with the times and colours of the one that came in. */
function rebuilt(frame, { planes, width, height }) {
  const half = { width: Math.ceil(width / 2), height: Math.ceil(height / 2) };
  const bytes = new Uint8Array(width * height + 2 * half.width * half.height);
  const put = ({ bytes: from, stride }, at, { width: wide, height: high }) => {
    if (stride === wide) bytes.set(from.subarray(0, wide * high), at);
    else for (let y = 0; y < high; ++y) bytes.set(from.subarray(y * stride, y * stride + wide), at + y * wide);
  };
  put(planes[0], 0, { width, height });
  let at = width * height;
  for (const plane of chromaPlanes(planes)) {
    const fits = plane.width === half.width && plane.height === half.height;
    put(fits ? plane : sharpener.enlarge(plane, half), at, half);
    at += half.width * half.height;
  }
  return new VideoFrame(bytes, {
    format: 'I420', codedWidth: width, codedHeight: height, timestamp: frame.timestamp, duration: frame.duration ?? undefined,
    colorSpace: frame.colorSpace?.toJSON(), rotation: frame.rotation ?? 0, flip: frame.flip ?? false, transfer: [bytes.buffer],
  });
}

function chromaPlanes([, first, second]) {
  if (second !== undefined) return [first, second];
  const { width, height, stride, bytes } = first; // NV12: Cb and Cr in turns
  return [0, 1].map((which) => {
    const plane = new Uint8Array(width * height);
    for (let y = 0; y < height; ++y) for (let x = 0; x < width; ++x) plane[y * width + x] = bytes[y * stride + 2 * x + which];
    return { bytes: plane, stride: width, width, height };
  });
}

/** Frames of a track, from a stream into a stream. The newest is taken; what the reader dropped shows in the times. */
async function pump(readable, writable, { scale }) {
  const reader = readable.getReader(), writer = writable.getWriter();
  const ended = new Promise((resolve) => { endReading = () => resolve({}); });
  reading = reader;
  let before = null;
  try {
    for (;;) {
      const read = reader.read(), { done, value: frame } = await Promise.race([read, ended]);
      if (done === undefined) read.then(({ value }) => value?.close(), () => {});
      if (done !== false) break;
      if (stopping) { frame.close(); break; }
      const sent = performance.timeOrigin + performance.now();
      ++open;
      let out = null, told;
      try {
        const { width, height } = frame.visibleRect, even = (side) => Math.round(side * scale / 2) * 2;
        const interval = sharpener.state.interval, passed = before === null ? 0 : (frame.timestamp - before) / 1e6;
        const dropped = passed > 0 && passed < 10 ? Math.max(0, Math.round(passed / interval) - 1) : 0;
        before = frame.timestamp;
        const subsampled = frame.format !== 'I444' && frame.format !== 'I422';
        const result = subsampled ? await attempt(frame, { width: even(width), height: even(height) }, { dropped: dropped > 0 }) : { reason: 'format' };
        if (result.reason === undefined) out = rebuilt(frame, result);
        told = { ...facts(frame, result, sent), late: dropped };
      } catch (error) {
        told = { sharpened: false, reason: 'error', message: String(error?.message ?? error).slice(0, 300) };
      }
      if (out === null) out = frame;
      else frame.close();
      try { await writer.write(out); } catch (error) { out.close(); throw error; } finally { --open; }
      postMessage({ done: { ...told, open } });
    }
    await reader.cancel().catch(() => {});
    await writer.close();
  } catch (error) {
    await reader.cancel(error).catch(() => {});
    await writer.abort(error).catch(() => {});
  }
  reading = null;
  postMessage({ ended: true });
  stopIfClosed();
}

/** Tells that nothing is open any more, so that the worker can be ended. */
function stopIfClosed() {
  if (!stopping || open > 0 || reading !== null) return;
  painter?.close();
  postMessage({ stopped: true });
}

async function receive(message) {
  if (typeof message !== 'object' || message === null) throw new TypeError('a message is an object');
  if (message.start !== undefined) {
    try { await start(message.start); postMessage({ ready: true }); } catch (error) { postMessage({ failed: String(error?.message ?? error).slice(0, 300) }); }
    return;
  }
  if (message.stop === true) {
    stopping = true;
    // The frame that is asked for is waited for: one that is on its way when a stream ends is closed by nobody.
    if (reading !== null) setTimeout(endReading, LAST_FRAME);
    stopIfClosed();
    return;
  }
  if (sharpener === null) throw new TypeError('the worker has not been started');
  if (message.settings !== undefined) { settings = settingsOf(message.settings, settings); sharpener.settings = settings; }
  else if (message.place !== undefined) place = placeOf(message.place);
  else if (message.reset === true) sharpener.reset();
  else if (message.slowness !== undefined) sharpener.slowness = Number.isFinite(message.slowness) ? Math.min(1000, message.slowness) : 0;
  else if (isFrame(message.frame) && painter !== null && place !== null && open === 0 && !stopping) await draw(message);
  else if (message.readable instanceof ReadableStream && message.writable instanceof WritableStream && painter === null && reading === null) {
    const scale = message.scale ?? 1;
    if (!(scale >= 1 && scale <= 8)) throw new TypeError(`a scale is 1 to 8, not ${scale}`);
    await pump(message.readable, message.writable, { scale });
  } else if (message.context !== undefined && painter !== null) painter.tryLoss(message.context === 'lose');
  else throw new TypeError('an unknown message');
}

onmessage = ({ data }) => {
  receive(data).catch((error) => {
    if (isFrame(data?.frame)) data.frame.close();
    postMessage({ refused: String(error?.message ?? error).slice(0, 300) });
  });
};
