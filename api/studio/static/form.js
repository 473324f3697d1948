/** The form of an edit: words, chips, the subject, and the sentence that they make. */

import { $, make, studio } from './studio.js';
import { chipsOf, insteadOf, pieces, plain, sentenceOf, subjectIn } from './sentences.js';

const FIRST = ['red hair', 'blond hair', 'smiling', 'glasses', 'makeup', 'a hat', 'a beard', 'curly hair', 'earrings'];
const SHOWN = 9;
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

/** Return {prompt}, or {problem, instead} if the words can't be used. */
export function prompt() {
  const text = $('words').value.trim();
  const instead = insteadOf(text);
  if (instead !== null) return { problem: 'Describe what the picture shall show, not what to do.', instead };
  if (!text && !applied().length) return { problem: 'Say what shall be different.' };
  if (!subject()) return { problem: 'Say who is in the photo.', field: 'subjects' };
  return { prompt: sentenceOf(text, subject(), source(), applied()) };
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
  const said = prompt();
  const place = $('sentence');
  place.dataset.kind = said.problem && said.instead !== undefined ? 'problem' : 'note';
  if (said.instead) {
    const use = make('button', { type: 'button', className: 'plain', onclick: () => typed(said.instead) }, `“${said.instead}”`);
    place.replaceChildren(`${said.problem} For example: `, use);
  } else if (said.instead === '') place.textContent = `${said.problem} For example: “red hair”.`;
  else place.textContent = said.prompt ? `“${plain(said.prompt)}”` : '';
}

function typed(text) {
  $('words').value = text;
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
