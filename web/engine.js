// The engine in WebAssembly: the glue that Emscripten would write, by hand, and a class for each of its objects.
// Runs in workers and in Node; nothing here knows of pages or frames.

const PAGE = 65536;
const MEMORY_PAGES = { initial: 256, maximum: 8192 }; // as web/build_wasm.py links it
const LARGEST_SIDE = 65535;
const THREAD_STACK = 1 << 20;

/** What the engine refuses, in one line. */
export class EngineError extends Error {
  /** @param {string} message @param {number} [status] of acutance.h */
  constructor(message, status = 1) {
    super(message);
    this.name = 'EngineError';
    this.status = status;
  }
}

/** Imports that both builds need. Everything else is never called, and throws if it is. */
function imports(module, own) {
  const all = {};
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    all[from] ??= {};
    if (kind !== 'function') continue;
    all[from][name] = own[name] ?? (() => { throw new EngineError(`the engine called ${name}`); });
  }
  return all;
}

function clock(view, at) {
  const now = performance.now();
  view().setBigUint64(at, BigInt(Math.round(now * 1e6)), true);
  return 0;
}

/**
 * A module that was compiled, with its memory. One for each worker or process that computes.
 *
 * Threads: pass `spawn`, which starts web/thread.js as a module worker and returns it.
 */
export class Runtime {
  #exports;
  #memory;
  #module;
  #shared;
  #spawn;
  #workers = [];
  #idle = [];

