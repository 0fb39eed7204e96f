// A thread of the engine: a worker that waits for one C++ thread after another.
import { threadImports } from './engine.js';

const node = typeof process === 'object' && process.versions?.node;
const port = node ? (await import('node:worker_threads')).parentPort : globalThis;

let instance, memory;

function receive(event) {
  const message = event.data ?? event; // Node gives the message itself
  if (message.module !== undefined) {
    memory = message.memory;
    instance = new WebAssembly.Instance(message.module, threadImports(message.module, memory, {}));
    port.postMessage('ready');
    return;
  }
  const { thread, entry, argument, stack } = message;
  instance.exports._emscripten_thread_init(thread, 0, 0, 1, 0);
  instance.exports.stackRestore(stack);
  instance.exports.emscripten_tls_init();
  const result = instance.exports.__indirect_function_table.get(entry)(argument);
  instance.exports._emscripten_thread_exit(result);
  port.postMessage('finished');
}

if (node) port.on('message', receive);
else port.onmessage = receive;
