/** The stage: one view of photo, paint, preview and result, with zoom and pan. Redraws only what has changed. */

import { $ } from '../studio.js';
import { makeCanvas, union, within } from './mask.js';

const MAX_ZOOM = 16;
const SHARP_PIXELS = 2e6;

/** `scale`: CSS pixels per pixel of the photo. `x`, `y`: where the photo's corner is on the stage, in CSS pixels. */
const view = { scale: 1, x: 0, y: 0, fitted: true };
const shown = { photo: null, after: null, differences: null, mode: 'photo', split: 0.5, strength: 1, paint: null };
const box = { width: 0, height: 0, dpr: 1 };
let due = { photo: false, paint: null, frame: 0 };
const listeners = [];

export const current = () => ({ ...view, ...box, fit: fitScale() });

/** Call `act()` after every change of zoom, position or size. */
export const onView = (act) => listeners.push(act);

/** Return a picture for the stage: the whole one, and one of at most two megapixels that is drawn while it is not enlarged. */
export async function prepare(bitmap) {
  const small = within(bitmap.width, bitmap.height, SHARP_PIXELS);
  if (small.scale === 1) return { whole: bitmap, small: bitmap, width: bitmap.width, height: bitmap.height };
  const reduced = await createImageBitmap(bitmap, { resizeWidth: small.width, resizeHeight: small.height, resizeQuality: 'high' });
  return { whole: bitmap, small: reduced, width: bitmap.width, height: bitmap.height };
}

/** Show a prepared photo, fitted to the stage; null shows nothing. */
export function showPhoto(picture, paint) {
  Object.assign(shown, { photo: picture, after: null, differences: null, mode: 'photo', paint });
  view.fitted = true;
  layOut();
}

/** Exchange the photo's pixels for those of the same picture, or of a continued one, without moving the view. */
export function showAfter(picture, mode = 'compare') {
  Object.assign(shown, { after: picture, differences: null, mode: picture ? mode : 'photo' });
  changed({ photo: true, paint: everything() });
}

/** Show a preview over the photo. `strength`, 0 to 1: how far it is: at first it is mostly noise, and hardly seen. */
export function showPreview(picture, strength) {
  shown.strength = strength;
  showAfter(picture, 'preview');
}

/** `mode`: 'photo', 'preview', 'compare', 'original' or 'differences'. */
export function setMode(mode) {
  if (mode === 'differences' && !shown.differences) shown.differences = difference(shown.photo, shown.after);
  shown.mode = mode;
  changed({ photo: true, paint: everything() });
}

export const mode = () => shown.mode;

/** Divide the picture at `split`, 0 to 1: the original is left of it, the result right. */
export function setSplit(split) {
  shown.split = Math.min(1, Math.max(0, split));
  changed({ photo: true });
}

export const split = () => shown.split;

/** Draw the paint again in `area`, in pixels of the photo; everywhere without it. */
export function paintChanged(area) {
  changed({ paint: area || everything() });
}

const everything = () => ({ left: 0, top: 0, right: shown.photo?.width || 0, bottom: shown.photo?.height || 0 });

function fitScale() {
  const { photo } = shown;
  return photo ? Math.min(box.width / photo.width, box.height / photo.height) : 1;
}

function layOut() {
  if (view.fitted && shown.photo) view.scale = fitScale();
  hold();
  changed({ photo: true, paint: everything() });
}

/** Keep the photo on the stage: centred where it is smaller, else without a gap. */
function hold() {
  const { photo } = shown;
  if (!photo) return;
  for (const [axis, side] of [['x', 'width'], ['y', 'height']]) {
    const long = photo[side] * view.scale;
    if (long <= box[side]) view[axis] = (box[side] - long) / 2;
    else view[axis] = Math.min(0, Math.max(box[side] - long, view[axis]));
  }
}

export function fit() {
  view.fitted = true;
  layOut();
}

/** Zoom by `factor` around a point of the stage, in CSS pixels; around its middle without one. */
export function zoom(factor, at = { x: box.width / 2, y: box.height / 2 }) {
  const least = fitScale();
  const scale = Math.min(Math.max(least, 1) * MAX_ZOOM, Math.max(least, view.scale * factor));
  view.x = at.x - ((at.x - view.x) * scale) / view.scale;
  view.y = at.y - ((at.y - view.y) * scale) / view.scale;
  Object.assign(view, { scale, fitted: scale <= least * 1.001 });
  hold();
  changed({ photo: true, paint: everything() });
}

export function pan(x, y) {
  view.x += x;
  view.y += y;
  hold();
  changed({ photo: true, paint: everything() });
}

/** Return a point of the stage in pixels of the photo. */
export const toPhoto = ({ x, y }) => ({ x: (x - view.x) / view.scale, y: (y - view.y) / view.scale });

/** Return a pixel of the photo as a point of the stage. */
export const toStage = ({ x, y }) => ({ x: x * view.scale + view.x, y: y * view.scale + view.y });

