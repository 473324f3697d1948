/** Erasing for good: one thing after a second press, or everything. This tab keeps the signed receipts until it is closed. */

import { make, studio } from '../studio.js';
import { ask, sleep } from '../service.js';
import { keep, kept } from '../kept.js';
import { forgetRequest } from '../recent.js';
import * as shelf from '../job/shelf.js';
import { button, tellProblem, when } from './cards.js';

const RECEIPTS = 's2edit-receipts';
const MOST_RECEIPTS = 100;
const KINDS = [
  ['edits', 'request', 'requests'],
  ['identities', 'person', 'people'],
  ['attributes', 'attribute', 'attributes'],
];
const files = (count) => `${count} ${count === 1 ? 'file' : 'files'}`;

/** Return a button that erases a `kind` of thing, called `what()`, once it was pressed twice. A receipt takes the place of `card()`. */
export function eraser(kind, path, what, card, gone = () => {}) {
  const first = button('Erase', () => swap(sure, back), { 'aria-label': `Erase ${what()}` });
  const back = button('Keep it', () => swap(first));
  const sure = button('Erase for good', erase);
  const row = make('span', { className: 'row' }, first);
  sure.classList.add('danger');

  function swap(...buttons) {
    row.replaceChildren(...buttons);
    buttons[0].focus();
  }

  async function erase() {
    sure.disabled = true;
    try {
      const { body } = await ask(path, { method: 'DELETE' });
      gone();
      studio.tell('erased', { [kind]: body.id });
      const receipt = remember(`Erased ${what()}: ${files(body.objects)}, ${when(body.erased_at)}.`, body);
      card().replaceChildren(receipt);
      receipt.focus();
    } catch (error) {
      sure.disabled = false;
      tellProblem(error);
    }
  }

  return row;
}

function remember(words, receipt) {
  keep(RECEIPTS, [...kept(RECEIPTS, []), { words, receipt }].slice(-MOST_RECEIPTS));
  return receiptOf({ words, receipt });
}

function receiptOf({ words, receipt }) {
  const file = new Blob([JSON.stringify(receipt, null, 2)], { type: 'application/json' });
  const name = `receipt-${receipt.id || 'everything'}.json`;
  const save = make('a', { className: 'button small', href: URL.createObjectURL(file), download: name }, 'Save the receipt');
  return make('div', { className: 'receipt', tabIndex: -1 }, make('p', {}, words), save);
}

/** Return a list of the receipts of this tab, newest first, and a function that draws it. */
export function receiptList() {
  const list = make('ul', { className: 'cards', attributes: { 'aria-label': 'Receipts' } });
  const all = make('details', { hidden: true }, make('summary', {}, 'Receipts of this tab'), list);
  const draw = () => {
    const receipts = kept(RECEIPTS, []).reverse();
    all.hidden = !receipts.length;
    list.replaceChildren(...receipts.map((one) => make('li', { className: 'card' }, receiptOf(one))));
  };
  return [all, draw];
}

/** Return a button that erases everything of the user, here and at the service, after a dialog. `done(receipt)` gets the receipt. */
export function everythingEraser(done) {
  const words = make('p', { attributes: { 'aria-live': 'polite' } });
  const sure = button('Erase everything', erase);
  const back = button('Keep it', () => dialog.close());
  const title = make('h2', { id: 'everything-title' }, 'Erase everything of yours?');
  const dialog = make('dialog', { attributes: { 'aria-labelledby': title.id } }, title, words, make('div', { className: 'row end' }, back, sure));
  const first = button('Erase everything of mine', confirm);
  for (const each of [first, sure]) each.classList.add('danger');
  dialog.addEventListener('cancel', (event) => sure.disabled && event.preventDefault()); // it can't be stopped half-way

  function confirm() {
    words.textContent = 'Photos, masks, edits, results, people and attributes will be gone, at the service and in this browser. Edits that run now will stop. Nobody can bring them back.';
    dialog.showModal();
    back.focus();
  }

  async function erase() {
    sure.disabled = back.disabled = true;
    try {
      const receipt = await eraseAll((count) => (words.textContent = `Erased ${count} so far.`));
      await forgetHere();
      dialog.close();
      done(receipt);
    } catch (error) {
      dialog.close();
      tellProblem(error);
    }
    sure.disabled = back.disabled = false;
  }

  return make('div', {}, first, dialog);
}

/** Erase the user if the key permits that, else one thing after the other. Return the receipt as `remember` draws it. */
async function eraseAll(progress) {
  const { user, scopes } = studio.model || { scopes: [] };
  if (scopes.includes('admin')) {
    const { body } = await ask(`users/${encodeURIComponent(user)}`, { method: 'DELETE' });
    return remember(`Erased everything of yours: ${files(body.objects)}, ${when(body.erased_at)}.`, body);
  }
  const receipts = [];
  const counts = [];
  for (const [path, one, many] of KINDS) {
    const before = receipts.length;
    await eraseEach(path, (receipt) => progress(receipts.push(receipt)));
    const count = receipts.length - before;
    counts.push(`${count} ${count === 1 ? one : many}`);
  }
  return remember(`Erased everything of yours: ${counts.join(', ')}, ${when(Date.now())}.`, receipts);
}

async function eraseEach(path, erased) {
  for (let found = true; found; ) {
    found = false;
    for (const { id } of (await ask(`${path}?limit=100`)).body.items) {
      const receipt = await eraseOne(`${path}/${id}`);
      if (receipt) erased(receipt);
      found ||= !!receipt;
    }
  }
}

/** Return the receipt; null for what is gone already. A service that is asked too fast is asked again later. */
async function eraseOne(path) {
  try {
    return (await ask(path, { method: 'DELETE' })).body;
  } catch (error) {
    if (error.status === 404) return null;
    if (error.status !== 429) throw error;
    await sleep(error.wait_s);
    return eraseOne(path);
  }
}

async function forgetHere() {
  await shelf.clear();
  forgetRequest();
  studio.tell('erased', { everything: true });
}
