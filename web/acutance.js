// acutance in the browser: gives blurred video calls their sharpness back, on the viewer's own processor.
import { readManifest } from './choose.js';
import { fetchChecked } from './fetch.js';
import { settingsOf } from './settings.js';
import { controlsOf, sharpenTrack } from './track.js';
import { SharpenedVideo } from './video.js';
import { HASHES } from './wasm/hashes.js';

const MOST_THREADS = 4;

/** What the browser lacks for sharpening, in words; empty where it has all of it. */
export function missing() {
  const needs = [
    ['WebAssembly with SIMD', () => WebAssembly.validate(SIMD)], ['VideoFrame (WebCodecs)', () => typeof VideoFrame === 'function'],
    ['requestVideoFrameCallback', () => 'requestVideoFrameCallback' in HTMLVideoElement.prototype],
    ['canvases in workers', () => 'transferControlToOffscreen' in HTMLCanvasElement.prototype],
    ['a secure context (https, or localhost)', () => globalThis.isSecureContext],
  ];
  return needs.filter(([, has]) => !has()).map(([name]) => name);
}

/** A module with one SIMD instruction. */
const SIMD = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11]);

/** The engine of a page: loaded once, for any number of videos and tracks. */
export class Acutance {
  #parts;
  #settings;
  #streams = new Set();

  /**
   * Load the engine and the list of models. Models themselves are loaded when a stream needs them.
   *
   * @param {object} [options]
   * @param {'fast' | 'balanced' | 'quality'} [options.model] the dearest tier that may be taken
   * @param {'faithful' | 'natural'} [options.look]
   * @param {number} [options.threads] of each stream; more than one only where the page is cross-origin isolated
   * @param {string | URL} [options.baseUrl] where this package's files lie; where this module came from, unless given
   * @returns {Promise<Acutance>} throws Error for what the browser lacks, or a file that cannot be had
   */
  static async load({ threads, baseUrl, ...settings } = {}) {
    const checked = settingsOf(settings), lacks = missing();
    if (lacks.length > 0) throw new Error(`this browser lacks ${lacks.join(', ')}`);
    if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= 16)) throw new TypeError(`threads are 1 to 16, not ${threads}`);
    const base = new URL(baseUrl ?? '.', baseUrl === undefined ? import.meta.url : globalThis.location.href);
    if (!base.href.endsWith('/')) base.pathname += '/';
    const most = Math.min(MOST_THREADS, Math.max(1, Math.floor((navigator.hardwareConcurrency || 2) / 2)));
    const used = globalThis.crossOriginIsolated ? threads ?? most : 1;
    const file = used > 1 ? 'acutance-threads.wasm' : 'acutance.wasm';
    const [wasm, list] = await Promise.all([
      fetchChecked(new URL(`wasm/${file}`, base), HASHES[file]), fetchChecked(new URL('models/models.json', base)),
    ]);
    const manifest = JSON.parse(new TextDecoder().decode(list));
    readManifest(manifest);
    const parts = { module: await WebAssembly.compile(wasm), threads: used, baseUrl: base, manifest, workerUrl: new URL('worker.js', base) };
    return new Acutance(parts, checked);
  }

  /** @private use `Acutance.load` */
  constructor(parts, settings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  /** @private */
  get parts() { return this.#parts; }
  /** @private */
  remember(stream) { this.#streams.add(stream); }
  /** @private */
  forget(stream) { this.#streams.delete(stream); }

  /** The settings that streams begin with. */
  get settings() { return this.#settings; }
  /** Threads that work on a frame. */
  get threads() { return this.#parts.threads; }
  /** What models there are: tier, task, look, factors. */
  get models() { return this.#parts.manifest.models.map(({ tier, task, look, factors, bytes }) => ({ tier, task, look, factors: [...factors], bytes })); }
  /** Streams whose workers run. */
  get streams() { return this.#streams.size; }

  /** A sharpened track of a camera's, or of one that was received. Ends with the track it was made of. */
  sharpenTrack(track, options) { return sharpenTrack(this, track, options); }

  /** Draw the sharpened picture over a <video>. */
  sharpenVideo(video, options) { return new SharpenedVideo(this, video, options); }

  /** Figures, settings and the end of a track that `sharpenTrack` made. */
  controls(track) { return controlsOf(track); }

  /** A video processor for LiveKit's `LocalVideoTrack.setProcessor` and `RemoteVideoTrack`. */
  livekitProcessor(options) { return livekitProcessor(this, options); }

  /** End every stream. @returns {Promise<void>} */
  async close() { await Promise.all([...this.#streams].map((stream) => stream.stop())); }
}

/**
 * LiveKit's TrackProcessor: init and restart with {track}, `processedTrack`, destroy.
 *
 * @param {Acutance} acutance @param {object} [options] of `sharpenTrack`
 */
export function livekitProcessor(acutance, options) {
  return {
    name: 'acutance',
    processedTrack: undefined,
    async init({ track }) { this.processedTrack = acutance.sharpenTrack(track, options); },
    async restart(opts) { await this.destroy(); await this.init(opts); },
    async destroy() {
      if (this.processedTrack !== undefined) await acutance.controls(this.processedTrack).stop();
      this.processedTrack = undefined;
    },
  };
}

export default Acutance;
