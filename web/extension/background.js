// Puts the content script into pages: where the user asked for it once, and by itself on the sites that were allowed.
const SCRIPT = { js: ['content.js'], allFrames: true };
const DEFAULTS = { on: false, look: 'faithful', strength: 1, split: 0, battery: false };

export const originOf = (url) => { try { const { protocol, origin } = new URL(url); return /^https?:$/.test(protocol) ? origin : null; } catch { return null; } };

export async function settingsOf(origin) {
  const stored = (await chrome.storage.local.get(origin))[origin];
  return { ...DEFAULTS, ...stored };
}

/** Sharpen the videos of a tab, or stop. The content script follows what is stored for its site. */
export async function apply(tabId, origin, changes) {
  await chrome.storage.local.set({ [origin]: { ...await settingsOf(origin), ...changes } });
  if ((await settingsOf(origin)).on) await chrome.scripting.executeScript({ target: { tabId, allFrames: true }, files: SCRIPT.js });
  return settingsOf(origin);
}

/** Sites that were allowed for good get the script with every page. */
async function register() {
  const { origins = [] } = await chrome.permissions.getAll();
  const matches = origins.filter((pattern) => /^https?:/.test(pattern));
  const [known] = await chrome.scripting.getRegisteredContentScripts({ ids: ['sites'] });
  if (known) await chrome.scripting.unregisterContentScripts({ ids: ['sites'] });
  if (matches.length > 0) await chrome.scripting.registerContentScripts([{ id: 'sites', matches, runAt: 'document_idle', ...SCRIPT }]);
}

async function answer(message) {
  if (message?.apply !== undefined) {
    const { tabId, url, changes } = message.apply, origin = originOf(url);
    if (origin === null || !Number.isInteger(tabId)) return { error: 'This page cannot be reached by extensions.' };
    try { return { settings: await apply(tabId, origin, changes) }; } catch (error) { return { error: error.message }; }
  }
  return { error: 'an unknown message' };
}

chrome.runtime.onMessage.addListener((message, sender, respond) => {
  if (sender.id !== chrome.runtime.id || sender.tab !== undefined) return false; // pages of the extension only
  answer(message).then(respond);
  return true;
});
chrome.permissions.onAdded.addListener(register);
chrome.permissions.onRemoved.addListener(register);
chrome.runtime.onInstalled.addListener(register);
globalThis.acutance = { apply, settingsOf };
