// A call inside one page: a track goes through two peer connections, scaled down and compressed as calls are.

/**
 * @param {MediaStreamTrack} track
 * @param {{scale: number, bitrate: number}} call scale: by how much the picture is made smaller; bitrate in bit/s
 * @returns {Promise<{track: MediaStreamTrack, set: (call: object) => Promise<void>, figures: () => Promise<object>, close: () => void}>}
 */
export async function startCall(track, call) {
  const near = new RTCPeerConnection(), far = new RTCPeerConnection();
  near.onicecandidate = ({ candidate }) => far.addIceCandidate(candidate).catch(() => {});
  far.onicecandidate = ({ candidate }) => near.addIceCandidate(candidate).catch(() => {});
  const received = new Promise((resolve) => { far.ontrack = (event) => resolve(event.track); });
  track.contentHint = 'motion';
  const transceiver = near.addTransceiver(track, { direction: 'sendonly', sendEncodings: [encoding(call)] });
  // VP8 scales by any factor in software everywhere; what a machine's own encoder would do differs.
  const codecs = RTCRtpSender.getCapabilities('video')?.codecs ?? [], vp8 = codecs.filter(({ mimeType }) => mimeType === 'video/VP8');
  if (vp8.length > 0 && transceiver.setCodecPreferences) transceiver.setCodecPreferences([...vp8, ...codecs.filter(({ mimeType }) => mimeType === 'video/rtx')]);
  await near.setLocalDescription();
  await far.setRemoteDescription(near.localDescription);
  await far.setLocalDescription();
  await near.setRemoteDescription(far.localDescription);
  let before = null;
  return {
    track: await received,
    async set(changed) {
      const parameters = transceiver.sender.getParameters();
      Object.assign(parameters.encodings[0], encoding(changed));
      await transceiver.sender.setParameters(parameters);
    },
    async figures() {
      const all = [...(await far.getStats()).values()], inbound = all.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video');
      if (inbound === undefined) return {};
      const now = { bytes: inbound.bytesReceived, at: inbound.timestamp };
      const bitrate = before === null ? null : 8000 * (now.bytes - before.bytes) / Math.max(1, now.at - before.at);
      before = now;
      return { bitrate, width: inbound.frameWidth, height: inbound.frameHeight, fps: inbound.framesPerSecond, lost: inbound.framesDropped };
    },
    close() { near.close(); far.close(); },
  };
}

function encoding({ scale, bitrate }) {
  return { scaleResolutionDownBy: scale, maxBitrate: bitrate, maxFramerate: 30 };
}
