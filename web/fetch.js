// Files of the package, fetched and compared with their SHA-256.

const LARGEST = 16 << 20; // bytes: no file of the package is near

/**
 * @param {URL | string} url @param {string} [sha256] in hexadecimal; without it the bytes are taken as they come
 * @returns {Promise<Uint8Array>} throws Error, naming the file
 */
export async function fetchChecked(url, sha256) {
  const response = await fetch(url, { credentials: 'same-origin' });
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes.length > LARGEST) throw new Error(`${url}: ${bytes.length} bytes are too many`);
  if (sha256 !== undefined && await hashOf(bytes) !== sha256) throw new Error(`${url}: not the file that belongs to this version`);
  return bytes;
}

async function hashOf(bytes) {
  if (globalThis.crypto?.subtle === undefined) throw new Error('files can only be checked in a secure context: https, or localhost');
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
