// What to leave out so that frames are in time, decided from what the last ones took: the rules of live jobs
// (src/acutance/live/controller.py). First fewer tiles, then a cheaper tier, then nothing; back up slowly, and the more
// slowly the more often going up has failed. Pure functions.

const TARGET = 0.85; // of what is allowed: where a change of share aims
const CALM = 0.7; // of what is allowed: below, there is room
const DROPPED = 1.05; // of what is allowed: what a dropped frame says at least
const LEAST_SHARE = 0.1; // of a frame's tiles: below, the next cheaper tier does more
const WORTH = 0.5; // of the wanted tiles: the better tier is worth going up to where it has time for so many
const SHARE_UP = 1.25; // at most, from step to step
const RISE = 0.15, FALL = 0.1; // how fast the load that is believed follows the load that is measured
const LOUDEST = 2; // of what is allowed: what one frame can say
const SETTLE = 0.15; // seconds after a change before the next one
const CALM_SHARE = 0.5, CALM_TIER = 3; // seconds of room before a step up
const LONGEST_WAIT = 60; // seconds
const FAILED_WITHIN = 10; // seconds after going up: going down then counts as a failure
const PROBE = 0.1; // share of tiles with which sharpening begins again after passing through

/**
 * The state to begin with. tier: index into the costs, their number where frames pass through. share: of the tiles that
 * may be computed.
 */
export function begin() {
  return {
    tier: 0, share: 1, load: 0, computed: 0, age: -0.35, tierAge: Infinity, shareAge: Infinity, calm: 0,
    wait: CALM_TIER, shareWait: CALM_SHARE,
  };
}

/**
 * The state for the next frame.
 *
 * @param {ReturnType<typeof begin>} state
 * @param {{took: number, computed: number, dropped?: boolean}} frame took: seconds; computed: share of the tiles that
 *   needed it; dropped: whether a frame was dropped since the last one
 * @param {{interval: number, seconds: number, costs: number[]}} limits interval: seconds from frame to frame; seconds:
 *   what a frame may take; costs: of each tier, the dearest first
 */
export function decide(state, { took, computed, dropped = false }, limits) {
  const now = Math.min(LOUDEST, took / limits.seconds), passed = Math.max(took, limits.interval);
  const load = state.load + (now > state.load ? RISE : FALL) * (now - state.load);
  const next = {
    ...state,
    load: dropped && Number.isFinite(limits.seconds) ? Math.max(load, DROPPED) : load, // without a limit nothing is too much
    computed: Math.max(computed, state.computed + FALL * (computed - state.computed)),
    age: state.age + passed, tierAge: state.tierAge + passed, shareAge: state.shareAge + passed,
  };
  if (next.tier >= limits.costs.length) return fromBelow(next, limits);
  if (next.load > 1) return next.age >= SETTLE ? less({ ...next, calm: 0 }, limits) : { ...next, calm: 0 };
  if (next.load >= CALM) return { ...next, calm: 0 };
  return more({ ...next, calm: next.calm + limits.interval }, limits);
}

function less(state, { costs }) {
  const share = Math.min(state.share, state.computed) * TARGET / state.load;
  if (share >= LEAST_SHARE) {
    const failed = state.shareAge < FAILED_WITHIN;
    return { ...state, share, load: TARGET, age: 0, shareWait: failed ? Math.min(LONGEST_WAIT, 2 * state.shareWait) : CALM_SHARE };
  }
  const wait = state.tierAge < FAILED_WITHIN ? Math.min(LONGEST_WAIT, 2 * state.wait) : CALM_TIER, tier = state.tier + 1;
  const known = tier < costs.length;
  return {
    ...state, tier, load: TARGET, age: 0, wait,
    share: known ? Math.min(1, Math.max(LEAST_SHARE, share * costs[state.tier] / costs[tier])) : 1,
  };
}

function more(state, { costs }) {
  if (state.share < 1) {
    if (state.calm < state.shareWait) return state;
    const step = Math.min(SHARE_UP, TARGET / Math.max(state.load, 1e-6));
    return { ...state, share: Math.min(1, state.share * step), calm: 0, age: 0, shareAge: 0, load: Math.min(1, state.load * step) };
  }
  if (state.tier === 0 || state.calm < state.wait) return state;
  const load = state.load * costs[state.tier - 1] / costs[state.tier];
  let share = 1;
  if (load > CALM) {
    const fits = TARGET / load;
    share = state.computed * fits;
    if (fits < WORTH || share < 2 * LEAST_SHARE) return state;
  }
  return { ...state, tier: state.tier - 1, share: Math.min(1, share), load: Math.min(load, TARGET), calm: 0, age: 0, tierAge: 0 };
}

/** Passing through says nothing about what sharpening would take: it is tried again with few tiles. */
function fromBelow(state, { interval, costs }) {
  const calm = state.calm + interval;
  if (calm < state.wait) return { ...state, calm };
  return { ...state, tier: costs.length - 1, share: PROBE, load: 0, calm: 0, age: 0, tierAge: 0 };
}
