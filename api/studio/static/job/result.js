/** Results: before and after with a handle on the picture, differences, the report, saving, and the strip of all of them. */

import { $, make, say, studio } from '../studio.js';
import * as stage from '../picture/stage.js';
import { makeCanvas, within } from '../picture/mask.js';
import { warned } from '../words.js';

const SUFFIXES = { 'image/png': 'png', 'image/jpeg': 'jpg', 'image/webp': 'webp' };

/** The results of this page, oldest first: {id, number, edit, blob, before, after, photo, thumb, words}. */
const entries = [];
let shown = null;
let hooks = { show: () => {}, paint: () => {} };

export const current = () => shown;

/** Add a result to the strip and return its entry. `before` and `after` are prepared pictures. */
export function add(entry) {
  const thumb = URL.createObjectURL(entry.blob);
  const found = entries.findIndex((each) => each.id === entry.id && each.number === entry.number);
  const whole = { ...entry, thumb };
  if (found < 0) entries.push(whole);
  else entries[found] = whole;
  drawStrip();
  return whole;
}

/** Forget the results of an erased edit, or all without an id. */
export function forget(id = null) {
  for (const entry of entries.filter((each) => !id || each.id === id)) {
    URL.revokeObjectURL(entry.thumb);
    entries.splice(entries.indexOf(entry), 1);
  }
  if (shown && !entries.includes(shown)) hooks.paint();
  drawStrip();
}

/** Show a result on the stage: the handle in the middle, or at the left edge if this browser has no photo to compare. */
export function show(entry) {
  shown = entry;
  stage.showAfter(entry.after, 'compare');
  for (const id of ['hold', 'differences']) {
    $(id).setAttribute('aria-pressed', 'false');
    $(id).hidden = !entry.compares;
  }
  slide(entry.compares ? 0.5 : 0);
  $('handle').hidden = !entry.compares;
  $('paint').setAttribute('aria-label', 'Result: zoom and move');
  $('view').setAttribute('aria-label', `The edited picture: ${entry.words}`);
  $('format').value = SUFFIXES[entry.blob.type] ? entry.blob.type : 'image/png';
  drawReport(entry.edit);
  drawStrip();
  place();
}

/** Show no result any more, for example because the photo is painted again. */
export function hide() {
  shown = null;
  for (const id of ['handle', 'tag-before', 'tag-after', 'report']) $(id).hidden = true;
  drawStrip();
}

