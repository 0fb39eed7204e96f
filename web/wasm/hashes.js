// Written by web/build_wasm.py.
export const HASHES = Object.freeze({
  'acutance.wasm': 'd52320f32f89b8456d193e7503cbc1950867f3bba48656ea170d546b752f09b2',
  'acutance-threads.wasm': '56ee787fc6c35dbd5965ea0cfba4a3d2ceca439bc03aadb24e0aeb24a85a4ce2',
});
