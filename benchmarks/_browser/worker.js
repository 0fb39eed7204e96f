// Runs planes through the engine in a worker, as the module does, and says how long it took.
import { Block, Engine, Runtime, Session } from '/engine.js';

let runtime, engine, planes, input, output;

onmessage = async ({ data }) => {
  try {
    if (data.module !== undefined) {
      const spawn = () => new Worker('/thread.js', { type: 'module' });
      runtime = new Runtime(data.module, { spawn });
      await runtime.reserve(data.threads);
      engine = new Engine(runtime, data.model, { threads: data.threads });
      planes = data.planes;
      [input, output] = [new Block(runtime), new Block(runtime)];
      postMessage({ threads: engine.threads });
      return;
    }
    const { width, height, options, frames } = data, size = width * height;
    const session = new Session(runtime, engine, options), luma = { at: input.reserve(size), stride: width }, out = { at: output.reserve(size), stride: width };
    let took = 0, computed = 0, tiles = 0;
    for (let i = 0; i < frames; ++i) {
      const first = i % (planes.length / size) * size;
      runtime.bytes(luma.at, size).set(planes.subarray(first, first + size));
      const began = performance.now();
      session.process({ width, height }, luma, out);
      took += performance.now() - began;
      const counts = session.counts();
      computed += counts.computed; tiles += counts.tiles;
    }
    session.close();
    postMessage({ milliseconds: took / frames, share: computed / tiles });
  } catch (error) { postMessage({ error: String(error.stack ?? error) }); }
};