function drawStrip() {
  const strip = $('strip');
  strip.hidden = !entries.length;
  const photo = make('button', { type: 'button', className: 'thumb', title: 'The photo', onclick: () => hooks.paint(), attributes: { 'aria-label': 'Photo' } });
  photo.setAttribute('aria-pressed', String(!shown));
  if (studio.photo) photo.append(thumbOf(studio.photo.picture));
  const thumbs = entries.map((entry) => {
    const image = make('img', { src: entry.thumb, alt: entry.words, title: entry.words });
    const button = make('button', { type: 'button', className: 'thumb', onclick: () => hooks.show(entry) }, image);
    button.setAttribute('aria-pressed', String(entry === shown));
    return button;
  });
  strip.replaceChildren(...(studio.photo ? [photo] : []), ...thumbs);
  strip.querySelector('[aria-pressed=true]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
}

function thumbOf(picture) {
  const size = within(picture.width, picture.height, 40000);
  const canvas = makeCanvas(size.width, size.height);
  canvas.getContext('2d').drawImage(picture.small, 0, 0, size.width, size.height);
  return canvas;
}

function slide(share) {
  stage.setSplit(share);
  place();
}

/** Put the handle where the pictures meet. */
function place() {
  if (!shown) return;
  const view = stage.current();
  const { width, height } = shown.before;
  const from = stage.toStage({ x: 0, y: 0 });
  const to = stage.toStage({ x: width, y: height });
  const at = Math.min(view.width, Math.max(0, stage.toStage({ x: stage.split() * width, y: 0 }).x));
  const handle = $('handle');
  const top = Math.max(0, from.y);
  handle.style.height = `${Math.min(view.height, to.y) - top}px`;
  handle.style.transform = `translate(${at}px, ${top}px)`;
  handle.setAttribute('aria-valuenow', String(Math.round(100 * stage.split())));
  handle.setAttribute('aria-valuetext', `${Math.round(100 * stage.split())} % of the picture show the original`);
  const compares = stage.mode() === 'compare' && shown.compares;
  handle.hidden = !compares;
  for (const [id, x, shows] of [['tag-before', Math.max(0, from.x), stage.split() > 0.2], ['tag-after', Math.min(view.width, to.x), stage.split() < 0.8]]) {
    $(id).hidden = !(compares && shows);
    $(id).style.transform = `translate(${x}px, ${top}px)`;
  }
}

function drag(event) {
  if (!(event.buttons & 1)) return;
  const frame = $('stage').getBoundingClientRect();
  slide(stage.toPhoto({ x: event.clientX - frame.left, y: 0 }).x / shown.before.width);
}

function slideByKey(event) {
  const step = event.shiftKey ? 0.1 : 0.02;
  const to = { ArrowLeft: stage.split() - step, ArrowRight: stage.split() + step, ArrowDown: stage.split() - step, ArrowUp: stage.split() + step, Home: 0, End: 1, PageUp: stage.split() + 0.1, PageDown: stage.split() - 0.1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  event.stopPropagation();
  slide(to);
}

function switchTo(id, mode, on) {
  for (const each of ['hold', 'differences']) $(each).setAttribute('aria-pressed', String(on && each === id));
  stage.setMode(on ? mode : 'compare');
  place();
}

const seconds = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} s`;

/** The report in a few lines: its warnings, what changed, what did not, and what it took. */
function drawReport(edit) {
  const values = edit.report?.values;
  const lines = (values?.warnings || []).map(warned);
  if (values?.changed_share_inside !== undefined) lines.push(`${Math.round(100 * values.changed_share_inside)} % of the region has changed.`);
  const outside = values?.outside_edit_mask?.max_level_difference;
  if (outside !== undefined) {
    lines.push(outside === 0 ? 'Outside, not one pixel has changed.' : `Outside, colours differ by at most ${outside} of 255 levels, because of the file’s format.`);
  }
  const took = values?.seconds?.total ?? Object.values(values?.seconds || {}).reduce((sum, each) => sum + each, 0);
  if (edit.test) lines.push('This is test mode: no model has drawn this picture.');
  else if (values) lines.push(`It took ${seconds(took)}. ${values.learning_steps ? 'The next edit of this person is quicker.' : 'The person was known already.'}`);
  $('report').hidden = !lines.length;
  $('report').replaceChildren(make('h2', {}, 'What was done'), ...lines.map((line) => make('p', {}, line)));
}

/** Return the result as a file of the chosen format. The service's own file is kept as it is. */
async function asFile() {
  const type = $('format').value;
  const { blob, after, edit, number } = shown;
  let saved = blob;
  if (blob.type !== type) {
    const canvas = makeCanvas(after.width, after.height);
    canvas.getContext('2d').drawImage(after.whole, 0, 0);
    saved = await new Promise((resolve) => canvas.toBlob(resolve, type, 0.95));
  }
  if (saved.type !== type) say(`This browser can’t write ${SUFFIXES[type].toUpperCase()}, so the picture is saved as PNG.`);
  return new File([saved], `${edit.id}${number ? `-${number + 1}` : ''}.${SUFFIXES[saved.type]}`, { type: saved.type });
}

async function save() {
  const file = await asFile();
  const link = make('a', { href: URL.createObjectURL(file), download: file.name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

async function copy() {
  try {
    $('format').value = 'image/png'; // the only one that clipboards take
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': await asFile() })]);
    say('The picture is in the clipboard.');
  } catch {
    say('The browser did not permit copying: save the picture instead.', 'problem');
  }
}

async function share() {
  try {
    await navigator.share({ files: [await asFile()] });
  } catch (error) {
    if (error.name !== 'AbortError') say('The browser can’t share this picture: save it instead.', 'problem');
  }
}

/** `show(entry)`: a thumbnail was chosen; `paint()`: the photo was. */
export function mountResult(given) {
  hooks = given;
  stage.onView(place);
  studio.on('photo', drawStrip);
  const handle = $('handle');
  handle.addEventListener('pointerdown', (event) => handle.setPointerCapture(event.pointerId));
  handle.addEventListener('pointermove', drag);
  handle.addEventListener('keydown', slideByKey);
  const hold = $('hold');
  const original = (on) => switchTo('hold', 'original', on);
  hold.addEventListener('pointerdown', () => original(true));
  for (const name of ['pointerup', 'pointercancel', 'pointerleave', 'blur']) hold.addEventListener(name, () => hold.getAttribute('aria-pressed') === 'true' && original(false));
  hold.addEventListener('keydown', (event) => [' ', 'Enter'].includes(event.key) && (event.preventDefault(), original(true)));
  hold.addEventListener('keyup', (event) => [' ', 'Enter'].includes(event.key) && original(false));
  $('differences').addEventListener('click', () => switchTo('differences', 'differences', $('differences').getAttribute('aria-pressed') !== 'true'));
  $('save').addEventListener('click', save);
  $('copy').hidden = !(navigator.clipboard?.write && window.ClipboardItem);
  $('copy').addEventListener('click', copy);
  $('share').hidden = !navigator.canShare?.({ files: [new File(['x'], 'x.png', { type: 'image/png' })] });
  $('share').addEventListener('click', share);
}
