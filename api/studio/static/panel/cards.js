/** What the lists of people, attributes and edits share: dates, pages, pictures and buttons. */

import { make, say } from '../studio.js';
import { ask, link } from '../service.js';
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

/** Show a picture small by its link. Once that has expired, `fresh()` says a new one, or null if there is none any more. */
export function thumb(url, fresh) {
  const picture = make('img', { className: 'photo', src: link(url), alt: '', loading: 'lazy' });
  picture.onerror = async () => {
    picture.onerror = () => picture.remove();
    const other = await fresh().catch(() => null);
    picture.src = other ? link(other.url) : '';
  };
  return picture;
}

/** Return a function that returns an item's card: the same one again as long as nothing but its links has changed. */
export function sameCard(cardOf) {
  const made = new Map();
  return (item) => {
    const as = JSON.stringify({ ...item, photo: !!item.photo });
    if (made.get(item.id)?.as !== as) made.set(item.id, { as, card: cardOf(item) });
    return made.get(item.id).card;
  };
}

/** Fill a list without moving what stays: a card keeps the focus, and a click on it that has begun. */
function fill(list, cards) {
  for (const old of [...list.children]) if (!cards.includes(old)) old.remove();
  for (const [at, card] of cards.entries()) if (list.children[at] !== card) list.insertBefore(card, list.children[at] || null);
}

/**
 * Return a list of cards that `load` fills from `path`, and what belongs to it. `cardsOf(items, first)` makes the cards of a page.
 * Cards of running jobs have `data-job` and stay on top.
 */
export function pages(title, path, cardsOf, empty) {
  const list = make('ul', { className: 'cards', attributes: { 'aria-label': title } });
  const none = make('p', { className: 'quiet', hidden: true }, empty);
  const more = button('Show more', () => load(next));
  let next = null;
  let newest = 0;
  more.hidden = true;

  async function load(cursor = '') {
    const mine = ++newest;
    try {
      const { body } = await ask(`${path}&cursor=${encodeURIComponent(cursor)}`.replace(/&cursor=$/, ''));
      if (mine !== newest) return; // a later request knows more
      const cards = cardsOf(body.items, !cursor);
      fill(list, [...[...list.children].filter((card) => (cursor ? !cards.includes(card) : card.dataset.job)), ...cards]);
      next = body.next_cursor;
      more.hidden = !next;
      none.hidden = false; // its style hides it below cards
    } catch (error) {
      tellProblem(error);
    }
  }

  return { parts: [list, none, more], list, load };
}
