// Runs planes through the engine in WebAssembly and prints what came out: node conformance.mjs < job.json
//
// job: {wasm, threads, cases: [{model, luma, width, height, bitDepth, fullRange, strength, options, frames}]}
// out: one line for each case, {frames: [sha256, ...], counts: [[tiles, computed, passed, reused], ...]}
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { Worker } from 'node:worker_threads';
import { Block, Engine, Enlarger, Runtime, Session } from '../../../web/engine.js';

const job = JSON.parse(fs.readFileSync(0, 'utf8'));
const spawn = () => new Worker(new URL('../../../web/thread.js', import.meta.url));
const runtime = new Runtime(new WebAssembly.Module(fs.readFileSync(job.wasm)), { spawn });
const engines = new Map();

async function engineOf(model) {
  if (!engines.has(model)) {
    await runtime.reserve(job.threads);
    const engine = new Engine(runtime, fs.readFileSync(model), { threads: job.threads });
    if (engine.threads !== (runtime.shared ? job.threads : 1)) throw new Error(`${engine.threads} threads`);
    engines.set(model, engine);
  }
  return engines.get(model);
}

const hash = (bytes) => createHash('sha256').update(bytes).digest('hex');
const input = new Block(runtime), output = new Block(runtime);

for (const one of job.cases) {
  const planes = fs.readFileSync(one.luma);
  if (one.enlarge) {
    const { width, height } = one, [wide, high] = one.enlarge, enlarger = new Enlarger(runtime);
    const source = { at: input.reserve(width * height), stride: width, width, height };
    const target = { at: output.reserve(wide * high), stride: wide, width: wide, height: high };
    runtime.bytes(source.at, width * height).set(planes);
    enlarger.enlarge(source, target);
    enlarger.close();
    console.log(JSON.stringify({ frames: [hash(runtime.bytes(target.at, wide * high))] }));
    continue;
  }
  const stride = one.width * (one.bitDepth > 8 ? 2 : 1), plane = stride * one.height;
  const session = new Session(runtime, await engineOf(one.model), one.options);
  const result = { frames: [], counts: [] };
  const luma = { at: input.reserve(plane), stride }, out = { at: output.reserve(plane), stride };
  for (let frame = 0; frame < one.frames; ++frame) {
    runtime.bytes(luma.at, plane).set(planes.subarray(frame * plane, (frame + 1) * plane));
    session.process(one, luma, out, one.strength);
    result.frames.push(hash(runtime.bytes(out.at, plane)));
    result.counts.push(Object.values(session.counts()));
  }
  session.close();
  console.log(JSON.stringify(result));
}
for (const engine of engines.values()) engine.close();
runtime.close();
