/** Requests to the service: key, idempotency, and problems as exceptions. URLs are relative, so that any path prefix works. */

import { studio } from './studio.js';

const KEY = 's2edit-key';
const TRIES = 4;

/** The service refused: `code` says why. `words.js` has the sentence for it. */
export class Problem extends Error {
  constructor(status, body, wait_s) {
    super(body.detail || body.title || `status ${status}`);
    Object.assign(this, { status, code: body.code || '', field: body.field || null, retryable: !!body.retryable, wait_s });
  }
}

/** The service did not answer at all. */
export class Unreachable extends Error {
  code = 'unreachable';
  retryable = true;
}

let kept = '';
try {
  kept = sessionStorage.getItem(KEY) || '';
} catch {
  // a browser without storage keeps the key for this page only
}

export const hasKey = () => !!kept;

/** Keep `key` for this tab only; '' forgets it. */
export function keepKey(key) {
  kept = key;
  try {
    if (key) sessionStorage.setItem(KEY, key);
    else sessionStorage.removeItem(KEY);
  } catch {
    // as above
  }
}

/** Ask the user for a key; resolves with whether there is one now. `main.js` sets this. */
export const credentials = { ask: async () => false };

/** Ask the user what the person in the photo agreed to; resolves with the words, or ''. `main.js` sets this. */
export const consent = { ask: async () => '' };

/** Return a new idempotency key. One click has one key, however often its request is repeated. `randomUUID` needs https. */
export const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');

export const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

/**
 * Ask the service. Returns {status, body, etag, wait_s, headers}; `body` is JSON, or a Blob with `as: 'blob'`; null for 204 and 304.
 *
 * `fields` is a list of [name, string or Blob] and becomes a form. Asks the user for a key after a 401. Throws Problem, Unreachable.
 * A `quiet` request is none of the user's: the tab Code does not show it.
 */
export async function ask(path, { method = 'GET', fields, json, key, etag, wait_s, as = 'json', signal, quiet } = {}) {
  const headers = {};
  if (kept) headers.Authorization = `Bearer ${kept}`;
  if (key) headers['Idempotency-Key'] = key;
  if (etag) headers['If-None-Match'] = etag;
  if (wait_s) headers.Prefer = `wait=${wait_s}`;
  if (json) headers['Content-Type'] = 'application/json';
  if (method !== 'GET' && !quiet) studio.tell('sent', { method, path, fields, json });
  const body = json ? JSON.stringify(json) : formOf(fields);
  const sent = fetch(new URL(path, document.baseURI), { method, headers, body, signal, cache: 'no-store' });
  const answer = await reached(sent, 'the service does not answer');
  if (answer.status === 401 && (await credentials.ask(!!kept))) return ask(path, { method, fields, json, key, etag, wait_s, as, signal, quiet });
  const after_s = Number(answer.headers.get('Retry-After')) || 1;
  if (answer.status >= 400) throw new Problem(answer.status, await answer.json().catch(() => ({})), after_s);
  const empty = answer.status === 204 || answer.status === 304;
  const received = empty ? null : await reached(as === 'blob' ? answer.blob() : answer.json(), 'the answer broke off');
  return { status: answer.status, body: received, etag: answer.headers.get('ETag'), wait_s: after_s, headers: answer.headers };
}

/** Wait for an answer, or for its whole body. A body that breaks off is no answer: whether the request was done is not known. */
async function reached(promise, trouble) {
  try {
    return await promise;
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Unreachable(trouble);
  }
}

function formOf(fields) {
  if (!fields) return undefined;
  const form = new FormData();
  for (const [name, value] of fields) {
    if (value instanceof Blob) form.append(name, value, name);
    else form.append(name, value);
  }
  return form;
}

/**
 * Send a request that starts work, by one idempotency key, again and again while trying again can help. `trouble(error)` is told.
 *
 * If the service requires a statement of consent, the user is asked for it, and `fields` has it from then on.
 */
export async function submit(path, fields, { trouble = () => {}, signal } = {}) {
  try {
    return await send(path, fields, trouble);
  } catch (error) {
    const statement = !signal?.aborted && error.code === 'consent_missing' && (await consent.ask());
    if (!statement) throw error;
    const blank = fields.findIndex(([name]) => name === 'consent');
    fields.splice(blank < 0 ? fields.length : blank, 1, ['consent', statement]);
    return send(path, fields, trouble);
  }
}

async function send(path, fields, trouble) {
  const key = newKey();
  for (let tries = 1; ; tries++) {
    try {
      return (await ask(path, { method: 'POST', fields, key })).body;
    } catch (error) {
      if (!error.retryable || error.status === 429 || tries === TRIES) throw error;
      trouble(error);
      await sleep(error.wait_s || 2 ** (tries - 1));
    }
  }
}

/** Return a link of the service as this page can follow it: a proxy in between may have changed host and path of the service's own. */
export function link(url) {
  const own = /\/(files\/[^?]*\?expires=.*)/.exec(url);
  return new URL(own ? own[1] : url, document.baseURI).href;
}

/** Fetch a picture by its signed link, which needs no key. */
export async function picture(url) {
  const answer = await fetch(link(url)).catch(() => null);
  const whole = answer?.ok ? await answer.blob().catch(() => null) : null;
  if (!whole) throw new Problem(answer ? answer.status : 0, { code: 'link_dead' }, 0);
  return whole;
}
