/** People and attributes: keep, take, apply, export, erase. `mount` gets its empty section of the panel, once. */

import { $, make, say, studio } from '../studio.js';
import { ask, link, picture, submit } from '../service.js';
import { follow, isOver } from '../follow.js';
import { source, subject } from '../form.js';
import { openTab } from '../tabs.js';
import { take } from '../job/flow.js';
import { button, expiry, pages, sameCard, tellProblem, thumb, when } from './cards.js';
import { eraser } from './erasing.js';

const MOST_APPLIED = 4;
const WORN = ['makeup', 'glasses', 'hat', 'hair', 'beard', 'earrings'];
const LIFETIMES = [['', 'when I erase it'], ['86400', 'after a day'], ['604800', 'after a week'], ['2592000', 'after 30 days']];
const cardOfPerson = sameCard(personCard);
const cardOfWorn = sameCard(wornCard);
const people = pages('People', 'identities?limit=20', (items) => items.map(cardOfPerson), 'Nobody yet. Edits add the people of their photos.');
const worn = pages('Attributes', 'attributes?limit=20', wornCards, 'Nothing yet.');
const PATHS = { identity: 'identities', attribute: 'attributes' };
const PLACES = { identity: people, attribute: worn };
const jobs = new Map(); // promises of jobs that are followed, by id
const asked = []; // placeholders of what this page has taken
let taken = []; // placeholders of what the list shows
let sending = false;

export function mount(section) {
  section.append(make('h2', {}, 'People'), personForm(), ...people.parts, make('h2', {}, 'Attributes'), wornForm(), ...worn.parts);
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
  const hint = make('p', { className: 'quiet' }, 'Paint over the makeup, hat or glasses in the photo and take it. Then an edit can apply it to anybody.');
  const row = make('div', { className: 'with-button' }, field('worn-what', 'What', choice(WORN.map((word) => [word, word]))), field('worn-name', 'Name', text('Evening')), submitter('Take it'));
  return make('form', { onsubmit: takeWorn }, hint, row);
}

async function keepPerson(event) {
  event.preventDefault();
  const name = $('person-name').value.trim();
  const learned = studio.edit?.identity;
  if (learned) return (await rename('identity', learned, name)) && (event.target.reset(), people.load());
  const fields = [['prompt', source() || `a photo of a ${subject()}`], ['name', name], ['identity_ttl_s', $('person-ttl').value], ['consent', $('person-consent').value]];
  const job = await learn('identity', `Learning ${name}`, fields, event.target);
  if (job) await nameLearned(job.identity, name).catch(tellProblem);
}

/** Give a person or an attribute another name. Return whether that worked. */
async function rename(kind, id, name) {
  try {
    const { body } = await ask(`${PATHS[kind]}/${id}`, { method: 'PATCH', json: { name: name || null } });
    if (studio.using.identity?.id === id) studio.use({ identity: body });
    const { attributes } = studio.using;
    if (attributes.some((one) => one.id === id)) studio.use({ attributes: attributes.map((one) => (one.id === id ? body : one)) });
    return true;
  } catch (error) {
    tellProblem(error);
    return false;
  }
}

/** The service may have known the person already, by another name or by none. */
async function nameLearned(id, name) {
  if ((await ask(`identities/${id}`)).body.name !== name && (await rename('identity', id, name))) await people.load();
}

async function takeWorn(event) {
  event.preventDefault();
  const what = $('worn-what').value;
  if (studio.photo?.unseen) return say('This browser can’t show the photo, so nothing can be painted on it. Save it as JPEG.', 'problem');
  if (studio.photo && !(await studio.mask())) return say(`Paint over the ${what} on the photo first.`, 'problem');
  const placeholder = freePlaceholder();
  asked.push(placeholder);
  await learn('attribute', `Taking the ${what}`, [['prompt', `a ${subject()} with ${placeholder} ${what}`], ['name', $('worn-name').value.trim()]], event.target);
}

/** Return a placeholder that no other attribute has, so that one edit can apply several. [I] is the person's. */
function freePlaceholder() {
  const used = [...taken, ...asked];
  for (let number = 0; ; number++)
    for (const letter of 'ABCDEFGHJKLMNOPQRSTUVWXYZ') if (!used.includes(`[${letter}${number || ''}]`)) return `[${letter}${number || ''}]`;
}

