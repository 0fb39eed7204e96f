// Frames in, sharpened planes out: chooses the student, keeps the time, and says why where a frame passes through.
// Lives in the worker.
import { begin, decide } from './budget.js';
import { TIERS, choose } from './choose.js';
import { Block, Engine, Enlarger, Session } from './engine.js';

/** Planes of the formats that are sharpened: how each is smaller than luma, and how many samples lie together. */
const FORMATS = {
  I420: [[2, 2, 1], [2, 2, 1]], I420A: [[2, 2, 1], [2, 2, 1]], I422: [[2, 1, 1], [2, 1, 1]], I444: [[1, 1, 1], [1, 1, 1]],
  NV12: [[2, 2, 2]],
};
const LARGEST_PIXELS = 8192 * 4320;
const SMALLEST = 8; // rows and columns
const WARM_UP = { width: 320, height: 96, frames: 60, milliseconds: 400 };
const LOWER = 0.75; // shown smaller than that share of the coded size: there is nothing to see of sharpening

/** Why a frame passes through. */
export class PassThrough extends Error {
  constructor(reason, message = reason) {
    super(message);
    this.reason = reason;
  }
}

/**
 * @typedef {object} Settings what may change while frames run
 * @property {string} model the tier: fast, balanced, quality
 * @property {string} look
 * @property {string} task
 * @property {number} strength
 * @property {number | null} budget seconds a frame may take; null: half of the interval between frames; 0: no limit
 * @property {number} threshold of tiles
 * @property {boolean} reuse
 * @property {number} maxPixels of the enlarged picture
 */

export class Sharpener {
  #runtime;
  #manifest;
  #fetchModel;
  #threads;
  #settings;
  #engines = new Map(); // file to Engine, or to null while it is on its way, or to an Error
  #session = null;
  #sessionOf = '';
  #enlarger;
  #frame;
  #large;
  #sharp;
  #extra;
  #budget = begin();
  #interval = 1 / 30;
  #before = null; // timestamp of the last frame
  #slowness = 0;

