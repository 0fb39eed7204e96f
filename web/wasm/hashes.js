// Written by web/build_wasm.py.
export const HASHES = Object.freeze({
  'acutance.wasm': '4eec8a6c43ec3c1c6e004a04e5eb5fab96f818b1dcb5bb20c988abb812d4069e',
  'acutance-threads.wasm': 'da8f66b9d0ed7711d5e506b676117cdd93f612e7a4e39891ba9092c2cda6fb78',
});