/** Have the service learn something, and empty the form once it begins. Return the job that has succeeded, or null. */
async function learn(kind, words, texts, form) {
  if (!studio.photo) return say('Choose a photo first.', 'problem');
  if (!subject()) {
    openTab('edit');
    return say('Say who is in the photo.', 'problem');
  }
  if (sending) return null; // a second press belongs to the first
  sending = true;
  try {
    const mask = await studio.mask();
    const fields = [['image', studio.photo.blob], ...(mask ? [['mask', mask]] : []), ...texts.filter(([, value]) => value)];
    const job = await submit(kind === 'identity' ? 'identities' : 'attributes', fields);
    form.reset(); // not when the job is over: the next name may be typed by then
    return watch(kind, job, words);
  } catch (error) {
    return tellProblem(error);
  } finally {
    sending = false;
  }
}

/** Follow a job until it is over, by one card however often this is asked. Return it if it has succeeded, else null. */
function watch(kind, job, words) {
  if (!jobs.has(job.id)) jobs.set(job.id, see(kind, job, words));
  return jobs.get(job.id);
}

async function see(kind, job, words) {
  const { list, load } = PLACES[kind];
  const bar = make('progress', { max: 1, attributes: { 'aria-label': words } });
  const cancel = button('Cancel', () => ask(`edits/${job.id}/cancel`, { method: 'POST' }).catch(tellProblem));
  const card = make('li', { className: 'card' }, make('div', {}, make('p', {}, words), bar, cancel));
  card.dataset.job = job.id;
  list.prepend(card);
  let over = job;
  try {
    over = await follow(job.id, ({ progress }) => progress && (bar.value = progress.fraction));
    if (over.state === 'failed') tellProblem(over.error);
  } catch (error) {
    tellProblem(error);
  }
  delete card.dataset.job; // what was learned takes its place
  await load();
  card.remove();
  markUsed();
  return over.state === 'succeeded' ? over : null;
}

/** Return a card with a picture, a title, a line, and buttons to use and to erase what it stands for. */
function card(kind, item, { picture = '', title, words, what, use, act, other = '', gone }) {
  const used = button(use, act, { 'aria-pressed': 'false', 'aria-label': `${use} ${what}` });
  used.dataset.use = item.id;
  const row = make('div', { className: 'row' }, used, other, eraser(kind, `${PATHS[kind]}/${item.id}`, () => what, () => whole, gone));
  const whole = make('li', { className: 'card' }, picture, make('div', {}, title, make('p', { className: 'quiet' }, words), row));
  return whole;
}

/** Return the field that shows the name of a person or an attribute, and changes it. */
function nameField(kind, item, what) {
  const title = make('input', { type: 'text', className: 'name', value: item.name || '', placeholder: 'No name', maxLength: 60, attributes: { 'aria-label': `Name of ${what}` } });
  title.onchange = async () => (await rename(kind, item.id, title.value.trim())) || PLACES[kind].load();
  return title;
}

function personCard(person) {
  const what = person.name || `the ${person.subject || 'person'}`;
  const photo = person.photo ? thumb(person.photo.url, async () => (await ask(`identities/${person.id}`)).body.photo) : '';
  return card('identity', person, {
    picture: photo,
    title: nameField('identity', person, what),
    what,
    words: `${person.subject || 'person'}, ${when(person.created_at)}${expiry(person.expires_at)}`,
    use: 'Use',
    act: () => usePerson(person),
    other: button('Export', () => exportPerson(person), { 'aria-label': `Export ${what}` }),
  });
}

/** Put the photo of a person on the stage, unless it was imported without one, and have the next edit use the person. */
async function usePerson({ id }) {
  if (studio.using.identity?.id === id) return studio.use({ identity: null });
  try {
    const { body: person } = await ask(`identities/${id}`); // with a fresh link, and the name that it has by now
    if (person.photo) {
      const before = studio.photo;
      await take(await picture(person.photo.url), person.name || 'The photo');
      if (studio.photo === before) return; // `take` has said why
      studio.photo.identity = id;
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
  return items.map(cardOfWorn);
}

function wornCard(item) {
  const what = item.name || item.subject;
  const drop = () => studio.use({ attributes: studio.using.attributes.filter((one) => one.id !== item.id) });
  return card('attribute', item, { title: nameField('attribute', item, what), what, words: `${item.subject}, ${when(item.created_at)}`, use: 'Apply', act: () => applyWorn(item, drop), gone: drop });
}

function applyWorn(item, drop) {
  const { attributes } = studio.using;
  if (attributes.some((one) => one.id === item.id)) return drop();
  if (attributes.length === MOST_APPLIED) return say(`An edit applies at most ${MOST_APPLIED} things.`, 'problem');
  const other = attributes.find((one) => one.placeholder === item.placeholder); // taken by another page at the same time
  if (other) return say(`“${item.name || item.subject}” can’t be applied together with “${other.name || other.subject}”: take one of them again.`, 'problem');
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
