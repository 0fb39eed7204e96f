// The page: where the picture comes from, the comparison, the figures.
import { Acutance } from '../acutance.js';
import { recordClip, saveStill } from './save.js';
import { startCall } from './simulator.js';

const id = (name) => document.getElementById(name);
const video = id('video'), frame = id('frame'), divider = id('divider'), status = id('status');
const buttons = ['toggle', 'full', 'still', 'clip'].map(id);
const REASONS = {
  loading: 'The student is loading.', budget: 'This machine has no time for it just now: the picture is as it came.',
  small: 'The picture is shown smaller than it came: nothing to sharpen.', strength: 'Strength 0: the picture is as it came.',
  'no student': 'This tier has no student for a picture that is not enlarged.', format: 'Frames of this kind are not sharpened.',
  unreadable: 'This picture cannot be read.', 'context lost': 'The graphics card was lost; waiting for it.', error: 'Something failed; the picture is as it came.',
  'picture in picture': 'The picture is in a window of its own.',
};

let engine = null, sharpened = null, source = null, share = 0.5, recording = null;

const sourceName = () => document.querySelector('input[name="source"]:checked').value;
const say = (text) => { if (status.textContent !== text) status.textContent = text; };
const settings = () => ({
  model: id('tier').value, look: id('look').value, strength: Number(id('strength').value), budget: id('budget').checked ? null : 0,
  enabled: id('toggle').getAttribute('aria-pressed') === 'true',
});
const callSettings = () => ({ scale: Number(id('size').value), bitrate: 1000 * Number(id('bitrate').value) });

async function openSource(name) {
  if (name === 'file') {
    const [file] = id('file').files;
    if (file === undefined) throw new Error('Choose a video file first.');
    const url = URL.createObjectURL(file);
    video.src = url;
    return { close() { video.removeAttribute('src'); video.load(); URL.revokeObjectURL(url); } };
  }
  const media = name === 'screen'
    ? await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: 30 } })
    : await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } } });
  const [track] = media.getVideoTracks();
  track.addEventListener('ended', stop);
  const call = name === 'call' ? await startCall(track, callSettings()) : null;
  video.srcObject = new MediaStream([call?.track ?? track]);
  return { call, close() { call?.close(); track.stop(); video.srcObject = null; } };
}

async function start() {
  id('start').disabled = true;
  say('');
  try {
    engine ??= await Acutance.load({ model: id('tier').value });
    source = await openSource(sourceName());
    await video.play();
    sharpened = engine.sharpenVideo(video, settings());
    sharpened.split(share);
    id('hint').hidden = true;
    for (const one of [divider, ...document.querySelectorAll('.tag')]) one.hidden = false;
    for (const button of buttons) button.disabled = false;
    id('start').textContent = 'Stop';
  } catch (error) {
    say(error.name === 'NotAllowedError' ? 'The browser was not allowed to take the picture.' : error.name === 'NotFoundError' ? 'No camera was found.' : error.message);
    await stop();
  } finally {
    id('start').disabled = false;
  }
}

async function stop() {
  recording?.stop();
  const ending = sharpened?.detach();
  sharpened = null;
  source?.close();
  source = null;
  await ending;
  id('hint').hidden = false;
  for (const one of [divider, ...document.querySelectorAll('.tag')]) one.hidden = true;
  for (const button of buttons) button.disabled = true;
  id('start').textContent = 'Start';
}

function moveDivider(to) {
  share = Math.min(1, Math.max(0, to));
  divider.style.left = `${100 * share}%`;
  const percent = Math.round(100 * share);
  divider.setAttribute('aria-valuenow', percent);
  divider.setAttribute('aria-valuetext', `${percent} percent as it came`);
  sharpened?.split(share);
}

function toggle() {
  const on = id('toggle').getAttribute('aria-pressed') !== 'true';
  id('toggle').setAttribute('aria-pressed', on);
  id('toggle').textContent = `Sharpening ${on ? 'on' : 'off'}`;
  sharpened?.update({ enabled: on });
}

