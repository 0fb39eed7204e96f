// Which student a stream gets: from what models.json lists, and what is known for certain here, the factor of scaling.

/** Cheapest first, with multiply-accumulates per pixel (docs/design.md). */
export const TIERS = Object.freeze({ fast: 1152, balanced: 2484, quality: 9504 });
export const LOOKS = Object.freeze(['faithful', 'natural']);
export const TASKS = Object.freeze(['call', 'clean']);

/**
 * @typedef {{file: string, tier: string, task: string, look: string, factors: number[], bytes: number, sha256: string}} ModelEntry
 */

/**
 * The models of a manifest, checked: what is not well-formed is refused as a whole.
 *
 * @param {unknown} manifest models.json
 * @returns {ModelEntry[]} throws TypeError
 */
export function readManifest(manifest) {
  const models = manifest?.models;
  if (manifest?.format !== 1 || !Array.isArray(models)) throw new TypeError('models.json: not a list of models in format 1');
  for (const model of models) {
    const named = typeof model?.file === 'string' && /^[\w.-]+\.acu$/.test(model.file) && Object.hasOwn(TIERS, model.tier);
    const numbered = Array.isArray(model?.factors) && model.factors.length > 0 && model.factors.every((f) => f >= 1 && f <= 8);
    if (!named || !numbered || !TASKS.includes(model.task) || !LOOKS.includes(model.look) || !/^[0-9a-f]{64}$/.test(model.sha256))
      throw new TypeError(`models.json: ${JSON.stringify(model)?.slice(0, 200)} is not a model`);
  }
  return models;
}

/**
 * The student for a factor: of the tier, or a cheaper one; for the factor, or the nearest above 1; of the task and look
 * rather than of others. A stream that is not enlarged gets one that was trained for that, or none.
 *
 * @param {ModelEntry[]} models
 * @param {{tier: string, task?: string, look?: string, factor: number}} wanted factor: shown size over coded size
 * @returns {ModelEntry | null}
 */
export function choose(models, { tier, task = 'call', look = 'faithful', factor }) {
  const names = Object.keys(TIERS), allowed = names.slice(0, names.indexOf(tier) + 1);
  // Up to 1.2 the picture is nearly its own size, and a student for 1.5 would sharpen what is sharp.
  const enlarged = factor > 1.2;
  const fits = models.filter((model) => allowed.includes(model.tier)
    && (enlarged ? model.factors.some((f) => f > 1) : model.factors.includes(1) && model.task === task));
  const distance = (model) => Math.min(...model.factors.filter((f) => f > 1 || !enlarged).map((f) => Math.abs(Math.log(f / Math.max(1, factor)))));
  const rank = (model) => [distance(model), model.task === task ? 0 : 1, model.look === look ? 0 : 1, -names.indexOf(model.tier), model.factors.length];
  const compare = (a, b) => a.map((x, i) => x - b[i]).find((x) => Math.abs(x) > 1e-6) ?? 0;
  return fits.map((model) => ({ model, rank: rank(model) })).sort((a, b) => compare(a.rank, b.rank))[0]?.model ?? null;
}
