/** The last request of this tab, for the tab Code. After a reload its files come from `job/shelf.js`, if it has started an edit. */

import { studio } from './studio.js';
import { keep, kept } from './kept.js';
import * as shelf from './job/shelf.js';

const NAME = 's2edit-request';
let last = null;

function remember(request) {
  last = request;
  const fields = request.fields.map(([name, value]) => [name, value instanceof Blob ? { type: value.type } : value]);
  keep(NAME, { ...request, fields });
}

/** Return {method, path, json, fields, edit}, or null. A field is a text, a Blob, or {type} for a file that is no longer here. */
export async function lastRequest() {
  last ||= kept(NAME);
  const files = last?.edit && last.fields.some(([, value]) => value.type && !(value instanceof Blob)) && (await shelf.find(last.edit))?.fields;
  if (files) last.fields = files;
  return last;
}

export function forgetRequest() {
  last = null;
  keep(NAME, null);
}

export function mountRecent() {
  studio.on('sent', ({ method, path, fields = [], json }) => path.endsWith('/cancel') || remember({ method, path, json, fields }));
  studio.on('kept', (edit) => last && remember({ ...last, edit }));
}
