// Written by web/build_wasm.py.
export const HASHES = Object.freeze({
  'acutance.wasm': '9d0cec339c55b9165e00c5f6f8e19f88cf57d9b9bd02a14b608eaaf36d6a652a',
  'acutance-threads.wasm': '628877b2e2fafe29aa489d133a9a303c03de3c3966cd50be12abe2c9328bbed7',
});
