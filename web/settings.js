// What a stream may be told, checked on both sides of the worker's door.
import { LOOKS, TASKS, TIERS } from './choose.js';

/** The settings that a stream begins with. */
export const DEFAULTS = Object.freeze({
  model: 'fast', look: 'faithful', task: 'call', strength: 1, budget: null, threshold: 8, reuse: true,
  maxPixels: 1920 * 1080, enabled: true,
});

const oneOf = (names) => [(value) => names.includes(value), `one of ${names.join(', ')}`];
const within = (low, high) => [(value) => typeof value === 'number' && value >= low && value <= high, `a number from ${low} to ${high}`];
const whole = (low, high) => [(value) => Number.isInteger(value) && value >= low && value <= high, `a whole number from ${low} to ${high}`];
const flag = [(value) => typeof value === 'boolean', 'true or false'];

const RULES = {
  model: oneOf(Object.keys(TIERS)), look: oneOf(LOOKS), task: oneOf(TASKS), strength: within(0, 2),
  budget: [(value) => value === null || within(0, 10)[0](value), 'null or seconds from 0 to 10'],
  threshold: whole(0, 65536), reuse: flag, maxPixels: whole(4096, 8192 * 4320), enabled: flag,
};

/**
 * Some settings over others, checked. Unknown names are refused too.
 *
 * @param {object} changes @param {typeof DEFAULTS} [base]
 * @returns {typeof DEFAULTS} throws TypeError
 */
export function settingsOf(changes, base = DEFAULTS) {
  if (typeof changes !== 'object' || changes === null) throw new TypeError('settings are an object');
  for (const [name, value] of Object.entries(changes)) {
    if (!Object.hasOwn(RULES, name)) throw new TypeError(`there is no setting ${name}; accepted: ${Object.keys(RULES).join(', ')}`);
    const [accepts, what] = RULES[name];
    if (!accepts(value)) throw new TypeError(`${name} is ${what}, not ${typeof value === 'object' ? typeof value : String(value)}`);
  }
  return { ...base, ...changes };
}

/**
 * Where a picture of the video lies in the canvas, in device pixels, checked.
 *
 * @param {object} place {width, height, x, y, wide, high}: of the canvas, and of the picture in it
 * @returns {object} throws TypeError
 */
export function placeOf(place) {
  const { width, height, x, y, wide, high } = place ?? {};
  if (![width, height, wide, high].every((side) => Number.isInteger(side) && side >= 1 && side <= 16384) || ![x, y].every((at) => Number.isInteger(at) && Math.abs(at) <= 16384))
    throw new TypeError('a place has whole numbers of pixels, 1 to 16384');
  return { width, height, x, y, wide, high };
}