  /**
   * @param {import('./engine.js').Runtime} runtime
   * @param {{models: object[], fetchModel: (entry: object) => Promise<Uint8Array>, threads: number, settings: Settings}} options
   */
  constructor(runtime, { models, fetchModel, threads, settings }) {
    this.#runtime = runtime;
    this.#manifest = models;
    this.#fetchModel = fetchModel;
    this.#threads = threads;
    this.#settings = settings;
    this.#enlarger = new Enlarger(runtime);
    [this.#frame, this.#large, this.#sharp, this.#extra] = Array.from({ length: 4 }, () => new Block(runtime));
  }

  set settings(settings) {
    const other = ['model', 'budget'].some((name) => settings[name] !== this.#settings[name]);
    this.#settings = settings;
    if (other) this.#budget = begin();
  }
  get settings() { return this.#settings; }
  get state() { return { share: this.#budget.share, threads: this.#runtime.shared ? this.#threads : 1, interval: this.#interval }; }

  /** Milliseconds by which every frame is made slower: for tests of what happens then. */
  set slowness(milliseconds) { this.#slowness = milliseconds; }

  /** Forget the last frame: after a seek, or when frames did not come for a while. */
  reset() {
    this.#session?.reset();
    this.#before = null;
  }

  /**
   * Sharpen a frame, which stays open.
   *
   * @param {VideoFrame} frame
   * @param {{width: number, height: number}} shown in device pixels, before rotation
   * @param {{dropped?: boolean}} [more] dropped: whether a frame was, since the last one
   * @returns {Promise<object>} {planes, color, width, height, took, tiles, model}; throws PassThrough
   */
  async sharpen(frame, shown, { dropped = false } = {}) {
    const chroma = FORMATS[frame.format], { width, height } = frame.visibleRect;
    if (chroma === undefined) throw new PassThrough('format', `frames of format ${frame.format} are not sharpened`);
    if (width < SMALLEST || height < SMALLEST || width * height > LARGEST_PIXELS) throw new PassThrough('size', `frames of ${width} x ${height} are not sharpened`);
    this.#time(frame.timestamp);
    if (this.#settings.strength === 0) throw new PassThrough('strength');
    const wanted = this.#target(width, height, shown), factor = Math.sqrt(wanted.width * wanted.height / (width * height));
    if (shown.width < LOWER * width) throw new PassThrough('small');
    const limits = this.#limits();
    const tier = this.#tiers()[this.#budget.tier];
    if (tier === undefined) {
      this.#budget = decide(this.#budget, { took: 0, computed: 0 }, limits);
      throw new PassThrough('budget');
    }
    const model = choose(this.#manifest, { tier, task: this.#settings.task, look: this.#settings.look, factor });
    if (model === null) throw new PassThrough('no student', 'there is no student for what is not enlarged');
    const engine = this.#engine(model);
    const began = performance.now(), bytes = frame.allocationSize();
    const at = this.#frame.reserve(bytes);
    const layout = await frame.copyTo(this.#runtime.bytes(at, bytes));
    const result = this.#process({ frame, engine, model, at, layout, wanted, chroma });
    while (performance.now() - began < this.#slowness);
    const took = performance.now() - began;
    const { tiles, computed, reused } = result.tiles;
    this.#budget = decide(this.#budget, { took: took / 1000, computed: (computed + reused) / tiles, dropped }, limits);
    return { ...result, took };
  }

  #process({ frame, engine, model, at, layout, wanted, chroma }) {
    const { width, height } = frame.visibleRect, runtime = this.#runtime;
    const fullRange = frame.colorSpace?.fullRange === true;
    let luma = { at: at + layout[0].offset, stride: layout[0].stride, width, height };
    if (wanted.width !== width || wanted.height !== height) {
      const large = { at: this.#large.reserve(wanted.width * wanted.height), stride: wanted.width, ...wanted };
      this.#enlarger.enlarge(luma, large);
      luma = large;
    }
    const out = { at: this.#sharp.reserve(wanted.width * wanted.height), stride: wanted.width, ...wanted };
    const session = this.#sessionFor(engine, model);
    session.process({ ...wanted, fullRange }, luma, out, this.#settings.strength);
    const plane = ({ at: from, stride, width: wide, height: high }) => ({ bytes: runtime.bytes(from, stride * (high - 1) + wide), stride, width: wide, height: high });
    const planes = [plane(out), ...chroma.map(([across, down, together], i) => {
      const { offset, stride } = layout[i + 1], wide = Math.ceil(width / across), high = Math.ceil(height / down);
      return { bytes: runtime.bytes(at + offset, stride * (high - 1) + wide * together), stride, width: wide, height: high };
    })];
    const color = { matrix: frame.colorSpace?.matrix, fullRange, height };
    return { planes, color, ...wanted, tiles: session.counts(), model: model.file };
  }

  /** Enlarge a plane of chroma; a view of the engine's memory, until the next call. */
  enlarge({ bytes, stride, width, height }, target) {
    const size = target.width * target.height, at = this.#extra.reserve(size);
    const enlarger = new Enlarger(this.#runtime);
    try { enlarger.enlarge({ at: bytes.byteOffset, stride, width, height }, { at, stride: target.width, ...target }); } finally { enlarger.close(); }
    return { bytes: this.#runtime.bytes(at, size), stride: target.width, ...target };
  }

  /** The size to sharpen at: as it is shown, between the coded size and the limit. */
  #target(width, height, shown) {
    const most = Math.sqrt(this.#settings.maxPixels / (shown.width * shown.height));
    const scale = Math.min(1, most), wide = Math.round(shown.width * scale), high = Math.round(shown.height * scale);
    // A picture that is hardly enlarged is sharpened as it is: the screen's own scaling does the rest.
    return wide < 1.05 * width || high < 1.05 * height ? { width, height } : { width: wide, height: high };
  }

  #time(timestamp) {
    const passed = this.#before === null ? 0 : (timestamp - this.#before) / 1e6;
    this.#before = timestamp;
    if (passed > 1 / 250 && passed < 1) this.#interval += 0.1 * (Math.min(passed, 2 * this.#interval) - this.#interval);
  }

  #tiers() {
    const names = Object.keys(TIERS);
    return names.slice(0, names.indexOf(this.#settings.model) + 1).reverse();
  }

  #limits() {
    const { budget } = this.#settings, seconds = budget === 0 ? Infinity : budget ?? this.#interval / 2;
    return { interval: this.#interval, seconds, costs: this.#tiers().map((tier) => TIERS[tier]) };
  }

  /** The engine of a model; while it loads, frames pass through. */
  #engine(model) {
    const engine = this.#engines.get(model.file);
    if (engine instanceof Engine) return engine;
    if (engine instanceof Error) throw new PassThrough('error', engine.message);
    if (engine === undefined) {
      this.#engines.set(model.file, null);
      this.#load(model).then((loaded) => this.#engines.set(model.file, loaded), (error) => this.#engines.set(model.file, error));
    }
    throw new PassThrough('loading');
  }

  async #load(model) {
    const bytes = await this.#fetchModel(model);
    await this.#runtime.reserve(this.#threads);
    const engine = new Engine(this.#runtime, bytes, { threads: this.#threads });
    this.#warmUp(engine);
    return engine;
  }

  /** Browsers compile what runs often once more, and better: until then a frame takes ten times as long. */
  #warmUp(engine) {
    const { width, height } = WARM_UP, session = new Session(this.#runtime, engine, { threshold: 1 });
    const at = this.#runtime.allocate(2 * width * height), out = at + width * height, luma = this.#runtime.bytes(at, width * height);
    for (let i = 0; i < luma.length; ++i) luma[i] = 64 + (i * 37 % 128);
    const until = performance.now() + WARM_UP.milliseconds;
    for (let i = 0; i < WARM_UP.frames && performance.now() < until; ++i) {
      luma[0] ^= 1;
      session.process({ width, height }, { at, stride: width }, { at: out, stride: width });
    }
    session.close();
    this.#runtime.release(at);
  }

  #sessionFor(engine, model) {
    const { threshold, reuse } = this.#settings, { share } = this.#budget;
    const options = { threshold, reuse, tileBudget: share < 1 ? share : 0 };
    if (this.#sessionOf !== model.file) {
      this.#session?.close();
      this.#session = new Session(this.#runtime, engine, options);
      this.#sessionOf = model.file;
    } else {
      this.#session.setOptions(options);
    }
    return this.#session;
  }

  close() {
    this.#session?.close();
    for (const engine of this.#engines.values()) if (engine instanceof Engine) engine.close();
    this.#enlarger.close();
    for (const block of [this.#frame, this.#large, this.#sharp, this.#extra]) block.close();
  }
}
