/** People and things worn: keep, take, apply, export, erase. `mount` gets its empty section of the panel, once. */

import { $, make, say, studio } from '../studio.js';
import { ask, link, picture, submit } from '../service.js';
import { follow, isOver } from '../follow.js';
import { source, subject } from '../form.js';
import { openTab } from '../tabs.js';
import { take } from '../job/flow.js';
import { button, expiry, pages, tellProblem, when } from './cards.js';
import { eraser } from './erasing.js';

const MOST_APPLIED = 4;
const WORN = ['makeup', 'glasses', 'hat', 'hair', 'beard', 'earrings'];
const LIFETIMES = [['', 'when I erase it'], ['86400', 'after a day'], ['604800', 'after a week'], ['2592000', 'after 30 days']];
const people = pages('People', 'identities?limit=20', (items) => items.map(personCard), 'Nobody yet. Edits add the people of their photos.');
const worn = pages('Things worn', 'attributes?limit=20', wornCards, 'Nothing yet.');
const PLACES = { identity: people, attribute: worn };
let taken = []; // placeholders

export function mount(section) {
  section.append(make('h2', {}, 'People'), personForm(), ...people.parts, make('h2', {}, 'Things worn'), wornForm(), ...worn.parts);
  studio.on('using', markUsed);
  return refresh;
}

async function refresh() {
  await Promise.all([people.load(), worn.load()]);
  markUsed();
  for (const kind of ['identity', 'attribute']) {
    const { body } = await ask(`edits?kind=${kind}&limit=5`);
    for (const job of body.items) if (!isOver(job)) watch(kind, job, 'Learning'); // it began before the page was loaded
  }
}

function field(id, words, element) {
  element.id = id;
  return make('div', {}, make('label', { htmlFor: id }, words), element);
}

const text = (placeholder, required = false) => make('input', { type: 'text', maxLength: 60, autocomplete: 'off', placeholder, required });
const choice = (all) => make('select', {}, ...all.map(([value, words]) => make('option', { value }, words)));
const submitter = (words) => make('button', { className: 'button small' }, words);

function personForm() {
  const more = make('details', {}, make('summary', {}, 'For how long, with which consent'));
  more.append(field('person-ttl', 'Erase it', choice(LIFETIMES)), field('person-consent', 'What the person agreed to', text('Ada agreed on 24 November')));
  const row = make('div', { className: 'with-button' }, field('person-name', 'Keep this person as', text('Ada', true)), submitter('Keep'));
  return make('form', { onsubmit: keepPerson }, row, more);
}

function wornForm() {
  const hint = make('p', { className: 'quiet' }, 'Paint over a makeup, a hat or glasses on the photo, and take it. Then anybody can wear it.');
  const row = make('div', { className: 'with-button' }, field('worn-what', 'What', choice(WORN.map((word) => [word, word]))), field('worn-name', 'Name', text('Evening')), submitter('Take it'));
  return make('form', { onsubmit: takeWorn }, hint, row);
}

async function keepPerson(event) {
  event.preventDefault();
  const name = $('person-name').value.trim();
  const learned = studio.edit?.identity;
  const fields = [['prompt', source() || `a photo of a ${subject()}`], ['name', name], ['identity_ttl_s', $('person-ttl').value], ['consent', $('person-consent').value]];
  if (learned ? await rename(learned, name) : await learn('identity', `Learning ${name}`, fields, (job) => nameLearned(job.identity, name))) event.target.reset();
  if (learned) await people.load();
}

/** Give a person another name. Return whether that worked. */
async function rename(id, name) {
  try {
    await ask(`identities/${id}`, { method: 'PATCH', json: { name: name || null } });
    return true;
  } catch (error) {
    tellProblem(error);
    return false;
  }
}

/** The service may have known the person already, by another name or by none. */
async function nameLearned(id, name) {
  if ((await ask(`identities/${id}`)).body.name !== name) await rename(id, name);
}

async function takeWorn(event) {
  event.preventDefault();
  const what = $('worn-what').value;
  if (studio.photo?.unseen) return say('This browser can’t show the photo, so nothing can be painted on it. Save it as JPEG.', 'problem');
  if (studio.photo && !(await studio.mask())) return say(`Paint over the ${what} on the photo first.`, 'problem');
  if (await learn('attribute', `Taking the ${what}`, [['prompt', `a ${subject()} with ${freePlaceholder()} ${what}`], ['name', $('worn-name').value.trim()]])) event.target.reset();
}

/** Return a placeholder that no other attribute has, so that one edit can apply several. [I] is the person's. */
function freePlaceholder() {
  for (let number = 0; ; number++)
    for (const letter of 'ABCDEFGHJKLMNOPQRSTUVWXYZ') if (!taken.includes(`[${letter}${number || ''}]`)) return `[${letter}${number || ''}]`;
}

