const id = (name) => document.getElementById(name);
const WORDS = { sharpened: 'sharpened', unreadable: 'left alone: protected, or of another site', budget: 'left alone: no time on this machine', loading: 'loading', small: 'left alone: shown small', starting: 'starting' };

const [tab] = await chrome.tabs.query({ active: true, currentWindow: true });
const url = tab?.url ?? '', match = /^(https?:\/\/[^/]+)/.exec(url), origin = match?.[1] ?? null;
id('site').textContent = origin ?? 'This page cannot be reached by extensions.';
for (const input of document.querySelectorAll('input, select')) input.disabled = origin === null;

if (origin !== null) {
  const stored = (await chrome.storage.local.get(origin))[origin] ?? {};
  id('on').checked = stored.on ?? false;
  id('look').value = stored.look ?? 'faithful';
  id('strength').value = stored.strength ?? 1;
  id('split').checked = (stored.split ?? 0) > 0;
  id('battery').checked = stored.battery ?? false;
  const pattern = { origins: [`${origin}/*`] };
  id('always').checked = await chrome.permissions.contains(pattern);
  const send = async () => {
    const changes = { on: id('on').checked, look: id('look').value, strength: Number(id('strength').value), split: id('split').checked ? 0.5 : 0, battery: id('battery').checked };
    const answer = await chrome.runtime.sendMessage({ apply: { tabId: tab.id, url, changes } });
    id('told').textContent = answer?.error ?? '';
  };
  for (const name of ['on', 'look', 'strength', 'split', 'battery']) id(name).addEventListener('input', send);
  id('always').addEventListener('input', async () => {
    if (id('always').checked) { id('always').checked = await chrome.permissions.request(pattern); if (id('always').checked) { id('on').checked = true; await send(); } }
    else await chrome.permissions.remove(pattern);
  });
  setInterval(async () => {
    const told = await chrome.tabs.sendMessage(tab.id, { states: true }).catch(() => null);
    if (told && id('on').checked) id('told').textContent = told.states.map((state) => WORDS[state] ?? state).join(', ') || 'no video here';
  }, 500);
}
