// Jitsi Meet: an effect for a local video track, as lib-jitsi-meet's `JitsiLocalTrack.setEffect` takes it.

/**
 * @param {import('../acutance.js').Acutance} acutance
 * @param {object} [options] of `sharpenTrack`
 * @returns {{isEnabled: (track: object) => boolean, startEffect: (stream: MediaStream) => MediaStream, stopEffect: () => Promise<void>}}
 */
export function jitsiEffect(acutance, options) {
  let sharpened = null;
  return {
    isEnabled: (track) => track.isVideoTrack() && track.videoType === 'camera',
    startEffect(stream) {
      sharpened = acutance.sharpenTrack(stream.getVideoTracks()[0], options);
      return new MediaStream([sharpened, ...stream.getAudioTracks()]);
    },
    async stopEffect() {
      if (sharpened !== null) await acutance.controls(sharpened).stop();
      sharpened = null;
    },
  };
}
