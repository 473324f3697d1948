/**
 * From a click to a result: starting, following, showing and continuing edits.
 *
 * A job keeps the photo that it was started with, so another photo that is chosen meanwhile is never compared with its result.
 */

import { $, say, studio } from '../studio.js';
import { ask, picture, submit } from '../service.js';
import { follow, isOver } from '../follow.js';
import { wordsOf } from '../words.js';
import * as form from '../form.js';
import { plain } from '../sentences.js';
import { painted, pickPoint } from '../picture/brush.js';
import { read } from '../picture/photo.js';
import * as stage from '../picture/stage.js';
import { draw, drawRegion, forgetAddress, page, place, placeAgain, showStage, takeAway, toPhoto } from './page.js';
import { editFields, has, othersOf } from './request.js';
import * as progress from './progress.js';
import * as result from './result.js';
import * as shelf from './shelf.js';

const VARIANTS = 3;
// What Back returns to: {entry, words, source}.
let cameFrom = null;
// Whether the words are checked, before there is a job.
let starting = false;
// A second press within this belongs to the first: a double click, or Enter twice.
const SETTLE_MS = 500;

export { take, takeSample } from './page.js';

/** Start the edit that the form describes. */
export async function start() {
  if (page.job || starting || $('go').disabled) return;
  starting = true;
  const edit = await described().finally(() => (starting = false));
  if (edit && !page.job) await run(edit);
}

/** Return what `run` needs for the form, or null after a message that says what is missing. */
async function described() {
  await form.checked();
  const said = form.prompt();
  if (said.problem) {
    say(said.problem, 'problem');
    (said.field ? $(said.field).querySelector('input') : $('words'))?.focus();
    return null;
  }
  try {
    return { fields: await editFields(said), said: said.prompt, source: said.source };
  } catch (error) {
    say(error.message, 'problem'); // only paint that can't be meant
    return null;
  }
}

/** Ask for `count` other pictures of the shown edit. */
function more(count) {
  const { edit, fields, before, compares, said, source } = result.current();
  run({ fields: othersOf(edit, fields, count), said, source, before: compares ? before : null });
}

const toCompare = (photo) => (photo?.unseen ? null : photo?.picture);

/** Send a job and see it through. */
async function run({ fields, said, source = form.source(), before = toCompare(studio.photo) }) {
  const job = { fields, said, source, before, photo: studio.photo, paint: page.paint, using: studio.using, controller: new AbortController() };
  begin(job, has(fields, 'identity') || has(fields, 'parent') ? ['preparing', 'inverting', 'editing', 'finishing'] : undefined);
  try {
    const accepted = await sent('edits', job);
    const { id } = accepted;
    job.id = id;
    progress.trouble(null);
    progress.update(accepted);
    await shelf.keep({ id, photo: job.photo?.blob, name: job.photo?.name, fields, said, source });
    studio.tell('kept', id);
    history.replaceState(null, '', `#${id}`);
    await see(job);
  } catch (error) {
    failed(job, error);
  } finally {
    over(job);
  }
}

/** Send a job and return the answer. A job that is canceled before that is over for the page at once, and erased when the answer comes. */
function sent(path, job) {
  const { signal } = job.controller;
  const answer = submit(path, job.fields, { trouble: (error) => signal.aborted || progress.trouble(error), signal });
  answer.then(({ id }) => signal.aborted && ask(`edits/${id}`, { method: 'DELETE', quiet: true })).catch(() => {});
  return Promise.race([answer, new Promise((_, reject) => (signal.onabort = () => reject(signal.reason)))]);
}

function begin(job, phases) {
  say('');
  page.job = job;
  pickPoint(null);
  progress.begin('Sending the photo', phases);
  draw();
  offerCancel(job);
  scrollTo({ top: 0 }); // on a phone the form is below the picture
}

/** Let the user cancel, but not by the second half of a double click on Edit, whose place Cancel takes. */
function offerCancel(job) {
  job.from = document.activeElement;
  $('cancel').disabled = true;
  setTimeout(() => {
    if (page.job !== job) return;
    $('cancel').disabled = false;
    if ([job.from, document.body].includes(document.activeElement)) $('cancel').focus({ preventScroll: true });
    job.from = null;
  }, SETTLE_MS);
}

function over(job) {
  if (page.job !== job) return;
  const focused = $('running').contains(document.activeElement) || [job.from, document.body].includes(document.activeElement);
  page.job = null;
  progress.end();
  if (!result.current() && stage.mode() === 'preview') showStage();
  draw();
  if (focused) (result.current() ? $('handle') : $('go')).focus({ preventScroll: true });
}

/** Follow a job that the service has accepted, and show its result. */
async function see(job) {
  const edit = await follow(job.id, (now) => changed(job, now), { trouble: progress.trouble, signal: job.controller.signal });
  if (edit.state === 'failed') throw edit.error;
  if (edit.state === 'canceled') say('Canceled. Nothing was changed.');
  if (edit.state === 'succeeded') await done(job, edit);
}

