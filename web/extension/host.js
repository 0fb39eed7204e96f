// The extension's frame over a video: has the engine, gets bytes, draws.
import { Acutance } from './acutance/acutance.js';
import { Stream } from './acutance/stream.js';
import { fitInto } from './acutance/video.js';

const LARGEST = 8192;

/** A frame of bytes that came from the page's process. Throws where they are no frame. */
export function frameOf({ bytes, layout, width, height, format, timestamp, colorSpace, rotation }) {
  if (!(bytes instanceof ArrayBuffer) || ![width, height].every((side) => Number.isInteger(side) && side > 0 && side <= LARGEST)) throw new TypeError('not a frame');
  return new VideoFrame(bytes, { format, codedWidth: width, codedHeight: height, timestamp, layout, colorSpace, rotation });
}

async function serve(port) {
  let stream = null, place = null, waiting = null;
  try {
    const engine = await Acutance.load({ baseUrl: new URL('./acutance/', import.meta.url) });
    stream = new Stream(engine, {}, {
      canvas: () => document.getElementById('picture').transferControlToOffscreen(),
      onReady: () => { if (place) stream.send({ place }); if (waiting) stream.update(waiting); },
      onDone: (done) => port.postMessage({ done }),
      onLost: () => port.postMessage({ failed: 'context lost' }),
      onBroken: () => { port.postMessage({ failed: 'error' }); return false; },
    });
  } catch (error) {
    port.postMessage({ failed: error.message });
  }
  port.onmessage = ({ data }) => {
    try {
      if (data.place) {
        const { box, picture, fit, position, ratio } = data.place, round = (value) => Math.round(value * ratio), { x, y, wide, high } = fitInto(box, picture, fit, position);
        place = { width: round(box.width), height: round(box.height), x: round(x), y: round(y), wide: round(wide), high: round(high) };
        stream.send({ place });
      } else if (data.settings) { waiting = data.settings; stream.update(data.settings); }
      else if (data.stop) stream.stop();
      else if (data.frame) {
        const frame = frameOf(data.frame);
        stream.send({ frame, sent: data.sent, rotation: data.frame.rotation ?? 0 }, [frame]);
      }
    } catch (error) {
      port.postMessage({ done: { sharpened: false, reason: 'error', message: error.message } });
    }
  };
  port.start();
}

addEventListener('message', ({ data, source, ports: [port] }) => {
  // Only the page around may connect, once.
  if (source === parent && data?.acutance === 'connect' && port) serve(port);
}, { once: true });
