/** Earlier edits and their tree. `mount` gets its empty section of the panel, once. */

import { $, make, studio } from './studio.js';
import { ask, link } from './service.js';
import { openTab } from './tabs.js';
import { button, eraser, expiry, pages, tellProblem, Texts, when } from './cards.js';

const STATES = { queued: 'waiting', running: 'in progress', failed: 'failed', canceled: 'canceled' };
const prompts = new Texts('s2edit-prompts');
const edits = pages('Edits', 'edits?kind=edit&limit=20', grown, 'No edits yet.');
let known = new Map(); // edits by id, newest first

export function mount(section) {
  section.append(make('h2', {}, 'History'), ...edits.parts);
  studio.on('tab', (name) => name === 'history' && edits.load());
  studio.on('edit', () => studio.edit && keepPrompt(studio.edit));
}

const keepPrompt = (edit) => edit.report && prompts.set(edit.id, (edit.report.values.prompt || '').replaceAll('[I] ', ''));

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
  nameAll().catch(tellProblem);
  return roots;
}

function cardOf(edit) {
  const title = prompts.get(edit.id) || 'Edit';
  const state = STATES[edit.state] || (edit.result ? '' : 'its pictures are erased');
  const about = [when(edit.created_at), state, edit.parent && !known.has(edit.parent) && 'continues an earlier edit'].filter(Boolean).join(', ');
  const row = make('div', { className: 'row' });
  if (edit.result) row.append(button('Go on', () => goOn(edit), { 'aria-label': `Go on from “${title}”` }));
  row.append(eraser('edit', `edits/${edit.id}`, `“${title}”`, () => own, () => prompts.set(edit.id, '')));
  const open = make('button', { type: 'button', className: 'plain', onclick: () => show(edit) }, title);
  const own = make('div', { className: 'card' }, edit.result ? thumb(edit) : '', make('div', {}, open, make('p', { className: 'quiet' }, about + expiry(edit.results_expire_at)), row));
  own.dataset.edit = edit.id;
  return make('li', {}, own);
}

/** Show the result small. Once its link has expired, a new one is asked for. */
function thumb(edit) {
  const picture = make('img', { className: 'photo', src: link(edit.result.url), alt: '', loading: 'lazy' });
  picture.onerror = async () => {
    picture.onerror = () => picture.remove();
    const fresh = await ask(`edits/${edit.id}`).catch(() => null);
    picture.src = fresh?.body.result ? link(fresh.body.result.url) : '';
  };
  return picture;
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

/** Lists have no prompts: ask for those that this browser does not know, one after the other. */
async function nameAll() {
  for (const edit of known.values()) {
    if (edit.state !== 'succeeded' || prompts.get(edit.id)) continue;
    keepPrompt((await ask(`edits/${edit.id}`)).body);
    const words = document.querySelector(`[data-edit="${edit.id}"] .plain`);
    if (words && prompts.get(edit.id)) words.textContent = prompts.get(edit.id);
  }
}
