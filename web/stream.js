// One worker and what it tells: shared by videos and tracks.
import { Stats } from './stats.js';
import { settingsOf } from './settings.js';

const RESTARTS = 3; // of a worker that broke, before the stream is left alone

/** Settings and figures of a stream that is sharpened in a worker of its own. */
export class Stream {
  #acutance;
  #worker = null;
  #restarts = 0;
  #stopped = null;
  settings;
  stats = new Stats();
  /** starting, running, failed, stopped */
  state = 'starting';
  /** why it failed, or what the worker refused last */
  message = '';

  /**
   * @param {object} acutance what `Acutance.load` made
   * @param {object} changes to the settings it was loaded with
   * @param {{canvas?: () => OffscreenCanvas, onReady: () => void, onDone: (told: object) => void, onEnded?: () => void, onBroken?: () => void}} events
   */
  constructor(acutance, changes, events) {
    this.#acutance = acutance;
    this.settings = settingsOf(changes, acutance.settings);
    this.events = events;
    this.#start();
  }

  #start() {
    const { module, threads, baseUrl, manifest, workerUrl } = this.#acutance.parts;
    const worker = this.#worker = new Worker(workerUrl, { type: 'module', name: 'acutance' });
    worker.onmessage = ({ data }) => { if (worker === this.#worker) this.#hear(data); };
    worker.onerror = (event) => { event.preventDefault?.(); if (worker === this.#worker) this.#broken(event.message || 'the worker cannot start'); };
    const canvas = this.events.canvas?.();
    const start = { module, threads, baseUrl: String(baseUrl), manifest, settings: this.settings, canvas };
    worker.postMessage({ start }, canvas === undefined ? [] : [canvas]);
  }

  #hear(data) {
    if (data.ready) {
      if (this.state === 'starting') this.state = 'running';
      this.events.onReady();
    } else if (data.failed !== undefined) this.#broken(data.failed);
    else if (data.done !== undefined) {
      if (data.done.late) this.stats.dropped('late', data.done.late);
      this.stats.shown(data.done);
      this.events.onDone(data.done);
    } else if (data.refused !== undefined) this.message = data.refused;
    else if (data.lost) this.events.onLost?.();
    else if (data.restored) this.events.onRestored?.();
    else if (data.ended) this.events.onEnded?.();
    else if (data.stopped) this.#end();
  }

  /** The worker broke, or does not answer: a new one, a few times. */
  #broken(message) {
    this.message = message;
    this.#worker.terminate();
    this.#worker = null;
    if (this.state === 'stopped') { this.#end(); return; }
    this.stats.dropped('error');
    const again = this.events.onBroken?.() === true && this.#restarts++ < RESTARTS;
    if (again) this.#start();
    else this.state = 'failed';
  }

  /** For a worker that has not answered for long. */
  restart(message) { this.#broken(message); }

  send(message, transfer = []) { this.#worker?.postMessage(message, transfer); }

  /** Change settings while frames run. Throws TypeError. */
  update(changes) {
    this.settings = settingsOf(changes, this.settings);
    this.send({ settings: changes });
  }

  report() {
    return { state: this.state, message: this.message, settings: { ...this.settings }, ...this.stats.report() };
  }

  /** End the worker when it has closed its frames. @returns {Promise<void>} */
  stop() {
    if (this.#stopped === null) {
      const before = this.state;
      this.state = 'stopped';
      this.#stopped = new Promise((resolve) => { this.#resolve = resolve; });
      if (this.#worker === null || before === 'failed') this.#end();
      else this.send({ stop: true });
    }
    return this.#stopped;
  }
  #resolve = () => {};

  #end() {
    this.#worker?.terminate();
    this.#worker = null;
    this.#acutance.forget(this);
    this.#resolve();
  }
}
