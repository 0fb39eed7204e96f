// Written by web/build_wasm.py.
export const HASHES = Object.freeze({
  'acutance.wasm': '0441ede1a642140fa399167f87efb1a5ed9d152e7ae4ff9c6ddfd9a9dbb4a72f',
  'acutance-threads.wasm': '608d4c7bfeb0334ebbbbfbb212a2e72ec99aacefec9527c5088b36bbb49608ee',
});
