// Stills and clips of the comparison, to download.

const CLIP_SECONDS = 10;

/** The comparison as one picture: left of the line as it came, right of it sharpened. */
function compose(canvas, video, sharpened, share) {
  // A canvas that a worker draws on does not tell its size here.
  const drawn = sharpened.canvas, [width, height] = [drawn.clientWidth, drawn.clientHeight].map((side) => Math.round(side * devicePixelRatio));
  const context = canvas.getContext('2d');
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const { videoWidth, videoHeight } = video, scale = Math.min(width / videoWidth, height / videoHeight);
  const wide = videoWidth * scale, high = videoHeight * scale, line = Math.round(share * width);
  context.fillStyle = '#000';
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = 'high';
  context.drawImage(video, (width - wide) / 2, (height - high) / 2, wide, high);
  if (sharpened.stats().showing) {
    context.save();
    context.beginPath();
    context.rect(line, 0, width - line, height);
    context.clip();
    context.drawImage(drawn, 0, 0, width, height);
    context.restore();
  }
  context.fillStyle = '#fff';
  if (line > 0 && line < width) context.fillRect(line - 1, 0, 2, height);
}

function download(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Save what is seen as a PNG. */
export async function saveStill(video, sharpened, share) {
  const canvas = document.createElement('canvas');
  compose(canvas, video, sharpened, share);
  const blob = await new Promise((resolve) => { canvas.toBlob(resolve, 'image/png'); });
  if (blob === null) throw new Error('The still could not be made.');
  download(blob, 'acutance.png');
}

/**
 * Record what is seen as WebM, for ten seconds at most.
 *
 * @returns {{stop: () => void, finished: Promise<void>}}
 */
export function recordClip(video, sharpened, shareNow) {
  if (typeof MediaRecorder !== 'function') throw new Error('This browser cannot record.');
  const canvas = document.createElement('canvas');
  compose(canvas, video, sharpened, shareNow());
  const recorder = new MediaRecorder(canvas.captureStream(), { videoBitsPerSecond: 8_000_000 }), parts = [];
  let callback = 0;
  const draw = () => { compose(canvas, video, sharpened, shareNow()); callback = video.requestVideoFrameCallback(draw); };
  callback = video.requestVideoFrameCallback(draw);
  const stop = () => { if (recorder.state !== 'inactive') recorder.stop(); };
  const timer = setTimeout(stop, 1000 * CLIP_SECONDS);
  const finished = new Promise((resolve, reject) => {
    recorder.ondataavailable = ({ data }) => parts.push(data);
    recorder.onerror = ({ error }) => reject(error);
    recorder.onstop = () => {
      clearTimeout(timer);
      video.cancelVideoFrameCallback(callback);
      download(new Blob(parts, { type: recorder.mimeType }), 'acutance.webm');
      resolve();
    };
  });
  recorder.start();
  return { stop, finished };
}
