/** Gives blurred video calls their sharpness back, in the browser. */

export interface Settings {
  /** The dearest tier that may be taken; a cheaper one where time is short. Default: fast. */
  model?: 'fast' | 'balanced' | 'quality';
  /** Default: faithful. A look that no model has gives the other one. */
  look?: 'faithful' | 'natural';
  /** What the picture went through. Default: call. */
  task?: 'call' | 'clean';
  /** 0, the picture as it came, to 2. Default: 1, what the models were trained for. */
  strength?: number;
  /** Seconds a frame may take; null, the default: half of the time between frames; 0: no limit. */
  budget?: number | null;
  /** Tiles with less activity pass through. Default: 8; 0 computes every tile. */
  threshold?: number;
  /** Whether tiles that did not change keep their result. Default: true. */
  reuse?: boolean;
  /** Pixels of the enlarged picture at most. Default: 1920 * 1080. */
  maxPixels?: number;
  /** Default: true. */
  enabled?: boolean;
}

export interface LoadOptions extends Settings {
  /** Threads that work on a frame, 1 to 16. Only where the page is cross-origin isolated; one elsewhere. */
  threads?: number;
  /** Where this package's files lie. Default: where this module came from. */
  baseUrl?: string | URL;
}

export interface TrackOptions extends Settings {
  /** By how much the track is enlarged: 1, the default, to 8. */
  scale?: number;
  /** What happens while the tab is hidden. Default: pass, frames go through untouched. */
  whenHidden?: 'pass' | 'sharpen';
}

export interface VideoOptions extends Settings {
  /** A canvas to draw on, whose control has not been transferred. Default: one over the video. */
  canvas?: HTMLCanvasElement;
}

export interface Percentiles { p50: number; p95: number; p99: number }

export interface Stats {
  state: 'starting' | 'running' | 'failed' | 'stopped';
  /** Why it failed, or what was refused last. */
  message: string;
  settings: Required<Settings>;
  received: number;
  /** Frames that came out, sharpened or not. */
  shown: number;
  sharpened: number;
  failed: number;
  /** Frames that were dropped, by cause: busy, late, error. */
  dropped: Record<string, number>;
  /** Frames that passed through, by reason: loading, budget, small, format, size, disabled, error, ... */
  passed: Record<string, number>;
  tiles: { tiles: number; computed: number; passed: number; reused: number };
  /** Milliseconds that sharpening takes; null before the first frame. */
  took: Percentiles | null;
  /** Milliseconds from when a frame was there until it was drawn or written. */
  latency: Percentiles | null;
  fps: number;
  /** Facts of the last frame. */
  frame: { sharpened?: boolean; reason?: string; message?: string; model?: string; coded?: [number, number]; size?: [number, number]; share?: number; threads?: number; open?: number };
}

export interface SharpenedVideo {
  readonly canvas: HTMLCanvasElement;
  stats(): Stats & { showing: boolean; reason: string; waiting: 0 | 1 };
  /** Change settings while frames run. Throws TypeError. */
  update(settings: Settings): void;
  /** Show the video as it came left of a line: a share of the width, 0 for none. */
  split(share: number): void;
  /** Leave the page as it was. Resolves when the worker has ended. */
  detach(): Promise<void>;
}

export interface TrackControls {
  stats(): Stats;
  update(settings: Settings): void;
  stop(): Promise<void>;
}

/** LiveKit's TrackProcessor. */
export interface LiveKitProcessor {
  readonly name: 'acutance';
  processedTrack: MediaStreamTrack | undefined;
  init(options: { track: MediaStreamTrack }): Promise<void>;
  restart(options: { track: MediaStreamTrack }): Promise<void>;
  destroy(): Promise<void>;
}

/** What the browser lacks for sharpening, in words; empty where it has all of it. */
export function missing(): string[];

export class Acutance {
  private constructor();
  /** Load the engine and the list of models. Throws Error for what the browser lacks, TypeError for wrong options. */
  static load(options?: LoadOptions): Promise<Acutance>;
  readonly settings: Required<Settings>;
  readonly threads: number;
  readonly models: { tier: string; task: string; look: string; factors: number[]; bytes: number }[];
  /** Streams whose workers run. */
  readonly streams: number;
  sharpenTrack(track: MediaStreamTrack, options?: TrackOptions): MediaStreamTrack;
  sharpenVideo(video: HTMLVideoElement, options?: VideoOptions): SharpenedVideo;
  /** What belongs to a track that sharpenTrack made. Throws TypeError for another. */
  controls(track: MediaStreamTrack): TrackControls;
  livekitProcessor(options?: TrackOptions): LiveKitProcessor;
  close(): Promise<void>;
}

export function livekitProcessor(acutance: Acutance, options?: TrackOptions): LiveKitProcessor;

export default Acutance;
