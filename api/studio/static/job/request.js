/** The fields of requests: what the form, the paint and earlier edits come to. */

import { $, studio } from '../studio.js';
import * as form from '../form.js';
import { photo } from '../sentences.js';
import { page } from './page.js';

const MIN_PERSON_SIDE = 32;
const MIN_REGION_SIDE = 8;

export const has = (fields, name) => fields.some(([each]) => each === name);

/** Return the painted regions as form fields. Throws words for paint that can't be meant. */
async function paintFields() {
  const fields = [];
  const { paint } = page;
  const person = paint.measure('mask');
  const region = paint.measure('edit_mask');
  if (person.share && person.side < MIN_PERSON_SIDE) throw new Error('The painted person is only a dot: paint over the whole person, or clear the paint.');
  if (person.share > 0.995) throw new Error('Everything is painted: leave the background free.');
  if (region.share && region.side < MIN_REGION_SIDE) throw new Error('The region that may change is only a dot: paint more of it, or clear it.');
  for (const [layer, { share }] of [['mask', person], ['edit_mask', region]]) {
    if (share) fields.push([layer, await paint.file(layer)]);
  }
  return fields;
}

/** Return the fields of an edit that the form describes, by what `form.prompt()` returns. */
export async function editFields({ prompt, source }) {
  const { parent, identity, attributes } = studio.using;
  const fields = [];
  const paint = studio.photo ? await paintFields() : [];
  const isOwn = identity && studio.photo?.identity === identity.id && !paint.length; // then the service has photo and mask
  if (parent) fields.push(['parent', parent.id]);
  else if (studio.photo && !isOwn) fields.push(['image', studio.photo.blob]);
  if (identity) fields.push(['identity', identity.id]);
  fields.push(...paint);
  fields.push(['prompt', prompt]);
  if (!parent && !identity) {
    fields.push(['source_prompt', source || photo(form.subject())]);
    if (!/\[/.test(prompt)) fields.push(['subject', form.subject()]);
  } else if ($('source_prompt').value.trim() || source !== form.source()) fields.push(['source_prompt', source]);
  for (const attribute of attributes) fields.push(['attributes', attribute.id]);
  if (studio.photo?.unseen) fields.push(['max_pixels', String(studio.model.max_pixels)]); // nobody has measured it yet
  return [...fields, ['preset', $('preset').value]];
}

/** Return the fields that ask for `count` other pictures of `edit`, which `fields` have asked for, by a new seed. */
export function othersOf(edit, fields, count) {
  const own = new Set(['seed', 'variants']);
  const knows = edit.identity && !has(fields, 'identity') && !has(fields, 'parent');
  if (knows && !has(fields, 'edit_mask')) for (const name of ['image', 'mask', 'at', 'subject']) own.add(name);
  const kept = fields.filter(([name]) => !own.has(name));
  if (knows) kept.push(['identity', edit.identity]); // another seed would learn the person anew
  const seed = 1 + crypto.getRandomValues(new Uint32Array(1))[0];
  return [...kept, ['seed', String(seed)], ['variants', String(count)]];
}