function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else frame.requestFullscreen().catch((error) => say(error.message));
}

async function still() {
  try { await saveStill(video, sharpened, share); } catch (error) { say(error.message); }
}

async function clip() {
  if (recording !== null) { recording.stop(); return; }
  try {
    recording = recordClip(video, sharpened, () => share);
    id('clip').textContent = 'Stop recording';
    await recording.finished;
  } catch (error) { say(error.message); } finally { recording = null; id('clip').textContent = 'Record a clip'; }
}

function showNumbers() {
  id('strength-value').textContent = Number(id('strength').value).toFixed(2);
  id('bitrate-value').textContent = `${id('bitrate').value} kbit/s`;
  id('simulator').hidden = sourceName() !== 'call';
  id('file').hidden = sourceName() !== 'file';
}

async function showFigures() {
  if (sharpened === null) return;
  const { fps, took, dropped, frame: last, reason } = sharpened.stats();
  const number = (value, digits, unit) => value === undefined || value === null ? '–' : `${value.toFixed(digits)}${unit}`;
  const size = (pair) => pair === undefined ? '–' : pair.join(' × ');
  id('fps').textContent = number(fps, 1, '');
  id('took').textContent = number(took?.p50, 1, ' ms');
  id('coded').textContent = size(last.coded);
  id('shown').textContent = last.sharpened ? size(last.size) : 'as it came';
  id('drops').textContent = Object.values(dropped).reduce((sum, count) => sum + count, 0);
  id('student').textContent = last.model?.replace('.acu', '') ?? '–';
  id('threads').textContent = engine.threads;
  const { bitrate } = await (source?.call?.figures() ?? {});
  id('rate').textContent = number(bitrate === undefined || bitrate === null ? null : bitrate / 1000, 0, ' kbit/s');
  const after = document.querySelector('.tag.after');
  after.textContent = last.sharpened && id('toggle').getAttribute('aria-pressed') === 'true' ? 'sharpened' : 'as it came';
  if (recording === null) say(REASONS[reason] ?? '');
}

id('start').addEventListener('click', () => (sharpened === null ? start() : stop()));
id('toggle').addEventListener('click', toggle);
id('full').addEventListener('click', fullScreen);
id('still').addEventListener('click', still);
id('clip').addEventListener('click', clip);
for (const name of ['strength', 'look', 'tier', 'budget']) id(name).addEventListener('input', () => { showNumbers(); sharpened?.update(settings()); });
for (const name of ['size', 'bitrate']) id(name).addEventListener('input', () => { showNumbers(); source?.call?.set(callSettings()).catch((error) => say(error.message)); });
for (const one of document.querySelectorAll('input[name="source"]')) one.addEventListener('change', async () => { showNumbers(); if (sharpened !== null) await stop(); });

divider.addEventListener('pointerdown', (event) => { divider.setPointerCapture(event.pointerId); event.preventDefault(); divider.focus(); });
divider.addEventListener('pointermove', (event) => {
  if (!divider.hasPointerCapture(event.pointerId)) return;
  const box = frame.getBoundingClientRect();
  moveDivider((event.clientX - box.left) / box.width);
});
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || sharpened === null) return;
  const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement || event.target instanceof HTMLButtonElement;
  const act = {
    ArrowLeft: () => moveDivider(share - 0.02), ArrowRight: () => moveDivider(share + 0.02), Home: () => moveDivider(0), End: () => moveDivider(1),
    ' ': toggle, f: fullScreen, s: still, r: clip,
  }[event.key];
  if (act === undefined || typing) return;
  event.preventDefault();
  act();
});

const looks = () => new Set(engine.models.map(({ look }) => look));
Acutance.load().then((loaded) => {
  engine = loaded;
  for (const option of id('look').options) option.disabled = !looks().has(option.value);
  id('threads').textContent = engine.threads;
}, (error) => { say(error.message); id('start').disabled = true; });
setInterval(showFigures, 500);
showNumbers();
