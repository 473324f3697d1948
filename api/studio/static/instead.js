/** What somebody types in own words: what the service suggests instead of an instruction, and what shall be gone. Loaded when needed. */

import { make, studio } from './studio.js';
import { ask } from './service.js';
import { addAdjective, addPhrase, article, change, chipOf, composed, goneBy, has, isAdjective, nothing, parse, photo, pieces, plain, put, remove, same, samePlace, sentenceOf, subjectIn, untested } from './sentences.js';

const PATIENCE_MS = 5000; // an edit does not wait longer for the answer
const MASS = ['hair', 'makeup', 'make-up', 'lipstick', 'blush', 'jewelry', 'jewellery', 'ivy', 'scaffolding'];
const PRONOUN = /^(?:she|he|they|it|i|we)\s/i;
const CLAUSE = /,?\s+(?:and\s+)?(?:without|with no)\s+([\w -]+?)(?=\s*(?:$|[,.;])|\s+(?:and\s+)?(?:with|wearing)\b)/gi;
const THING = /^(?:(?:an?|any|the|her|his)\s+)?([\w-]+(?:\s+hair)?)$/i;

/**
 * Ask the service about words, as JSON of {text, subject}. Resolves with {problem, draw} for an instruction, otherwise with {read}.
 *
 * `draw(place, source, take)` shows in `place` what to type for a photo that `source` describes. A click on it calls
 * `take({words, source, subject})`. A sentence about somebody, such as "she has red hair", is no description of a photo either.
 */
export async function answerTo(asked) {
  const said = JSON.parse(asked);
  const { body } = await ask('studio/suggestion', { method: 'POST', json: said, quiet: true, signal: AbortSignal.timeout(PATIENCE_MS) });
  if (body) return { problem: 'Describe what the picture shall show, not what to do.', draw: (...how) => draw(body, ...how) };
  return PRONOUN.test(said.text) ? { problem: 'Describe what the picture shall show, such as “red hair”.' } : { read };
}

const subjects = () => (studio.model.domains || []).flatMap((domain) => domain.subjects);

function draw(said, place, source, take) {
  const subject = subjectIn(said.source_prompt || said.prompt, subjects());
  const typed = typedFor(said, subject, source);
  const use = make('button', { type: 'button', className: 'plain', onclick: () => take({ ...typed, subject }) }, `“${typed.words}”`);
  place.append(' For example: ', said.is_example ? `“${said.prompt}”.` : use);
}

/**
 * Return {words, source}: what to type for the descriptions that the service suggests. `source` is '' where the photo's need not change.
 *
 * The words are phrases if these make the same sentences, otherwise a whole sentence with what `source` says, too.
 */
export function typedFor({ prompt, source_prompt: before }, subject, source) {
  const [shown, old] = [parse(prompt, subject), parse(before || photo(subject), subject)];
  if (!/^a photo of /.test(prompt) || !shown || !old || !same(composed(shown, subject), prompt)) return { words: plain(prompt), source: plain(before || '') };
  const gone = old.phrases.map((phrase) => `no ${phrase.replace(/^an?\s+/i, '')}`).join(', ');
  const added = [...shown.adjectives, ...shown.places, ...shown.phrases, ...shown.worn.map((thing) => `wearing ${thing}`), ...shown.doing];
  const words = [...added, gone].filter(Boolean).join(', ');
  if (same(sentenceOf(words, subject, ''), prompt) && same(removal(words, subject, '').before || photo(subject), before || photo(subject))) return { words, source: '' };
  const all = (source && parse(source, subject)) || nothing();
  for (const phrase of old.phrases) remove(all, phrase);
  for (const word of shown.adjectives) addAdjective(all, word);
  for (const place of shown.places) put(all.places, place, samePlace);
  for (const phrase of shown.phrases) addPhrase(all, phrase);
  for (const kind of ['worn', 'doing']) for (const phrase of shown[kind]) put(all[kind], phrase);
  return { words: composed(all, subject), source: before ? removal(gone, subject, source).before : '' };
}

/** Return the words for a thing that the photo shows: "a hat", "glasses", "in snow". */
function present(thing) {
  const chip = chipOf(thing.toLowerCase(), []);
  if (chip !== thing.toLowerCase()) return chip;
  const last = thing.split(/\s+/).pop().toLowerCase();
  return isAdjective(last) || MASS.includes(last) || /(?:[^s]s|ing)$/.test(last) ? thing : `${article(thing)} ${thing}`;
}

/** Return the things of the clauses "without …" of a whole sentence; of one that is not understood, none. */
function goneFrom(sentence) {
  const things = [...sentence.matchAll(CLAUSE)].flatMap((found) => found[1].split(/\s+(?:and|or)\s+/));
  return things.every((thing) => THING.test(thing)) ? things.map((thing) => thing.match(THING)[1]) : [];
}

/**
 * Return {words, before} for what the user typed: a whole sentence without what the edit takes away, and a photo that shows it.
 *
 * That is `source`, and what it lacks. Otherwise, both sentences would be the same and the edit could change nothing.
 */
export function removal(text, subject, source) {
  const isWhole = has(text, subject);
  const gone = isWhole ? goneFrom(text) : pieces(untested(text)).map(goneBy).filter(Boolean);
  const known = source || photo(subject);
  const shown = parse(known, subject);
  const lacking = shown ? gone.filter((thing) => !remove(structuredClone(shown), thing)) : [];
  for (const thing of lacking) change(shown, present(thing));
  return { words: isWhole && gone.length ? text.replace(CLAUSE, '') : text, before: lacking.length ? composed(shown, subject) : source };
}

/** Return {words, before} as `removal`, with [I] before the subject if `source` names another one: both sentences then show one person. */
function read(text, subject, source) {
  const { words, before } = removal(text, subject, source);
  const becomes = has(text, subject) && !has(source, subject) && subjectIn(source, subjects()) && !text.includes('[I]');
  return { words: becomes ? words.replace(new RegExp(`\\b${subject}\\b`, 'i'), '[I] $&') : words, before };
}