function changed({ photo, paint }) {
  due.photo ||= !!photo;
  due.paint = union(due.paint, paint);
  due.frame ||= requestAnimationFrame(draw);
}

function draw() {
  const { photo, paint } = due;
  due = { photo: false, paint: null, frame: 0 };
  if (photo) {
    drawPhoto();
    for (const act of listeners) act();
  }
  if (paint) drawPaint(paint);
}

function drawPhoto() {
  const pen = $('view').getContext('2d');
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, pen.canvas.width, pen.canvas.height);
  if (!shown.photo) return;
  pen.setTransform(box.dpr, 0, 0, box.dpr, 0, 0);
  pen.imageSmoothingEnabled = view.scale < 4;
  pen.imageSmoothingQuality = 'high';
  const { mode: how, after } = shown;
  if (how === 'differences') return blit(pen, shown.differences);
  blit(pen, shown.photo);
  if (how === 'preview' && after) {
    pen.globalAlpha = shown.strength;
    blit(pen, after);
    pen.globalAlpha = 1;
  }
  if (how !== 'compare' || !after) return;
  const at = toStage({ x: shown.split * shown.photo.width, y: 0 }).x;
  pen.save();
  pen.beginPath();
  pen.rect(at, 0, box.width - at, box.height);
  pen.clip();
  blit(pen, after);
  pen.restore();
}

/** Draw what the stage shows of the picture, stretched over the photo's place. */
function blit(pen, picture) {
  const { photo } = shown;
  const [left, top] = [Math.max(0, view.x), Math.max(0, view.y)];
  const right = Math.min(box.width, view.x + photo.width * view.scale);
  const bottom = Math.min(box.height, view.y + photo.height * view.scale);
  if (right <= left || bottom <= top) return;
  const enlarged = view.scale * box.dpr * photo.width > picture.small.width * 1.1;
  const source = enlarged ? picture.whole : picture.small;
  const [kx, ky] = [source.width / (photo.width * view.scale), source.height / (photo.height * view.scale)];
  pen.drawImage(source, (left - view.x) * kx, (top - view.y) * ky, (right - left) * kx, (bottom - top) * ky, left, top, right - left, bottom - top);
}

function drawPaint(area) {
  const pen = $('paint').getContext('2d');
  pen.setTransform(box.dpr, 0, 0, box.dpr, 0, 0);
  const [from, to] = [toStage({ x: area.left, y: area.top }), toStage({ x: area.right, y: area.bottom })];
  const left = Math.max(0, Math.floor(from.x) - 1);
  const top = Math.max(0, Math.floor(from.y) - 1);
  const width = Math.min(box.width, Math.ceil(to.x) + 1) - left;
  const height = Math.min(box.height, Math.ceil(to.y) + 1) - top;
  const isWhole = area.left <= 0 && area.top <= 0 && area.right >= shown.photo?.width && area.bottom >= shown.photo?.height;
  if (isWhole || !shown.photo) pen.clearRect(0, 0, box.width, box.height);
  if (!shown.photo || !shown.paint || shown.mode !== 'photo' || width <= 0 || height <= 0) return;
  pen.save();
  pen.beginPath();
  pen.rect(left, top, width, height);
  pen.clip();
  pen.clearRect(left, top, width, height);
  pen.globalAlpha = 0.45;
  const k = shown.paint.scale / view.scale;
  for (const layer of Object.values(shown.paint.layers)) {
    pen.drawImage(layer.canvas, (left - view.x) * k, (top - view.y) * k, width * k, height * k, left, top, width, height);
  }
  pen.restore();
}

/** Return a picture of what differs, white on black; levels are four times as bright. */
function difference(before, after) {
  const { width, height } = before.small;
  const [a, b] = [before, after].map((picture) => {
    const pen = makeCanvas(width, height).getContext('2d', { willReadFrequently: true });
    pen.drawImage(picture.small, 0, 0, width, height);
    return pen.getImageData(0, 0, width, height);
  });
  for (let i = 0; i < a.data.length; i += 4) {
    const most = Math.max(Math.abs(a.data[i] - b.data[i]), Math.abs(a.data[i + 1] - b.data[i + 1]), Math.abs(a.data[i + 2] - b.data[i + 2]));
    a.data.set([4 * most, 4 * most, 4 * most, 255], i);
  }
  const out = makeCanvas(width, height);
  out.getContext('2d').putImageData(a, 0, 0);
  return { whole: out, small: out, width, height };
}

export function mountStage() {
  const stage = $('stage');
  new ResizeObserver(() => {
    const size = { width: stage.clientWidth, height: stage.clientHeight, dpr: Math.min(3, window.devicePixelRatio || 1) };
    Object.assign(box, size);
    for (const canvas of [$('view'), $('paint')]) {
      canvas.width = Math.round(size.width * size.dpr);
      canvas.height = Math.round(size.height * size.dpr);
    }
    layOut();
  }).observe(stage);
}
