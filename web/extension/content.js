// In every frame of a page: lays a frame of the extension over each video, and sends it the pictures. Only bytes can go
// there: pages and extensions run in different processes, and frames of video stay in theirs.
(() => {
  if (globalThis.acutanceContent) return;
  globalThis.acutanceContent = true;

  const LEAST = { width: 120, height: 90 }; // smaller videos are left alone
  const HOST = chrome.runtime.getURL('host.html');
  const videos = new Map();
  let settings = { on: false }, battery = null;

  const active = () => settings.on && (settings.battery || battery === null || battery.charging);

  class Overlay {
    #video; #frame; #port = null; #busy = false; #waiting = false; #callback = 0; #place = ''; #dropped = 0; #ended = false;
    state = 'starting';

    constructor(video) {
      this.#video = video;
      this.#frame = document.createElement('iframe');
      this.#frame.credentialless = true; // pages that are isolated take no other frames of other origins
      this.#frame.src = HOST;
      this.#frame.tabIndex = -1;
      this.#frame.setAttribute('aria-hidden', 'true');
      const style = { position: 'absolute', border: '0', margin: '0', padding: '0', pointerEvents: 'none', visibility: 'hidden', background: 'transparent', colorScheme: 'normal', maxWidth: 'none', maxHeight: 'none' };
      for (const [name, value] of Object.entries(style)) this.#frame.style.setProperty(name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`), value, 'important');
      this.#frame.addEventListener('load', () => this.#connect(), { once: true });
      video.after(this.#frame);
      this.#ask();
    }

    get element() { return this.#frame; }
    get connected() { return this.#video.isConnected && this.#frame.isConnected; }

    #connect() {
      const { port1, port2 } = new MessageChannel();
      this.#port = port1;
      port1.onmessage = ({ data }) => this.#hear(data);
      this.#frame.contentWindow.postMessage({ acutance: 'connect' }, new URL(HOST).origin, [port2]);
      this.update();
    }

    update() { this.#port?.postMessage({ settings: { look: settings.look, strength: settings.strength } }); this.#place = ''; }

    #hear(data) {
      if (data.done === undefined) { if (data.failed) { this.state = data.failed; this.#show(false); } return; }
      this.#busy = false;
      this.state = data.done.sharpened ? 'sharpened' : data.done.reason;
      this.#show(data.done.sharpened);
      if (this.#waiting) { this.#waiting = false; this.#take(); }
    }

    #show(on) { this.#frame.style.setProperty('visibility', on && active() ? 'visible' : 'hidden', 'important'); }

    #ask() {
      this.#callback = this.#video.requestVideoFrameCallback(() => {
        if (this.#ended) return;
        this.#ask();
        if (this.#busy) { this.#waiting = true; ++this.#dropped; } else this.#take();
      });
    }

    async #take() {
      const video = this.#video;
      if (this.#port === null || !active() || document.hidden || document.pictureInPictureElement === video || !this.#layOut()) { this.#show(false); return; }
      let frame;
      try {
        if (video.mediaKeys) throw new DOMException('protected', 'SecurityError');
        frame = new VideoFrame(video);
      } catch (error) {
        this.state = error.name === 'SecurityError' ? 'unreadable' : 'no picture';
        this.#show(false);
        return;
      }
      this.#busy = true;
      try {
        const bytes = new Uint8Array(frame.allocationSize()), layout = await frame.copyTo(bytes), { width, height } = frame.visibleRect;
        const { format, timestamp, rotation = 0 } = frame, colorSpace = frame.colorSpace.toJSON();
        this.#port.postMessage({ frame: { bytes: bytes.buffer, layout, width, height, format, timestamp, colorSpace, rotation }, sent: performance.timeOrigin + performance.now() }, [bytes.buffer]);
      } catch (error) {
        this.#busy = false;
        this.state = error.message;
      } finally {
        frame.close();
      }
    }

    #layOut() {
      const video = this.#video, style = getComputedStyle(video), edge = (side) => parseFloat(style[`border${side}Width`]) + parseFloat(style[`padding${side}`]);
      const box = { width: video.offsetWidth - edge('Left') - edge('Right'), height: video.offsetHeight - edge('Top') - edge('Bottom') };
      if (!(box.width >= LEAST.width && box.height >= LEAST.height && video.videoWidth > 0)) return false;
      const set = (name, value) => { if (this.#frame.style.getPropertyValue(name) !== value) this.#frame.style.setProperty(name, value, 'important'); };
      set('left', `${video.offsetLeft + edge('Left')}px`); set('top', `${video.offsetTop + edge('Top')}px`);
      set('width', `${box.width}px`); set('height', `${box.height}px`);
      set('transform', style.transform); set('border-radius', style.borderRadius); set('z-index', style.zIndex);
      set('clip-path', settings.split > 0 ? `inset(0px 0px 0px ${100 * settings.split}%)` : 'none');
      const place = { box, picture: { width: video.videoWidth, height: video.videoHeight }, fit: style.objectFit, position: style.objectPosition, ratio: devicePixelRatio };
      const text = JSON.stringify(place);
      if (text !== this.#place) { this.#place = text; this.#port.postMessage({ place }); }
      return true;
    }

    end() {
      this.#ended = true;
      this.#video.cancelVideoFrameCallback(this.#callback);
      this.#port?.postMessage({ stop: true });
      this.#frame.remove();
    }
  }

  function look() {
    for (const [video, overlay] of videos) if (!settings.on || !video.isConnected) { overlay.end(); videos.delete(video); }
    if (!settings.on) return;
    for (const video of document.querySelectorAll('video')) if (!videos.has(video)) videos.set(video, new Overlay(video));
  }

  async function read() {
    const stored = (await chrome.storage.local.get(location.origin))[location.origin];
    settings = { on: false, look: 'faithful', strength: 1, split: 0, battery: false, ...stored };
    look();
    for (const overlay of videos.values()) overlay.update();
  }

  new MutationObserver((changes) => {
    const added = changes.some(({ addedNodes, removedNodes }) => [...addedNodes, ...removedNodes].some((node) => node.nodeName === 'VIDEO' || node.querySelector?.('video')));
    if (added) look();
  }).observe(document.documentElement, { childList: true, subtree: true });
  chrome.storage.onChanged.addListener((changes) => { if (location.origin in changes) read(); });
  chrome.runtime.onMessage.addListener((message, sender, respond) => {
    if (message?.states === true) respond({ states: [...videos.values()].map(({ state }) => state) });
  });
  navigator.getBattery?.().then((found) => { battery = found; }, () => {});
  read();
})();
