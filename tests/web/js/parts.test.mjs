// The parts of the module that need no browser: node --test.
import assert from 'node:assert/strict';
import test from 'node:test';
import { begin, decide } from '../../../web/budget.js';
import { choose, readManifest } from '../../../web/choose.js';
import { colorConversion } from '../../../web/painter.js';
import { placeOf, settingsOf } from '../../../web/settings.js';
import { Stats, Window } from '../../../web/stats.js';
import { fitInto } from '../../../web/video.js';

const LIMITS = { interval: 1 / 30, seconds: 1 / 60, costs: [2484, 1152] };

function run(state, frame, count, limits = LIMITS) {
  for (let i = 0; i < count; ++i) state = decide(state, frame(state), limits);
  return state;
}

test('frames in time keep the tier and every tile', () => {
  const state = run(begin(), () => ({ took: 0.005, computed: 0.5 }), 300);
  assert.equal(state.tier, 0);
  assert.equal(state.share, 1);
});

test('frames that take too long get fewer tiles first', () => {
  const state = run(begin(), (now) => ({ took: 0.025 * now.share, computed: Math.min(1, now.share) }), 60);
  assert.equal(state.tier, 0);
  assert.ok(state.share < 0.9 && state.share > 0.3);
});

test('a machine without time ends with nothing, and tries again later', () => {
  let state = run(begin(), () => ({ took: 0.2, computed: 1 }), 200);
  assert.equal(state.tier, 2);
  state = run(state, () => ({ took: 0, computed: 0 }), 40 * 60);
  assert.ok(state.tier < 2);
});

test('a machine that has time again goes back to the better tier', () => {
  let state = run(begin(), () => ({ took: 0.2, computed: 1 }), 200);
  state = run(state, (now) => (now.tier === 2 ? { took: 0, computed: 0 } : { took: 0.002, computed: 1 }), 60 * 60);
  assert.deepEqual([state.tier, state.share], [0, 1]);
});

test('dropped frames count as too much, but not without a limit', () => {
  const frame = () => ({ took: 0.001, computed: 1, dropped: true });
  assert.ok(run(begin(), frame, 20).share < 1);
  const free = run(begin(), frame, 100, { ...LIMITS, seconds: Infinity });
  assert.deepEqual([free.tier, free.share], [0, 1]);
});

const model = (name, factors, more = {}) => {
  const [tier, task] = name.split('-');
  return { file: `${name}.acu`, tier, task, look: 'faithful', factors, bytes: 1, sha256: '0'.repeat(64), ...more };
};
const MODELS = [
  model('fast-call-x1', [1]), model('fast-call-x1.5', [1.5]), model('fast-call-x2', [2]), model('fast-call-x3-4', [3, 4]),
  model('fast-clean-x2', [2]), model('balanced-call-x2', [2]), model('quality-clean-x2', [2]),
];

for (const [wanted, expected] of [
  [{ tier: 'fast', factor: 2 }, 'fast-call-x2'], [{ tier: 'fast', factor: 1 }, 'fast-call-x1'], [{ tier: 'fast', factor: 1.1 }, 'fast-call-x1'],
  [{ tier: 'fast', factor: 1.4 }, 'fast-call-x1.5'], [{ tier: 'fast', factor: 6 }, 'fast-call-x3-4'], [{ tier: 'balanced', factor: 2 }, 'balanced-call-x2'],
  [{ tier: 'balanced', factor: 3 }, 'fast-call-x3-4'], [{ tier: 'quality', factor: 2 }, 'balanced-call-x2'], [{ tier: 'quality', task: 'clean', factor: 2 }, 'quality-clean-x2'],
  [{ tier: 'fast', look: 'natural', factor: 2 }, 'fast-call-x2'],
]) {
  test(`${JSON.stringify(wanted)} gets ${expected}`, () => assert.equal(choose(MODELS, wanted).file, `${expected}.acu`));
}

test('what is not enlarged gets no student that was not trained for it', () => {
  assert.equal(choose(MODELS, { tier: 'fast', task: 'clean', factor: 1 }), null);
});

for (const wrong of [null, {}, { format: 2, models: [] }, { format: 1, models: [{}] }, { format: 1, models: [model('fast-call-x2', [2], { file: '../x.acu' })] }, { format: 1, models: [model('fast-call-x2', [NaN])] }, { format: 1, models: [model('fast-call-x2', [2], { sha256: 'no' })] }]) {
  test(`a manifest of ${JSON.stringify(wrong)?.slice(0, 60)} is refused`, () => assert.throws(() => readManifest(wrong), TypeError));
}

for (const wrong of [null, 5, { strength: NaN }, { strength: '1' }, { budget: -1 }, { model: 'x' }, { constructor: 1 }, { threshold: 1.5 }, { enabled: 1 }, { maxPixels: Infinity }]) {
  test(`settings of ${JSON.stringify(wrong)} are refused`, () => assert.throws(() => settingsOf(wrong), TypeError));
}

test('a place outside of what a canvas can be is refused', () => {
  assert.throws(() => placeOf({ width: 1e9, height: 1, x: 0, y: 0, wide: 1, high: 1 }), TypeError);
  assert.throws(() => placeOf(undefined), TypeError);
});

const BOX = { width: 400, height: 400 }, PICTURE = { width: 200, height: 100 };
for (const [fit, position, expected] of [
  ['contain', '50% 50%', { x: 0, y: 100, wide: 400, high: 200 }], ['cover', '50% 50%', { x: -200, y: 0, wide: 800, high: 400 }],
  ['fill', '50% 50%', { x: 0, y: 0, wide: 400, high: 400 }], ['none', '0% 0%', { x: 0, y: 0, wide: 200, high: 100 }],
  ['scale-down', '100% 100%', { x: 200, y: 300, wide: 200, high: 100 }], ['contain', '0px 10px', { x: 0, y: 10, wide: 400, high: 200 }],
]) {
  test(`object-fit ${fit} at ${position}`, () => assert.deepEqual(fitInto(BOX, PICTURE, fit, position), expected));
}

test('colour conversion gives black, white and grey of both ranges', () => {
  for (const [full, black, white] of [[false, 16, 235], [true, 0, 255]]) {
    const { offset, matrix } = colorConversion('bt709', full, 1080);
    for (const [code, expected] of [[black, 0], [white, 1]]) {
      const from = [code / 255, 128 / 255, 128 / 255].map((value, i) => value - offset[i]);
      for (let row = 0; row < 3; ++row) assert.ok(Math.abs(from[0] * matrix[row] + from[1] * matrix[3 + row] + from[2] * matrix[6 + row] - expected) < 1e-9);
    }
  }
});

test('percentiles are of the last values only', () => {
  const window = new Window(4);
  assert.equal(window.percentiles(), null);
  for (const value of [100, 1, 2, 3, 4]) window.add(value);
  assert.deepEqual(window.percentiles(), { p50: 3, p95: 4, p99: 4 });
});

test('frames are counted by what became of them', () => {
  const stats = new Stats(), tiles = { tiles: 4, computed: 3, passed: 1, reused: 0 };
  stats.received(); stats.received(); stats.received();
  stats.shown({ sharpened: true, took: 2, latency: 3, tiles });
  stats.shown({ sharpened: false, reason: 'budget' });
  stats.dropped('busy');
  const { received, shown, sharpened, dropped, passed, tiles: added } = stats.report();
  assert.deepEqual([received, shown, sharpened, dropped, passed, added], [3, 2, 1, { busy: 1 }, { budget: 1 }, tiles]);
});
