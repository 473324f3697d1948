/** The form of an edit: words, chips, the subject, and the sentence that they make. */

import { $, make, studio } from './studio.js';
import { chipsOf, photo, pieces, plain, same, sentenceOf, subjectIn, untested } from './sentences.js';

const FIRST = ['red hair', 'blond hair', 'smiling', 'glasses', 'makeup', 'a hat', 'a beard', 'curly hair', 'earrings'];
const SHOWN = 9;
const PAUSE_MS = 400; // the service is asked about the words when the user has stopped typing
const MAX_TEXT = 300; // as `api/studio/suggestions.py`
const answers = new Map(); // by question: see `instead.js`; undefined if the service has not answered
let pause = 0;
const state = { subject: null, all: false };

const subjects = () => (studio.model?.domains || [{ subjects: ['woman', 'man', 'person'], attribute_words: [] }]).flatMap((domain) => domain.subjects);
const domainOf = (subject) => studio.model?.domains?.find((domain) => domain.subjects.includes(subject));
const applied = () => studio.using.attributes.map((attribute) => `${attribute.placeholder} ${attribute.subject}`);

/** Return what the photo shows, as far as it is known: typed, or the prompt of the edit or person that the next edit uses. */
export function source() {
  return $('source_prompt').value.trim() || studio.using.parent?.said || studio.using.identity?.source_prompt || '';
}

/** Return the word for who is in the photo; null as long as nobody has said. */
export function subject() {
  return subjectIn($('words').value, subjects()) || state.subject || subjectIn(source(), subjects());
}

/** Return what to ask the service about the words; null if they are only the model's own, which are no instruction. */
function question() {
  const text = untested($('words').value).slice(0, MAX_TEXT);
  const words = (studio.model?.domains || []).flatMap((domain) => chipsOf(domain.attribute_words));
  if (!studio.model?.scopes.includes('edits:write') || pieces(text).every((piece) => words.includes(piece.toLowerCase()))) return null;
  const who = state.subject || subjectIn(source(), subjects());
  return JSON.stringify(who ? { text, subject: who } : { text });
}

/** Ask the service whether the words are an instruction, unless it has said so. Without an answer, the edit itself has to show it. */
export async function checked() {
  clearTimeout(pause);
  const asked = question();
  if (!asked || answers.get(asked)) return;
  answers.set(asked, await import('./instead.js').then(({ answerTo }) => answerTo(asked)).catch(() => undefined));
  draw();
}

/**
 * Return {prompt, source}, or {problem} if the words can't be used.
 *
 * `source` describes the photo, '' if nobody has. `hint`: the problem is shown while typing. `draw` adds what the service suggests.
 */
export function prompt() {
  const text = $('words').value.trim();
  const answer = answers.get(question());
  if (answer?.problem) return { ...answer, hint: true };
  if (!text && !applied().length) return { problem: 'Say what shall be different.' };
  const who = subject();
  if (!who) return { problem: 'Say who is in the photo.', field: 'subjects' };
  const { words, before } = answer?.read(text, who, source()) || { words: text, before: source() };
  const said = sentenceOf(words, who, source(), applied());
  const { parent, identity } = studio.using;
  if (!applied().length && (before || !(parent || identity)) && same(said, before || photo(who))) {
    return { problem: 'The photo shows that already. Say what shall be different, or under More options what it shows now.', hint: true };
  }
  return { prompt: said, source: before };
}

/** Fill the form from a sample. */
export function fill({ words, source_prompt, subject: who }) {
  $('words').value = words;
  $('source_prompt').value = source_prompt || '';
  state.subject = who || null;
  draw();
}

export function setSubject(word) {
  state.subject = word;
  draw();
}

/** Draw everything that depends on the words. */
export function draw() {
  drawChips();
  drawSubjects();
  clearTimeout(pause);
  const asked = question();
  if (!asked || answers.has(asked)) drawSentence();
  else pause = setTimeout(checked, PAUSE_MS);
}

function drawSentence() {
  const { problem, hint, draw: suggest, prompt: said, source: before } = prompt();
  const place = $('sentence');
  place.dataset.kind = hint ? 'problem' : 'note';
  place.textContent = hint ? problem : said ? `“${plain(said)}”${before === source() ? '' : `, from “${before}”`}` : '';
  suggest?.(place, source(), take);
}

/** Type what the service suggests. */
function take({ words, source: before, subject: who }) {
  if (!subject()) state.subject = who;
  if (before) $('source_prompt').value = before;
  $('words').value = words;
  draw();
  $('words').focus();
}

function toggle(chip) {
  const now = pieces($('words').value);
  const at = now.findIndex((piece) => piece.toLowerCase() === chip);
  if (at < 0) now.push(chip);
  else now.splice(at, 1);
  $('words').value = now.join(', ');
  draw();
}

function drawChips() {
  const domain = domainOf(subject()) || studio.model?.domains?.[0];
  const chips = chipsOf(domain?.attribute_words || []);
  const ordered = [...FIRST.filter((chip) => chips.includes(chip)), ...chips.filter((chip) => !FIRST.includes(chip))];
  const now = pieces($('words').value).map((piece) => piece.toLowerCase());
  const some = state.all ? ordered : ordered.slice(0, SHOWN);
  const buttons = some.map((chip) => make('button', { type: 'button', className: 'chip', onclick: () => toggle(chip), attributes: { 'aria-pressed': String(now.includes(chip)) } }, chip));
  if (ordered.length > some.length) buttons.push(make('button', { type: 'button', className: 'chip more', onclick: () => ((state.all = true), drawChips()) }, 'More'));
  keepFocus($('chips'), buttons);
}

/** Exchange buttons without taking the focus away from the one that was pressed. */
function keepFocus(place, buttons) {
  const focused = place.contains(document.activeElement) ? document.activeElement.textContent : null;
  place.replaceChildren(...buttons);
  if (focused) (buttons.find((button) => button.textContent === focused) || buttons[buttons.length - 1])?.focus();
}

function drawSubjects() {
  const named = subjectIn($('words').value, subjects());
  $('subject').hidden = !!named || subjects().length < 2;
  const now = subject();
  const radios = subjects().slice(0, 12).map((word) => {
    const input = make('input', { type: 'radio', name: 'subject', value: word, checked: word === now, onchange: () => setSubject(word) });
    return make('label', { className: 'choice' }, input, word);
  });
  const focused = document.activeElement?.name === 'subject' ? document.activeElement.value : null;
  $('subjects').replaceChildren(...radios);
  if (focused) $('subjects').querySelector(`[value="${focused}"]`)?.focus();
}

function drawUsing() {
  const { identity, attributes } = studio.using;
  const chip = (words, drop) => make('span', { className: 'chip used' }, words, make('button', { type: 'button', onclick: drop, attributes: { 'aria-label': `No longer use ${words}` } }, '×'));
  const chips = attributes.map((each) => chip(each.name || each.subject, () => studio.use({ attributes: attributes.filter((other) => other !== each) })));
  if (identity) chips.unshift(chip(`Person: ${identity.name || identity.subject || 'known'}`, () => studio.use({ identity: null })));
  $('using').replaceChildren(...chips);
  draw();
}

export function mountForm(send) {
  $('words').addEventListener('input', draw);
  $('words').addEventListener('keydown', (event) => event.key === 'Enter' && !event.isComposing && send());
  $('source_prompt').addEventListener('input', draw);
  studio.on('model', draw);
  studio.on('using', drawUsing);
  draw();
}
