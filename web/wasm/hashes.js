// Written by web/build_wasm.py.
export const HASHES = Object.freeze({
  'acutance.wasm': 'e5440433804941521670b1541d2357e8d23207cf0e8e5b79adb7f0813b509301',
  'acutance-threads.wasm': 'e99b7d65e1eba7d25a6eb7fdbc7835edad076f27d1c1990e044cf493be59c71f',
});
