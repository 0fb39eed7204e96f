// Figures of a stream: counts, and percentiles over a window.

/** The last values of something, for percentiles. */
export class Window {
  #values = [];
  #next = 0;

  constructor(size = 240) { this.size = size; }

  add(value) {
    this.#values[this.#next] = value;
    this.#next = (this.#next + 1) % this.size;
  }

  values() { return this.#values; }

  /** @returns {{p50: number, p95: number, p99: number} | null} null where there is no value yet */
  percentiles() {
    if (this.#values.length === 0) return null;
    const sorted = Float64Array.from(this.#values).sort();
    const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
    return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
  }
}

/** What `stats()` of a stream tells. */
export class Stats {
  #took = new Window();
  #latency = new Window();
  #shownAt = new Window(150);
  #counts = { received: 0, shown: 0, sharpened: 0, failed: 0 };
  #dropped = {};
  #passed = {};
  #tiles = { tiles: 0, computed: 0, passed: 0, reused: 0 };
  #last = {};

  received() { ++this.#counts.received; }
  dropped(cause, count = 1) { this.#dropped[cause] = (this.#dropped[cause] ?? 0) + count; }

  /**
   * @param {{sharpened: boolean, reason?: string, took?: number, latency?: number, tiles?: object}} frame times in
   *   milliseconds
   */
  shown({ sharpened, reason, took, latency, tiles, ...facts }) {
    ++this.#counts.shown;
    this.#shownAt.add(performance.now());
    if (sharpened) {
      ++this.#counts.sharpened;
      this.#took.add(took);
      if (latency !== undefined) this.#latency.add(latency);
      for (const name of Object.keys(this.#tiles)) this.#tiles[name] += tiles[name];
    } else {
      this.#passed[reason] = (this.#passed[reason] ?? 0) + 1;
      if (reason === 'error') ++this.#counts.failed;
    }
    this.#last = { sharpened, reason, took, ...facts };
  }

  report() {
    return {
      ...this.#counts, dropped: { ...this.#dropped }, passed: { ...this.#passed }, tiles: { ...this.#tiles },
      took: this.#took.percentiles(), latency: this.#latency.percentiles(), fps: this.#rate(), frame: { ...this.#last },
    };
  }

  #rate() {
    const recent = this.#shownAt.values().filter((at) => at > performance.now() - 2000);
    return recent.length < 2 ? 0 : (recent.length - 1) / (Math.max(...recent) - Math.min(...recent)) * 1000;
  }
}
