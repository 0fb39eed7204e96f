// Written by web/build_wasm.py.
export const HASHES = Object.freeze({
  'acutance.wasm': '0d02e7ef67d3c6838b559deee10e7eb99caea06b80b3b591d8f83b6ecd52d6bf',
  'acutance-threads.wasm': 'dd2c18c59ffab7806247749ed37dd77af793f3b64ef6a93def2de85617d9eaf9',
});