  /**
   * @param {WebAssembly.Module} module acutance.wasm, or acutance-threads.wasm
   * @param {{spawn?: () => Worker}} [options]
   */
  constructor(module, { spawn } = {}) {
    this.#module = module;
    this.#spawn = spawn;
    // Pages that are not isolated have no SharedArrayBuffer to ask the memory about.
    this.#shared = WebAssembly.Module.imports(module).some(({ kind }) => kind === 'memory');
    if (this.#shared) this.#startShared();
    else this.#startSingle();
  }

  /**
   * Start what an engine of so many threads needs beside the caller. Engines that are opened before make do with fewer.
   *
   * @param {number} threads that work on a frame, the caller's among them
   */
  async reserve(threads) {
    const missing = this.shared ? threads - 1 - this.#idle.length : 0;
    await Promise.all(Array.from({ length: Math.max(0, missing) }, () => this.#startWorker()));
  }

  get exports() { return this.#exports; }
  /** Whether the memory is shared, so that engines may have threads. */
  get shared() { return this.#shared; }
  /** Bytes of memory; it grows and never shrinks. */
  get memoryBytes() { return this.#memory.buffer.byteLength; }

  bytes(at, count) { return new Uint8Array(this.#memory.buffer, at, count); }
  view() { return new DataView(this.#memory.buffer); }

  /** @param {number} count @returns {number} address; throws EngineError when memory runs out */
  allocate(count) {
    const at = this.#exports.malloc(count);
    if (at === 0) throw new EngineError(`out of memory: ${count} bytes`, 5);
    return at;
  }
  release(at) { this.#exports.free(at); }

  text(at) {
    const bytes = this.bytes(at, Math.min(4096, this.memoryBytes - at));
    return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
  }
  /** @param {number} status of a function of acutance.h; throws EngineError where it is not 0 */
  check(status) {
    if (status !== 0) throw this.error(status);
  }
  /** What the last call that failed gave as its reason. */
  error(status = 1) { return new EngineError(this.text(this.#exports.acutance_last_error()), status); }

  /** Ends its threads. Nothing of it may be used afterwards. */
  close() {
    for (const worker of this.#workers) worker.terminate();
    this.#workers = [];
    this.#idle = [];
  }

  #startSingle() {
    const instance = new WebAssembly.Instance(this.#module, imports(this.#module, {
      emscripten_notify_memory_growth: () => {},
      environ_sizes_get: (count, size) => { this.view().setUint32(count, 0, true); this.view().setUint32(size, 0, true); return 0; },
      environ_get: () => 0,
      clock_time_get: (id, precision, at) => clock(() => this.view(), at),
    }));
    this.#exports = instance.exports;
    this.#memory = instance.exports.memory;
    instance.exports._initialize();
  }

  #startShared() {
    this.#memory = new WebAssembly.Memory({ ...MEMORY_PAGES, shared: true });
    const instance = new WebAssembly.Instance(this.#module, threadImports(this.#module, this.#memory, {
      __emscripten_init_main_thread_js: (thread) => {
        instance.exports._emscripten_thread_init(thread, 0, 1, 1, 0);
        instance.exports.emscripten_tls_init();
      },
      __pthread_create_js: (thread, attributes, entry, argument) => this.#run(thread, entry, argument),
      __emscripten_thread_cleanup: () => {},
    }));
    this.#exports = instance.exports;
    instance.exports.__wasm_call_ctors();
  }

  async #startWorker() {
    const worker = this.#spawn();
    this.#workers.push(worker);
    await new Promise((resolve, reject) => {
      const listen = (event) => {
        const said = event.data ?? event; // Node's workers give the message itself
        if (said === 'ready') { this.#idle.push(worker); resolve(); }
        if (said === 'finished') this.#idle.push(worker);
      };
      if (worker.on) { worker.on('message', listen); worker.on('error', reject); } else { worker.onmessage = listen; worker.onerror = (event) => reject(new EngineError(event.message ?? 'a thread cannot start')); }
      worker.postMessage({ module: this.#module, memory: this.#memory });
    });
  }

  #run(thread, entry, argument) {
    const worker = this.#idle.pop();
    if (worker === undefined) return 6; // EAGAIN: the pool makes do with fewer
    const stack = this.#exports.acutance_thread_stack_top(thread);
    worker.postMessage({ thread, entry, argument, stack });
    return 0;
  }
}

/** Imports of the build with threads, in whatever thread. */
export function threadImports(module, memory, own) {
  const view = () => new DataView(memory.buffer);
  const all = imports(module, {
    emscripten_get_now: () => performance.timeOrigin + performance.now(),
    clock_gettime: (id, at) => {
      const now = performance.timeOrigin + performance.now();
      view().setInt32(at, Math.floor(now / 1000), true);
      view().setInt32(at + 4, Math.round((now % 1000) * 1e6), true);
      return 0;
    },
    emscripten_memcpy_big: (to, from, count) => { new Uint8Array(memory.buffer).copyWithin(to, from, from + count); },
    emscripten_resize_heap: (bytes) => {
      const had = memory.buffer.byteLength, wanted = Math.max(bytes >>> 0, Math.min(had * 1.2, MEMORY_PAGES.maximum * PAGE));
      try { memory.grow(Math.ceil((wanted - had) / PAGE)); return 1; } catch { return 0; }
    },
    emscripten_get_heap_max: () => MEMORY_PAGES.maximum * PAGE,
    emscripten_num_logical_cores: () => 1,
    emscripten_check_blocking_allowed: () => {},
    _emscripten_default_pthread_stack_size: () => THREAD_STACK,
    _emscripten_notify_thread_queue: () => {},
    environ_sizes_get: (count, size) => { view().setUint32(count, 0, true); view().setUint32(size, 0, true); return 0; },
    environ_get: () => 0,
    setTempRet0: () => {},
    ...own,
  });
  all.env.memory = memory;
  return all;
}

/** A student, ready to run: what acutance_load_memory gives. */
export class Engine {
  #runtime;
  #at;

  /** @param {Runtime} runtime @param {Uint8Array} model an .acu file @param {{threads?: number}} [options] */
  constructor(runtime, model, { threads = 1 } = {}) {
    if (!(model instanceof Uint8Array)) throw new EngineError('a model is a Uint8Array');
    if (!Number.isInteger(threads) || threads < 1) throw new EngineError(`threads are a whole number from 1 on, not ${threads}`);
    this.#runtime = runtime;
    const data = runtime.allocate(model.length + 1);
    runtime.bytes(data, model.length).set(model);
    this.#at = runtime.exports.acutance_js_open(data, model.length, runtime.shared ? threads : 1);
    runtime.release(data);
    if (this.#at === 0) throw runtime.error();
  }

  get address() { return this.#at; }
  get threads() { return this.#runtime.exports.acutance_engine_threads(this.#at); }

  /** Sessions of the engine must be closed first. */
  close() {
    this.#runtime.exports.acutance_free(this.#at);
    this.#at = 0;
  }
}

/**
 * Planes of one stream, sharpened one after another: acutance_session of acutance.h, with the planes in the engine's
 * memory.
 */
export class Session {
  #runtime;
  #at;

  /** @param {Runtime} runtime @param {Engine} engine */
  constructor(runtime, engine, options = {}) {
    this.#runtime = runtime;
    this.#at = runtime.exports.acutance_js_session(engine.address);
    if (this.#at === 0) throw runtime.error();
    try { this.setOptions(options); } catch (error) { this.close(); throw error; }
  }

  /** @param {{threshold?: number, tileBudget?: number, timeBudget?: number, reuse?: boolean}} options of the next frame */
  setOptions({ threshold = 0, tileBudget = 0, timeBudget = 0, reuse = false }) {
    if (!Number.isInteger(threshold)) throw new EngineError(`a threshold is a whole number, not ${threshold}`);
    this.#runtime.check(this.#runtime.exports.acutance_js_options(this.#at, threshold, reuse ? 1 : 0, tileBudget, timeBudget));
  }

  /**
   * Sharpen a plane that lies in the engine's memory.
   *
   * @param {{width: number, height: number, bitDepth?: number, fullRange?: boolean}} format
   * @param {{at: number, stride: number}} luma @param {{at: number, stride: number}} out @param {number} strength 0 to 2
   */
  process({ width, height, bitDepth = 8, fullRange = false }, luma, out, strength = 1) {
    if (!(Number.isInteger(width) && Number.isInteger(height))) throw new EngineError(`a size is made of whole numbers, not ${width} x ${height}`);
    this.#runtime.check(this.#runtime.exports.acutance_js_process(
      this.#at, width, height, bitDepth, fullRange ? 1 : 0, luma.at, luma.stride, out.at, out.stride, strength));
  }

  /** What became of the last frame's tiles. */
  counts() {
    const [tiles, computed, passed, reused] = [0, 1, 2, 3].map((which) => this.#runtime.exports.acutance_js_count(this.#at, which));
    return { tiles, computed, passed, reused };
  }

  /** Forget the last frame, as after a seek. */
  reset() { this.#runtime.exports.acutance_session_reset(this.#at); }

  close() {
    this.#runtime.exports.acutance_session_close(this.#at);
    this.#at = 0;
  }
}

/** Bicubic enlargement of 8-bit planes, bit for bit Pillow's. */
export class Enlarger {
  #runtime;
  #at;

  constructor(runtime) {
    this.#runtime = runtime;
    this.#at = runtime.exports.acutance_enlarger_open();
    if (this.#at === 0) throw new EngineError('out of memory', 5);
  }

  /** Both planes lie in the engine's memory: {at, stride, width, height}. */
  enlarge(source, target) {
    for (const { width, height } of [source, target]) {
      if (!(Number.isInteger(width) && Number.isInteger(height) && width >= 8 && height >= 8 && width <= LARGEST_SIDE && height <= LARGEST_SIDE))
        throw new EngineError(`a plane to enlarge has 8 to ${LARGEST_SIDE} rows and columns, not ${width} x ${height}`);
    }
    if (target.width < source.width || target.height < source.height) throw new EngineError('the target is smaller than the source');
    const status = this.#runtime.exports.acutance_enlarge(
      this.#at, source.at, source.stride, source.width, source.height, target.at, target.stride, target.width, target.height);
    if (status !== 0) throw new EngineError('out of memory', status);
  }

  close() {
    this.#runtime.exports.acutance_enlarger_close(this.#at);
    this.#at = 0;
  }
}

/** A block of the engine's memory that is made larger when it has to be. */
export class Block {
  #runtime;
  #at = 0;
  #size = 0;

  constructor(runtime) { this.#runtime = runtime; }

  /** @param {number} size in bytes @returns {number} its address */
  reserve(size) {
    if (size > this.#size) {
      this.close();
      this.#at = this.#runtime.allocate(size);
      this.#size = size;
    }
    return this.#at;
  }

  close() {
    if (this.#at !== 0) this.#runtime.release(this.#at);
    this.#at = this.#size = 0;
  }
}