async function learn(kind, words, texts, done) {
  if (!studio.photo) return say('Choose a photo first.', 'problem');
  if (!subject()) {
    openTab('edit');
    return say('Say who is in the photo.', 'problem');
  }
  const mask = await studio.mask();
  const fields = [['image', studio.photo.blob], ...(mask ? [['mask', mask]] : []), ...texts.filter(([, value]) => value)];
  try {
    return await watch(kind, await submit(kind === 'identity' ? 'identities' : 'attributes', fields), words, done);
  } catch (error) {
    return tellProblem(error);
  }
}

/** Show the progress of a job in a card of its own until it is over. Return whether it has succeeded. */
async function watch(kind, job, words, done = () => {}) {
  const { list, load } = PLACES[kind];
  if (list.querySelector(`[data-job="${job.id}"]`)) return false;
  const bar = make('progress', { max: 1, attributes: { 'aria-label': words } });
  const card = make('li', { className: 'card' }, make('div', {}, make('p', {}, words), bar, button('Cancel', () => ask(`edits/${job.id}/cancel`, { method: 'POST' }).catch(tellProblem))));
  card.dataset.job = job.id;
  list.prepend(card);
  let over = job;
  try {
    over = await follow(job.id, ({ progress }) => progress && (bar.value = progress.fraction));
    if (over.state === 'succeeded') await done(over);
    if (over.state === 'failed') tellProblem(over.error);
  } catch (error) {
    tellProblem(error);
  }
  card.remove();
  await load();
  markUsed();
  return over.state === 'succeeded';
}

/** Return a card with a picture, a title, a line, and buttons to use and to erase what it stands for. */
function card(kind, item, { picture = '', title, words, what, use, act, other = '', gone }) {
  const used = button(use, act, { 'aria-pressed': 'false', 'aria-label': `${use} ${what}` });
  used.dataset.use = item.id;
  const path = kind === 'identity' ? 'identities' : 'attributes';
  const row = make('div', { className: 'row' }, used, other, eraser(kind, `${path}/${item.id}`, () => what, () => whole, gone));
  const whole = make('li', { className: 'card' }, picture, make('div', {}, title, make('p', { className: 'quiet' }, words), row));
  return whole;
}

function personCard(person) {
  const name = person.name || '';
  const what = name || `the ${person.subject || 'person'}`;
  const title = make('input', { type: 'text', className: 'name', value: name, placeholder: 'No name', maxLength: 60, attributes: { 'aria-label': `Name of ${what}` } });
  title.onchange = async () => (await rename(person.id, title.value.trim())) || people.load();
  const picture = person.photo ? make('img', { className: 'photo', src: link(person.photo.url), alt: '', loading: 'lazy', onerror: () => picture.remove() }) : '';
  return card('identity', person, {
    picture,
    title,
    what,
    words: `${person.subject || 'person'}, ${when(person.created_at)}${expiry(person.expires_at)}`,
    use: 'Use',
    act: () => usePerson(person),
    other: button('Export', () => exportPerson(person), { 'aria-label': `Export ${what}` }),
  });
}

/** Put the photo of a person on the stage, unless it was imported without one, and have the next edit use the person. */
async function usePerson(person) {
  if (studio.using.identity?.id === person.id) return studio.use({ identity: null });
  try {
    if (person.photo) {
      const { body } = await ask(`identities/${person.id}`); // with a fresh link
      const before = studio.photo;
      await take(await picture(body.photo.url), person.name || 'The photo');
      if (studio.photo === before) return; // `take` has said why
      studio.photo.identity = person.id;
      say(studio.photo.note);
    }
    use({ identity: person });
  } catch (error) {
    tellProblem(error);
  }
}

async function exportPerson(person) {
  try {
    make('a', { href: link((await ask(`identities/${person.id}/export`)).body.url), download: '' }).click();
  } catch (error) {
    tellProblem(error);
  }
}

function wornCards(items, first) {
  taken = [...(first ? [] : taken), ...items.map((item) => item.placeholder)];
  return items.map((item) => {
    const what = item.name || item.subject;
    const drop = () => studio.use({ attributes: studio.using.attributes.filter((one) => one.id !== item.id) });
    return card('attribute', item, { title: make('strong', {}, what), what, words: `${item.subject}, ${when(item.created_at)}`, use: 'Apply', act: () => applyWorn(item, drop), gone: drop });
  });
}

function applyWorn(item, drop) {
  const { attributes } = studio.using;
  if (attributes.some((one) => one.id === item.id)) return drop();
  if (attributes.length === MOST_APPLIED) return say(`An edit applies at most ${MOST_APPLIED} things.`, 'problem');
  return use({ attributes: [...attributes, item] });
}

function use(what) {
  studio.use(what);
  openTab('edit');
  $('tab-edit').focus(); // the button that was pressed is hidden now
}

function markUsed() {
  const used = [studio.using.identity, ...studio.using.attributes].map((one) => one?.id);
  for (const each of document.querySelectorAll('[data-use]')) each.setAttribute('aria-pressed', used.includes(each.dataset.use));
}
