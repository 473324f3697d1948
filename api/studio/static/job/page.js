/**
 * The page around the stage: which photo is on it, the job that runs, and which parts of the page are of use now.
 *
 * The states are 'empty', 'ready', 'running' and 'result'.
 */

import { $, say, studio } from '../studio.js';
import { wordsOf } from '../words.js';
import * as form from '../form.js';
import { paintOn, painted } from '../picture/brush.js';
import { Paint } from '../picture/mask.js';
import { read, readSample, Unfit } from '../picture/photo.js';
import * as stage from '../picture/stage.js';
import * as result from './result.js';

/** `paint`: of the photo on the stage. `job`: {id, photo, fields, wants, said, controller} while one runs. */
export const page = { paint: null, job: null };

const setState = (state) => (document.body.dataset.state = state);

/** Draw which parts of the page are of use now. */
export function draw() {
  const [photo, running, shown] = [studio.photo, !!page.job, result.current()];
  setState(running ? 'running' : shown ? 'result' : photo ? 'ready' : 'empty');
  const paints = !!photo && !photo.unseen && !shown && !running;
  $('welcome').hidden = !!photo || running;
  $('paint').hidden = !photo;
  $('paint-tools').hidden = !paints;
  $('result-tools').hidden = !shown;
  $('region').hidden = !paints;
  $('again').hidden = !shown || running;
  $('go').hidden = running;
  $('go').disabled = !(photo || studio.using.identity || studio.using.parent);
  $('new-photo').hidden = !photo;
  $('starting-from').hidden = !studio.using.parent;
  paintOn(paints ? page.paint : null);
}

/** Put a photo on the stage, as `photo.read` returns it. It starts a new chain of edits. */
export function place(photo, using = { parent: null, identity: null }) {
  page.paint = new Paint(photo.width, photo.height);
  result.hide();
  studio.use(using);
  studio.setPhoto(photo);
  stage.showPhoto(photo.picture, page.paint);
  if (photo.mask) {
    page.paint.fromPicture('mask', photo.mask);
    page.paint.done = [];
  }
  $('paint').setAttribute('aria-label', 'Photo to paint on');
  $('view').setAttribute('aria-label', photo.unseen ? photo.note : `The photo, ${photo.width} by ${photo.height} pixels`);
  forgetAddress();
  draw();
  painted();
}

/** Take a file as the photo. An unusable one leaves everything as it is. */
export async function take(blob, name) {
  say('');
  try {
    const photo = await read(blob, name);
    const wasSample = studio.photo?.sample;
    place(photo);
    if (wasSample) form.fill({ words: '', source_prompt: '' });
    say(page.job ? 'The edit of the other photo goes on. Its result will be below the picture.' : [photo.note, drawnOnly()].filter(Boolean).join(' '));
  } catch (error) {
    say(error instanceof Unfit ? `${error.message}${studio.photo ? ' The photo on the stage is still the one from before.' : ''}` : wordsOf(error), 'problem');
  }
}

/** The shipped model spoils real photos, which a newcomer must know before the first one. */
const drawnOnly = () => (studio.model?.shipped && !studio.model.test ? 'This service has the small model for drawings: it can’t edit real photos well.' : '');

export async function takeSample(sample) {
  say('');
  try {
    const photo = await readSample(sample);
    place(photo);
    form.fill(sample);
    if (matchMedia('(min-width: 900px)').matches) $('go').focus({ preventScroll: true });
  } catch (error) {
    say(wordsOf(error), 'problem');
  }
}

/** Show the photo on the stage, or what stands for it. */
export function showStage() {
  if (studio.photo?.unseen) stage.showPhoto(studio.photo.picture, page.paint);
  else stage.showAfter(null);
}

/** Leave the stage empty. */
export function takeAway() {
  page.paint = null;
  result.hide();
  studio.use({ parent: null, identity: null, attributes: [] });
  studio.setPhoto(null);
  stage.showPhoto(null, null);
  forgetAddress();
  draw();
}

/** Show the photo to paint on, instead of a result. */
export function toPhoto() {
  result.hide();
  showStage();
  $('paint').setAttribute('aria-label', 'Photo to paint on');
  forgetAddress();
  draw();
}

/** Put the photo of an earlier result back on the stage, without starting a new chain. */
export function placeAgain({ photo, before, paint, using }) {
  page.paint = paint || new Paint(before.width, before.height);
  studio.use({ parent: using?.parent || null, identity: using?.identity || null, attributes: using?.attributes || [] });
  studio.setPhoto(photo);
  stage.showPhoto(before, page.paint);
}

/** Forget which edit a reload would show. */
export const forgetAddress = () => location.hash && history.replaceState(null, '', location.pathname + location.search);

/** Say below the choice of layers what the paint means. */
export function drawRegion() {
  const [person, region] = ['mask', 'edit_mask'].map((layer) => page.paint?.measure(layer).share);
  const { parent, identity } = studio.using;
  const known = parent || (identity && studio.photo?.identity === identity.id); // then the service has a mask
  const unpainted = known ? 'Without paint, the service takes the same person as before.' : 'Without paint, the service finds the person by itself.';
  const words = person ? 'The person is painted red.' : unpainted;
  $('region-words').textContent = `${words}${region ? ' Only what is blue may change.' : ''}`;
}
