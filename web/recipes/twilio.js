// Twilio Video: a processor for `LocalVideoTrack.addProcessor` and `RemoteVideoTrack.addProcessor`.
// Twilio gives each frame as a canvas or a video, and wants it drawn into another canvas before the promise settles.

/**
 * @param {import('../acutance.js').Acutance} acutance
 * @param {object} [options] of `sharpenTrack`
 * @returns {{processFrame: (input: CanvasImageSource, output: HTMLCanvasElement | OffscreenCanvas) => Promise<void>, close: () => Promise<void>}}
 */
export function twilioProcessor(acutance, options) {
  let source = null, writer = null, reader = null, sharpened = null, timestamp = 0, newest = null, ended = false;

  function open() {
    source = new MediaStreamTrackGenerator({ kind: 'video' });
    writer = source.writable.getWriter();
    sharpened = acutance.sharpenTrack(source, options);
    reader = new MediaStreamTrackProcessor({ track: sharpened }).readable.getReader();
    (async () => {
      for (;;) {
        const { done, value } = await reader.read();
        if (done || ended) { value?.close(); break; }
        newest?.close();
        newest = value;
      }
    })();
  }

  return {
    /** Draws the newest sharpened frame: the one before, mostly. Twilio's frames never wait for the engine. */
    async processFrame(input, output) {
      if (source === null) open();
      const context = output.getContext('2d');
      const frame = new VideoFrame(input, { timestamp: timestamp += 33333 });
      await writer.ready;
      await writer.write(frame);
      context.drawImage(newest ?? input, 0, 0, output.width, output.height);
    },
    async close() {
      ended = true;
      newest?.close();
      newest = null;
      if (sharpened !== null) await acutance.controls(sharpened).stop();
      source?.stop();
    },
  };
}
