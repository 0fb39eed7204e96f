// Draws the sharpened picture over a <video>, wherever and however large that is shown.
import { Stream } from './stream.js';

const ANSWER_WITHIN = 3000; // milliseconds: a worker that takes longer for a frame is started anew
const CONTROLS_HEIGHT = 80; // CSS pixels: what the browser's own controls may take at the bottom
const COPIED = ['transform', 'transformOrigin', 'borderRadius', 'filter', 'opacity', 'zIndex'];

/**
 * Where a picture lies in a box: the CSS properties object-fit and object-position.
 *
 * @param {{width: number, height: number}} box @param {{width: number, height: number}} picture
 * @param {string} fit @param {string} position as computed: two lengths or percentages
 * @returns {{x: number, y: number, wide: number, high: number}}
 */
export function fitInto(box, picture, fit, position) {
  const contain = Math.min(box.width / picture.width, box.height / picture.height);
  const cover = Math.max(box.width / picture.width, box.height / picture.height);
  const scale = { contain, cover, none: 1, 'scale-down': Math.min(1, contain) }[fit];
  const wide = scale === undefined ? box.width : picture.width * scale, high = scale === undefined ? box.height : picture.height * scale;
  const [left = '50%', top = '50%'] = (position || '50% 50%').split(' ');
  const at = (value, room) => value.endsWith('%') ? room * parseFloat(value) / 100 : parseFloat(value) || 0;
  return { x: at(left, box.width - wide), y: at(top, box.height - high), wide, high };
}

/** What `sharpenVideo` gives. */
export class SharpenedVideo {
  #video;
  #canvas;
  #ownCanvas;
  #stream;
  #callback = 0;
  #sent = null; // when the frame was sent that the worker has, in milliseconds
  #waiting = null; // the newest frame, while the worker has one
  #droppedSince = false;
  #place = '';
  #ready = false;
  #reason = 'starting';
  #detached = false;
  #listeners = new AbortController();
  #resizing = new ResizeObserver(() => this.#redraw());

  constructor(acutance, video, { canvas, ...settings } = {}) {
    if (!(video instanceof HTMLVideoElement)) throw new TypeError('sharpenVideo takes a <video> element');
    if (typeof video.requestVideoFrameCallback !== 'function') throw new Error('this browser cannot tell of the frames of a video');
    if (canvas !== undefined && !(canvas instanceof HTMLCanvasElement)) throw new TypeError('canvas is a <canvas> element');
    this.#video = video;
    this.#ownCanvas = canvas === undefined;
    this.#canvas = canvas ?? this.#makeCanvas();
    this.#stream = new Stream(acutance, settings, {
      canvas: () => this.#canvas.transferControlToOffscreen(),
      onReady: () => { this.#ready = true; this.#place = ''; this.#redraw(); },
      onDone: (told) => this.#done(told),
      onLost: () => this.#hide('context lost'),
      onRestored: () => this.#redraw(),
      onBroken: () => this.#replaceCanvas(),
    });
    acutance.remember(this.#stream);
    this.#listen();
    this.#ask();
  }

