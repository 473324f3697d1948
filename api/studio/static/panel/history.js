/** Earlier edits and their tree. `mount` gets its empty section of the panel, once. */

import { $, make, studio } from '../studio.js';
import { ask } from '../service.js';
import { openTab } from '../tabs.js';
import { plain } from '../sentences.js';
import { wordsOf } from '../words.js';
import * as shelf from '../job/shelf.js';
import { button, expiry, pages, tellProblem, thumb, when } from './cards.js';
import { eraser, everythingEraser, receiptList } from './erasing.js';

const UNNAMED = { queued: 'A waiting edit', running: 'A running edit', failed: 'A failed edit', canceled: 'A canceled edit' };
const edits = pages('Edits', 'edits?kind=edit&limit=20', grown, 'No edits yet.');
const names = new Map(); // the sentences of edits, by id: lists don't have them
let known = new Map(); // edits by id, newest first

export function mount(section) {
  const [receipts, drawReceipts] = receiptList();
  const erased = make('div');
  const refresh = async () => {
    erased.replaceChildren();
    drawReceipts();
    await edits.load();
  };
  const everything = everythingEraser(async (receipt) => {
    await refresh();
    erased.replaceChildren(receipt);
    receipt.focus();
  });
  section.append(make('h2', {}, 'History'), ...edits.parts, make('div', { className: 'end-matter' }, erased, everything, receipts));
  return refresh;
}

/** Return the cards of a page. Each lies below the card of the edit that it continues, on whichever page that comes. */
function grown(items, first) {
  known = new Map([...(first ? [] : known), ...items.map((edit) => [edit.id, edit])]);
  if (!first) edits.list.replaceChildren();
  const cards = new Map([...known.values()].map((edit) => [edit.id, cardOf(edit)]));
  const roots = [];
  for (const [id, edit] of known) {
    const parent = cards.get(edit.parent);
    if (parent && parent.lastChild.tagName !== 'UL') parent.append(make('ul', { className: 'cards' }));
    if (parent) parent.lastChild.append(cards.get(id));
    else roots.push(cards.get(id));
  }
  completeAll().catch(tellProblem);
  return roots;
}

const titleOf = (edit) => names.get(edit.id) || UNNAMED[edit.state] || 'An edit';

function cardOf(edit) {
  const title = titleOf(edit);
  const notes = [when(edit.created_at), edit.state === 'running' && 'in progress', edit.state === 'queued' && 'waiting', edit.state === 'succeeded' && !edit.result && 'its pictures are erased', edit.parent && !known.has(edit.parent) && 'continues an earlier edit'];
  const about = make('p', { className: 'quiet' }, notes.filter(Boolean).join(', ') + expiry(edit.results_expire_at));
  const row = make('div', { className: 'row' });
  if (edit.result) row.append(button('Go on', () => goOn(edit), { 'aria-label': `Go on from “${title}”` }));
  row.append(eraser('edit', `edits/${edit.id}`, () => `“${titleOf(edit)}”`, () => own));
  const open = make('button', { type: 'button', className: 'plain', onclick: () => show(edit) }, title);
  const own = make('div', { className: 'card' }, edit.result ? thumb(edit.result.url, async () => (await ask(`edits/${edit.id}`)).body.result) : '', make('div', {}, open, ...ending(edit), about, row));
  own.dataset.edit = edit.id;
  return make('li', {}, own);
}

/** Say how an edit has ended that has no result. */
function ending(edit) {
  if (edit.state === 'failed') return [make('p', { className: 'problem' }, `Failed. ${wordsOf(edit.error)}`)];
  return edit.state === 'canceled' ? [make('p', {}, 'Canceled, nothing was changed.')] : [];
}

/** Show an edit on the stage, with its report and fresh links. */
async function show(edit) {
  try {
    await studio.show((await ask(`edits/${edit.id}`)).body);
  } catch (error) {
    tellProblem(error);
  }
}

async function goOn(edit) {
  await show(edit);
  if ($('again').hidden) return; // it could not be shown
  openTab('edit');
  $('go-on').click();
}

/** Add what lists don't have: the sentences, by this browser or by the report, and a way to try again what this browser keeps. */
async function completeAll() {
  for (const edit of [...known.values()]) {
    const mine = await shelf.find(edit.id);
    if (!names.has(edit.id)) {
      const sentence = mine?.said || (edit.state === 'succeeded' && (await ask(`edits/${edit.id}`)).body.report?.values.prompt);
      if (sentence) names.set(edit.id, plain(sentence));
    }
    const card = document.querySelector(`[data-edit="${edit.id}"]`);
    if (card) complete(card, edit, mine);
  }
}

function complete(card, edit, mine) {
  const title = names.get(edit.id);
  if (title) {
    card.querySelector('.plain').textContent = title;
    for (const each of card.querySelectorAll('[aria-label*="“"]')) each.setAttribute('aria-label', each.getAttribute('aria-label').replace(/“.*”/, `“${title}”`));
  }
  if (!mine || !['failed', 'canceled'].includes(edit.state) || card.querySelector('.again')) return;
  const again = button('Try again', () => studio.again(edit.id), { 'aria-label': `Try again “${title}”` });
  again.classList.add('again');
  card.querySelector('.row').prepend(again);
}