function changed(job, edit) {
  progress.update(edit);
  if (studio.photo === job.photo) studio.setEdit(edit);
  if (edit.preview && edit.preview !== job.preview && !isOver(edit)) {
    job.preview = edit.preview;
    showPreview(job, edit).catch(() => {}); // the result comes anyway
  }
}

async function showPreview(job, edit) {
  const { body } = await ask(`edits/${edit.id}/preview`, { as: 'blob' });
  const bitmap = await createImageBitmap(body);
  if (page.job !== job || job.preview !== edit.preview || studio.photo !== job.photo) return;
  result.hide();
  const strength = edit.progress?.phase === 'editing' ? edit.progress.fraction : 1;
  const picture = { whole: bitmap, small: bitmap, width: bitmap.width, height: bitmap.height };
  if (job.photo?.unseen) stage.showPhoto(picture, null); // what stands for the photo has another shape
  stage.showPreview(picture, strength);
  draw();
}

async function done(job, edit) {
  progress.learn(edit.report?.values);
  const added = [];
  for (const [number, link] of edit.results.entries()) {
    const blob = await fresh(edit.id, number, link.url);
    const after = await stage.prepare(await createImageBitmap(blob));
    const compares = !!job.before;
    added.push(result.add({ ...job, number, edit, blob, after, before: job.before || after, compares, words: plain(job.said || 'the result') }));
  }
  studio.tell('done', edit);
  if (!added.length) say('The pictures of this edit have expired.', 'problem');
  else if (studio.photo === job.photo) showResult(added[0]);
  else say('The edit of the other photo is done: its result is below the picture.');
}

/** Fetch a result; an expired link is renewed once. */
async function fresh(id, number, url) {
  try {
    return await picture(url);
  } catch {
    const { body } = await ask(`edits/${id}`);
    if (!body.results[number]) throw Object.assign(new Error('expired'), { code: 'not_found' });
    return picture(body.results[number].url);
  }
}

function showResult(entry) {
  if (studio.photo !== entry.photo || entry.photo?.unseen) placeAgain(entry);
  history.replaceState(null, '', `#${entry.id}`);
  studio.setEdit(entry.edit);
  result.show(entry);
  draw();
}

function failed(job, error) {
  if (error.status === 404 && job.id) {
    shelf.drop(job.id); // erased elsewhere, so its photo does not stay here either
    if (location.hash === `#${job.id}`) forgetAddress();
  }
  if (error.name === 'AbortError') say('Canceled. Nothing was changed.');
  else say(wordsOf(error), 'problem');
  if (error.code === 'prompt_instruction' || error.field === 'prompt') $('words').focus();
}

async function cancel() {
  const { job } = page;
  if (!job) return;
  $('cancel').disabled = true;
  if (!job.id) return job.controller.abort();
  try {
    await ask(`edits/${job.id}/cancel`, { method: 'POST' });
  } catch (error) {
    $('cancel').disabled = false;
    say(wordsOf(error), 'problem');
  }
}

/** Ask the service for the person, at a pixel of the photo if one is given, and show the mask as paint to be corrected. */
async function find(at) {
  const { photo } = studio;
  const fields = [['image', photo.blob]];
  if (at) fields.push(['at', [at.x, at.y].map((side, axis) => Math.min([photo.width, photo.height][axis] - 1, Math.max(0, Math.floor(side)))).join(',')]);
  else if (form.source()) fields.push(['prompt', form.source()]);
  const job = { fields, photo, controller: new AbortController() };
  begin(job, ['preparing']);
  try {
    const accepted = await sent('masks', job);
    job.id = accepted.id;
    progress.update(accepted);
    const found = await follow(job.id, progress.update, { trouble: progress.trouble });
    if (found.state === 'failed') throw found.error;
    if (found.state !== 'succeeded' || studio.photo !== photo) return;
    page.paint.fromPicture('mask', await createImageBitmap(await picture(found.mask.url)));
    painted();
    const { people } = found.report.values.mask;
    say(people > 1 ? `Found ${people} people and took the red one: point at another, or correct the paint.` : 'Found. Correct the paint, or leave it as it is.');
  } catch (error) {
    failed(job, error);
  } finally {
    over(job);
  }
}

function point() {
  const on = $('point').getAttribute('aria-pressed') !== 'true';
  pickPoint(on ? (at) => (pickPoint(null), find(at)) : null);
  if (on) {
    say('Click or tap on the person. By keyboard: move with the arrow keys, choose with Space.');
    $('paint').focus({ preventScroll: true });
  } else say('');
}