  /** The canvas that is drawn on. */
  get canvas() { return this.#canvas; }

  /** Figures: frames by what became of them, times in milliseconds, tiles, sizes, the model in use. */
  stats() {
    return { ...this.#stream.report(), showing: this.#canvas.style.visibility !== 'hidden', reason: this.#reason, waiting: this.#waiting === null ? 0 : 1 };
  }

  /** Change settings while frames run. Throws TypeError. */
  update(settings) {
    this.#stream.update(settings);
    this.#redraw();
  }

  /** Leave the page as it was. @returns {Promise<void>} when the worker has ended */
  detach() {
    if (!this.#detached) {
      this.#detached = true;
      this.#video.cancelVideoFrameCallback(this.#callback);
      this.#listeners.abort();
      this.#resizing.disconnect();
      this.#waiting?.close();
      this.#waiting = null;
      if (this.#ownCanvas) this.#canvas.remove();
    }
    return this.#stream.stop();
  }

  #makeCanvas() {
    const canvas = document.createElement('canvas');
    canvas.setAttribute('aria-hidden', 'true'); // the video itself is what screen readers tell of
    canvas.className = 'acutance-picture';
    Object.assign(canvas.style, {
      position: 'absolute', pointerEvents: 'none', visibility: 'hidden', margin: '0', padding: '0', border: '0', boxSizing: 'border-box',
      maxWidth: 'none', maxHeight: 'none', background: 'none', objectFit: 'fill',
    });
    this.#video.after(canvas);
    return canvas;
  }

  /** A canvas whose control went to a worker that broke is of no more use. */
  #replaceCanvas() {
    this.#ready = false;
    this.#sent = null;
    this.#place = '';
    this.#hide('error');
    if (this.#detached || !this.#ownCanvas) return false;
    this.#canvas.remove();
    this.#canvas = this.#makeCanvas();
    return true;
  }

  #listen() {
    const { signal } = this.#listeners, on = (target, names, act) => { for (const name of names) target.addEventListener(name, act, { signal }); };
    this.#resizing.observe(this.#video);
    on(this.#video, ['emptied'], () => { this.#hide('no picture'); this.#stream.send({ reset: true }); });
    on(this.#video, ['seeked'], () => this.#stream.send({ reset: true }));
    on(this.#video, ['enterpictureinpicture'], () => this.#hide('picture in picture'));
    on(this.#video, ['leavepictureinpicture', 'pause', 'loadeddata', 'resize'], () => this.#redraw());
    on(this.#video, ['pointerenter', 'pointerleave', 'play'], () => this.#layOut());
    on(document, ['fullscreenchange'], () => this.#redraw());
    on(document, ['visibilitychange'], () => { if (document.hidden) this.#reason = 'hidden'; else { this.#stream.send({ reset: true }); this.#redraw(); } });
    on(window, ['resize'], () => this.#redraw());
  }

  #ask() {
    this.#callback = this.#video.requestVideoFrameCallback(() => {
      if (this.#detached) return;
      this.#ask();
      this.#take();
    });
  }

  /** What a video shows while it is paused is drawn again when something around it changes. */
  #redraw() {
    if (!this.#detached && this.#video.readyState >= 2 && !this.#video.seeking) this.#take(true);
  }

  #take(again = false) {
    if (!this.#ready || this.#detached || document.hidden || document.pictureInPictureElement === this.#video) return;
    if (!this.#layOut()) return;
    if (this.#sent !== null && performance.now() - this.#sent > ANSWER_WITHIN) { this.#stream.restart('the worker does not answer'); return; }
    let frame;
    try {
      frame = new VideoFrame(this.#video);
    } catch (error) {
      // Pictures of another origin, or under copy protection, cannot be read. They are left alone.
      this.#hide(error.name === 'SecurityError' ? 'unreadable' : 'no picture');
      return;
    }
    if (!again) this.#stream.stats.received();
    if (this.#sent === null) { this.#send(frame); return; }
    if (this.#waiting !== null) { this.#waiting.close(); if (!again) { this.#stream.stats.dropped('busy'); this.#droppedSince = true; } }
    this.#waiting = frame;
  }

  #send(frame) {
    this.#sent = performance.now();
    const { rotation = 0, flip = false } = frame;
    const message = { frame, sent: performance.timeOrigin + this.#sent, dropped: this.#droppedSince, rotation: rotation ?? 0, flip: flip ?? false };
    this.#droppedSince = false;
    this.#stream.send(message, [frame]);
  }

  #done(told) {
    this.#sent = null;
    if (this.#detached) return;
    if (told.sharpened) { this.#canvas.style.visibility = 'visible'; this.#reason = ''; } else this.#hide(told.reason);
    const frame = this.#waiting;
    this.#waiting = null;
    if (frame !== null) this.#send(frame);
  }

  /** The video below shows as if nothing were there. */
  #hide(reason) {
    this.#reason = reason;
    this.#canvas.style.visibility = 'hidden';
  }

  /** Lay the canvas over the video. @returns {boolean} whether there is anything to see */
  #layOut() {
    const video = this.#video, style = getComputedStyle(video), ratio = globalThis.devicePixelRatio || 1;
    const full = document.fullscreenElement === video;
    const edge = (side) => parseFloat(style[`border${side}Width`]) + parseFloat(style[`padding${side}`]);
    const box = full ? { width: innerWidth, height: innerHeight } : {
      width: video.offsetWidth - edge('Left') - edge('Right'), height: video.offsetHeight - edge('Top') - edge('Bottom'),
    };
    if (!(box.width >= 1 && box.height >= 1 && video.videoWidth > 0)) { this.#hide('no picture'); return false; }
    if (this.#ownCanvas) this.#move(style, full, box, { left: video.offsetLeft + edge('Left'), top: video.offsetTop + edge('Top') });
    const { x, y, wide, high } = fitInto(box, { width: video.videoWidth, height: video.videoHeight }, style.objectFit, style.objectPosition);
    const round = (value) => Math.round(value * ratio), least = (value) => Math.max(1, round(value));
    const place = { width: least(box.width), height: least(box.height), x: round(x), y: round(y), wide: least(wide), high: least(high) };
    const text = JSON.stringify(place);
    if (text !== this.#place) { this.#place = text; this.#stream.send({ place }); }
    return true;
  }

  #move(style, full, box, { left, top }) {
    const canvas = this.#canvas, set = (name, value) => { if (canvas.style[name] !== value) canvas.style[name] = value; };
    // Over a video that fills the screen by itself nothing can be laid, but what is in the top layer too.
    if (full && canvas.showPopover !== undefined) {
      if (!canvas.matches(':popover-open')) { canvas.popover = 'manual'; canvas.showPopover(); }
      set('position', 'fixed'); set('left', '0px'); set('top', '0px');
    } else {
      if (canvas.popover) { canvas.hidePopover(); canvas.removeAttribute('popover'); }
      set('position', 'absolute'); set('left', `${left}px`); set('top', `${top}px`);
    }
    set('width', `${box.width}px`); set('height', `${box.height}px`);
    for (const name of COPIED) if (!full) set(name, style[name]);
    const covered = this.#video.controls && (this.#video.paused || this.#video.matches(':hover'));
    set('clipPath', covered ? `inset(0px 0px ${Math.min(CONTROLS_HEIGHT, box.height)}px 0px)` : this.#split(box));
  }

  #share = 0;
  #split() { return this.#share > 0 ? `inset(0px 0px 0px ${100 * this.#share}%)` : 'none'; }

  /** Show the video as it came left of a line. @param {number} share of the width, 0 for none */
  split(share) {
    if (!(share >= 0 && share <= 1)) throw new TypeError(`a split is a share of 0 to 1, not ${share}`);
    this.#share = share;
    if (!this.#detached && this.#ready) this.#layOut();
  }

  /** For tests: lose the canvas' context, or make every frame slower by so many milliseconds. */
  get test() {
    const context = (what) => this.#stream.send({ context: what });
    return { lose: () => context('lose'), restore: () => context('restore'), slow: (slowness) => this.#stream.send({ slowness }), send: (message) => this.#stream.send(message) };
  }
}
