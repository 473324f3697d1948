/** What the lists of people, attributes and edits share: dates, pages and buttons. */

import { make, say } from '../studio.js';
import { ask } from '../service.js';
import { wordsOf } from '../words.js';

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
