/** What the lists of people, attributes and edits share: dates, pages, erasing with a receipt, and texts kept in this browser. */

import { make, say, studio } from './studio.js';
import { ask } from './service.js';
import { wordsOf } from './words.js';

const MOST_KEPT = 300;
const DAY_MS = 86_400_000;
const date = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short' });

export const when = (time) => date.format(new Date(time));

export function expiry(time) {
  const days = Math.round((new Date(time) - Date.now()) / DAY_MS);
  if (!time) return '';
  return days < 1 ? `, erased on ${when(time)}` : `, erased in ${days} ${days === 1 ? 'day' : 'days'}`;
}

export const button = (words, onclick, attributes = {}) => make('button', { type: 'button', className: 'button small', onclick, attributes }, words);

export const tellProblem = (error) => say(wordsOf(error), 'problem');

/** Texts by id that the service does not store. The oldest give way. */
export class Texts {
  constructor(name) {
    this.name = name;
  }

  all() {
    try {
      return new Map(JSON.parse(localStorage.getItem(this.name) || '[]'));
    } catch {
      return new Map(); // this browser has no storage, or something else is stored by this name
    }
  }

  get = (id) => this.all().get(id) || '';

  /** Keep `text`; '' forgets it. */
  set(id, text) {
    const all = this.all();
    all.delete(id);
    if (text) all.set(id, text);
    try {
      localStorage.setItem(this.name, JSON.stringify([...all].slice(-MOST_KEPT)));
    } catch {
      // as above
    }
  }
}

/** Return a list of cards that `load` fills from `path`, and what belongs to it. `cardsOf(items, first)` makes the cards of a page. */
export function pages(title, path, cardsOf, empty) {
  const list = make('ul', { className: 'cards', attributes: { 'aria-label': title } });
  const none = make('p', { className: 'quiet', hidden: true }, empty);
  const more = button('Show more', () => load(next));
  let next = null;
  more.hidden = true;

  async function load(cursor = '') {
    try {
      const { body } = await ask(`${path}&cursor=${encodeURIComponent(cursor)}`.replace(/&cursor=$/, ''));
      const cards = cardsOf(body.items, !cursor);
      list.replaceChildren(...(cursor ? [...list.children, ...cards.filter((card) => !list.contains(card))] : cards));
      next = body.next_cursor;
      more.hidden = !next;
      none.hidden = false; // its style hides it below cards
      return true;
    } catch (error) {
      tellProblem(error);
      return false;
    }
  }

  return { parts: [list, none, more], list, load };
}

/** Return a button that erases a `kind` of thing once it was pressed twice. The receipt then takes the place of `card()`. */
export function eraser(kind, path, what, card, gone) {
  const first = button('Erase', () => swap(sure, keep), { 'aria-label': `Erase ${what}` });
  const keep = button('Keep it', () => swap(first));
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
      const receipt = receiptOf(body, what);
      card().replaceChildren(receipt);
      receipt.focus();
    } catch (error) {
      sure.disabled = false;
      tellProblem(error);
    }
  }

  return row;
}

function receiptOf(receipt, what) {
  const file = new Blob([JSON.stringify(receipt, null, 2)], { type: 'application/json' });
  const save = make('a', { className: 'button small', href: URL.createObjectURL(file), download: `receipt-${receipt.id}.json` }, 'Save the receipt');
  const words = `Erased ${what}: ${receipt.objects} ${receipt.objects === 1 ? 'file' : 'files'}, ${when(receipt.erased_at)}.`;
  return make('div', { className: 'receipt', tabIndex: -1 }, make('p', {}, words), save);
}
