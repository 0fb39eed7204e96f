// What the engine in WebAssembly refuses, in both builds: prints {build: {case: message}}.
import fs from 'node:fs';
import { Worker } from 'node:worker_threads';
import { Engine, Enlarger, Runtime, Session } from '../../../web/engine.js';

const [folder, model] = process.argv.slice(2), told = {};
for (const build of ['acutance.wasm', 'acutance-threads.wasm']) {
  const spawn = () => new Worker(new URL('../../../web/thread.js', import.meta.url));
  const runtime = new Runtime(new WebAssembly.Module(fs.readFileSync(`${folder}/${build}`)), { spawn });
  const good = new Uint8Array(fs.readFileSync(model)), damaged = good.slice();
  damaged.fill(0x7f, 28, 200);
  await runtime.reserve(2);
  const engine = new Engine(runtime, good, { threads: 2 }), session = new Session(runtime, engine);
  const at = runtime.allocate(4096), out = runtime.allocate(4096), size = { width: 64, height: 64 };
  const luma = { at, stride: 64 }, target = { at: out, stride: 64 };
  const cases = {
    'not a model': () => new Engine(runtime, new Uint8Array(100)),
    'an empty model': () => new Engine(runtime, new Uint8Array(0)),
    'a damaged model': () => new Engine(runtime, damaged),
    'no threads': () => new Engine(runtime, good, { threads: 0 }),
    'strength NaN': () => session.process(size, luma, target, NaN),
    'strength 3': () => session.process(size, luma, target, 3),
    'an absurd size': () => session.process({ width: 1e9, height: 64 }, luma, target, 1),
    'half a pixel': () => session.process({ width: 63.5, height: 64 }, luma, target, 1),
    'planes that overlap': () => session.process(size, luma, luma, 1),
    'a negative threshold': () => session.setOptions({ threshold: -1 }),
    'a smaller target': () => new Enlarger(runtime).enlarge({ ...luma, ...size }, { ...target, width: 32, height: 32 }),
    'more memory than there is': () => runtime.allocate(2 ** 31),
  };
  told[build] = {};
  for (const [name, act] of Object.entries(cases)) {
    try { act(); told[build][name] = null; } catch (error) { told[build][name] = `${error.name}: ${error.message}`; }
  }
  session.process(size, luma, target, 1); // and it still works
  session.close();
  engine.close();
  runtime.close();
}
console.log(JSON.stringify(told));