/** Take the shown result as the photo of the next edit. It shows what was applied already. */
async function goOn() {
  const { edit, blob, after, said, number } = result.current();
  cameFrom = { entry: result.current(), words: $('words').value, source: $('source_prompt').value };
  const photo = { blob, name: 'The last result', width: after.width, height: after.height, picture: after };
  if (number) {
    const subject = edit.report?.values.subject;
    place(photo, { parent: null, identity: edit.identity ? { id: edit.identity, subject } : null, attributes: [] }); // only an edit's first picture can be a parent
    $('source_prompt').value = plain(said || '');
  } else {
    $('source_prompt').value = '';
    place(photo, { parent: { ...edit, said: said && plain(said) }, attributes: [] });
  }
  $('words').value = '';
  form.draw();
  $('words').focus();
}

/** Return to the result that the next edit would have gone on from. */
function back() {
  showResult(cameFrom.entry);
  $('words').value = cameFrom.words;
  $('source_prompt').value = cameFrom.source;
  form.draw();
  $('handle').focus({ preventScroll: true });
}

/** Show an edit by its JSON or id: after a reload, or from the history. Follows it if it still runs. */
export async function show(which) {
  if (page.job) return say('Wait for the edit that runs, or cancel it.', 'problem');
  say('');
  const job = { id: which.id || which, controller: new AbortController() };
  try {
    const edit = typeof which === 'string' || !which.report ? (await ask(`edits/${job.id}`)).body : which;
    if (edit.kind !== 'edit') return;
    const kept = (await shelf.find(edit.id)) || {};
    const photo = await placeKept(kept);
    Object.assign(job, { fields: kept.fields || [], said: kept.said || promptOf(edit), source: kept.source, photo, before: toCompare(photo) });
    history.replaceState(null, '', `#${edit.id}`);
    if (!photo) await withoutPhoto(job, edit);
    if (isOver(edit)) return await ended(job, edit);
    begin(job);
    progress.update(edit);
    await see(job);
  } catch (error) {
    forgetAddress();
    failed(job, error);
    draw();
  } finally {
    over(job);
  }
}

/** Put what this browser keeps of an edit on the stage and into an empty form. Return the photo, or null. */
async function placeKept(kept) {
  const photo = kept.photo ? await read(kept.photo, kept.name) : null;
  if (photo) place(photo);
  if (kept.said && !$('words').value) form.fill({ words: plain(kept.said), source_prompt: kept.source });
  return photo;
}

/** Send an edit again, as this browser keeps it: one that has failed or was canceled. */
async function again(id) {
  if (page.job) return say('Wait for the edit that runs, or cancel it.', 'problem');
  try {
    const kept = await shelf.find(id);
    if (!kept) return say('This browser no longer has the photo of that edit: choose it again.', 'problem');
    const photo = await placeKept(kept);
    await run({ fields: kept.fields, said: kept.said, source: kept.source, before: toCompare(photo) });
  } catch (error) {
    say(wordsOf(error), 'problem');
  }
}

/** Return the prompt of an edit that another browser has sent: the report has it, with a placeholder before the subject. */
const promptOf = (edit) => edit.report && plain(edit.report.values.prompt || '');

/** This browser does not have the photo: its result takes the place of it. */
async function withoutPhoto(job, edit) {
  if (edit.state !== 'succeeded' || !edit.results.length) return;
  const blob = await fresh(edit.id, 0, edit.results[0].url);
  const photo = await read(blob, 'The result');
  place(photo);
  Object.assign(job, { photo });
}

async function ended(job, edit) {
  if (edit.state === 'failed') throw edit.error;
  if (edit.state === 'canceled') say('This edit was canceled.');
  else await done(job, edit);
}

function erased({ edit, identity, everything }) {
  if (everything) clear();
  if (edit) {
    shelf.drop(edit);
    result.forget(edit);
    if (studio.using.parent?.id === edit) studio.use({ parent: null });
  }
  if (identity && studio.using.identity?.id === identity) studio.use({ identity: null });
}

/** Show the page as on a first visit. */
function clear() {
  page.job?.controller.abort();
  result.forget();
  form.fill({ words: '' });
  takeAway();
}

export function mountFlow() {
  studio.show = show;
  studio.again = again;
  studio.mask = async () => (page.paint && studio.photo ? page.paint.file('mask') : null);
  result.mountResult({ show: showResult, paint: toPhoto });
  studio.on('using', draw);
  studio.on('using', drawRegion);
  studio.on('mask', drawRegion);
  studio.on('erased', erased);
  $('go').addEventListener('click', (event) => event.detail < 2 && start()); // nor does a double click on Cancel start an edit
  $('cancel').addEventListener('click', cancel);
  $('find').addEventListener('click', () => find());
  $('point').addEventListener('click', point);
  $('go-on').addEventListener('click', goOn);
  $('three-more').addEventListener('click', () => more(VARIANTS));
  $('try-again').addEventListener('click', () => more(1));
  $('back').addEventListener('click', back);
  draw();
  const id = location.hash.slice(1);
  if (/^e_\w+$/.test(id)) show(id);
}
