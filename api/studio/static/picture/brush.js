/** Painting and moving by mouse, pen, fingers and keyboard. Two fingers, the wheel and a held Space move the picture. */

import { $, studio } from '../studio.js';
import * as stage from './stage.js';

const SIZES = { min: 4, max: 160 };
/** `paint`: the Paint of the photo, or null. `at`: where the keyboard's brush is, in pixels of the photo. */
const state = { paint: null, tool: 'brush', layer: 'mask', at: null, keyboard: false, space: false, painting: false, dragged: false, pick: null };
const pointers = new Map();

export const layer = () => state.layer;
const size = () => Number($('brush-size').value);

/** Paint on `paint` from now on; null permits no painting, only zoom and pan. */
export function paintOn(paint) {
  Object.assign(state, { paint, at: null, painting: false });
  update();
}

/** Let the next click or tap choose a pixel of the photo instead of painting; null ends that. */
export function pickPoint(act) {
  state.pick = act;
  $('point').setAttribute('aria-pressed', String(!!act));
}

function choose(name, value, group) {
  state[name] = value;
  for (const button of document.querySelectorAll(`[data-${group}]`)) {
    const chosen = button.dataset[group] === value;
    button.setAttribute('aria-checked', String(chosen));
    button.tabIndex = chosen ? 0 : -1;
  }
  if (name === 'tool') pickPoint(null);
  ring();
}

/** Say that the paint has changed, and where: `area` in pixels of the photo, everywhere without it. */
export function painted(area) {
  stage.paintChanged(area);
  update();
  studio.tell('mask');
}

function update() {
  $('undo').disabled = !state.paint?.done.length;
  $('redo').disabled = !state.paint?.undone.length;
}

const here = (event) => {
  const frame = $('stage').getBoundingClientRect();
  return { x: event.clientX - frame.left, y: event.clientY - frame.top };
};

function begin(point) {
  state.paint.begin(state.layer, size() / stage.current().scale, state.tool === 'eraser');
  stage.paintChanged(state.paint.line(point, point));
  Object.assign(state, { painting: true, last: point });
}

function goOn(point) {
  stage.paintChanged(state.paint.line(state.last, point));
  state.last = point;
}

function end() {
  if (!state.painting) return;
  state.painting = false;
  state.paint.end();
  painted();
}

function cancel() {
  if (!state.painting) return;
  state.painting = false;
  state.paint.cancel();
  stage.paintChanged();
}

const moves = (event) => state.space || state.tool === 'hand' || event.button === 1 || !state.paint;

function down(event) {
  if (event.button === 2) return;
  const point = here(event);
  event.currentTarget.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, point);
  Object.assign(state, { keyboard: false });
  if (pointers.size > 1) {
    cancel();
    state.gesture = 'move';
  } else if (state.pick) {
    state.gesture = 'none';
    state.pick(stage.toPhoto(point));
  } else if (moves(event)) {
    Object.assign(state, { gesture: 'move', dragged: true });
  } else {
    state.gesture = 'paint';
    begin(stage.toPhoto(point));
  }
  ring(event);
}

function move(event) {
  ring(event);
  const before = pointers.get(event.pointerId);
  if (!before) return;
  if (state.gesture === 'paint' && state.painting) {
    const parts = event.getCoalescedEvents?.() || [];
    for (const part of parts.length ? parts : [event]) goOn(stage.toPhoto(here(part)));
    return;
  }
  const after = here(event);
  if (state.gesture === 'move') {
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    stage.pan(other ? (after.x - before.x) / 2 : after.x - before.x, other ? (after.y - before.y) / 2 : after.y - before.y);
    if (other) stage.zoom(distance(after, other) / Math.max(1, distance(before, other)), { x: (after.x + other.x) / 2, y: (after.y + other.y) / 2 });
  }
  pointers.set(event.pointerId, after);
}

const distance = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);

function up(event) {
  pointers.delete(event.pointerId);
  if (event.type === 'pointercancel') cancel();
  else if (!pointers.size) end();
  ring(event);
}

function wheel(event) {
  event.preventDefault();
  const step = event.deltaMode === 1 ? 16 : 1;
  if (event.ctrlKey || !event.shiftKey) stage.zoom(Math.exp((-event.deltaY * step) / (event.ctrlKey ? 100 : 400)), here(event));
  else stage.pan(-(event.deltaX || event.deltaY) * step, 0);
}

/** Show the brush where it would paint: at the pointer, or where the keyboard has moved it. */
function ring(event) {
  const circle = $('brush-ring');
  const paints = state.paint && !state.space && state.tool !== 'hand' && !state.pick;
  const point = state.keyboard && state.at ? stage.toStage(state.at) : event ? here(event) : state.seen;
  state.seen = point;
  const inside = state.keyboard ? document.activeElement === $('paint') : !event || (event.pointerType !== 'touch' && event.type !== 'pointerleave');
  circle.hidden = !(paints && point && inside);
  if (!circle.hidden) {
    circle.style.width = circle.style.height = `${size()}px`;
    circle.style.transform = `translate(${point.x - size() / 2}px, ${point.y - size() / 2}px)`;
    circle.dataset.erases = String(state.tool === 'eraser');
  }
  $('paint').dataset.moves = String(!paints);
}

function byKeyboard(event) {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!way || !state.paint) return false;
  const { scale, width, height } = stage.current();
  const { photo } = state.paint;
  state.keyboard = true;
  state.at ||= stage.toPhoto({ x: width / 2, y: height / 2 });
  const step = (Math.max(2, size() / 4) * (event.shiftKey ? 4 : 1)) / scale;
  state.at = { x: clamp(state.at.x + way[0] * step, photo.width), y: clamp(state.at.y + way[1] * step, photo.height) };
  const seen = stage.toStage(state.at);
  stage.pan(seen.x < 0 ? -seen.x : Math.min(0, width - seen.x), seen.y < 0 ? -seen.y : Math.min(0, height - seen.y));
  if (state.painting) goOn(state.at);
  ring();
  return true;
}

const clamp = (value, most) => Math.min(most, Math.max(0, value));

/** Space paints at the keyboard's brush; while a mouse is in use it moves the picture, and paints if nothing was moved. */
function spaceDown(event) {
  if (event.repeat || !state.paint) return;
  state.dragged = false;
  if (state.keyboard || !$('stage').matches(':hover')) {
    startAtKeyboard();
  } else {
    state.space = true;
    ring();
  }
}

function startAtKeyboard() {
  const { width, height } = stage.current();
  state.keyboard = true;
  state.at ||= stage.toPhoto({ x: width / 2, y: height / 2 });
  if (state.pick) return state.pick(state.at);
  begin(state.at);
  return ring();
}

function spaceUp() {
  const still = state.space && !state.dragged;
  state.space = false;
  if (still && state.paint && state.seen && !state.painting) {
    begin(stage.toPhoto(state.seen));
  }
  end();
  ring();
}

const types = (element) => element.matches?.('input:not([type=range]), textarea, select, dialog *');

function undo(redo) {
  const area = redo ? state.paint?.redo() : state.paint?.undo();
  if (area) painted();
}

function resize(by) {
  $('brush-size').value = Math.min(SIZES.max, Math.max(SIZES.min, size() * by));
  ring();
}

const KEYS = {
  b: () => choose('tool', 'brush', 'tool'),
  e: () => choose('tool', 'eraser', 'tool'),
  '[': () => resize(1 / 1.25),
  ']': () => resize(1.25),
  0: stage.fit,
  '+': () => stage.zoom(1.25),
  '=': () => stage.zoom(1.25),
  '-': () => stage.zoom(1 / 1.25),
};

/** The page's keys. Text fields keep theirs, so Ctrl+Z there undoes typing, and here a stroke. */
function keyDown(event) {
  if (types(event.target) || !studio.photo) return;
  const onStage = event.target === $('paint');
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'z') undo(event.shiftKey);
  else if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'y') undo(true);
  else if (event.ctrlKey || event.metaKey || event.altKey) return;
  else if (event.key === ' ' && (onStage || (event.target === document.body && $('stage').matches(':hover')))) spaceDown(event);
  else if (onStage && byKeyboard(event)) ring();
  else if (KEYS[event.key.toLowerCase()] && !event.target.matches('[role=slider], [role=radio], [type=range]')) KEYS[event.key.toLowerCase()]();
  else return;
  event.preventDefault();
}

/** Arrow keys move within a group of radio buttons, as the ARIA pattern has it. */
function radioKeys(event) {
  const radio = event.target.closest('[role=radio]');
  const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!radio || !way) return;
  const all = [...radio.closest('[role=radiogroup]').querySelectorAll('[role=radio]')];
  const next = all[(all.indexOf(radio) + way + all.length) % all.length];
  event.preventDefault();
  next.click();
  next.focus();
}

export function mountBrush() {
  const paint = $('paint');
  paint.addEventListener('pointerdown', down);
  paint.addEventListener('pointermove', move);
  for (const name of ['pointerup', 'pointercancel']) paint.addEventListener(name, up);
  paint.addEventListener('pointerleave', ring);
  paint.addEventListener('contextmenu', (event) => event.preventDefault());
  $('stage').addEventListener('wheel', (event) => studio.photo && wheel(event), { passive: false });
  paint.addEventListener('focus', () => (state.keyboard ||= paint.matches(':focus-visible')));
  for (const name of ['focus', 'blur']) paint.addEventListener(name, () => ring());
  document.addEventListener('keydown', keyDown);
  document.addEventListener('keydown', radioKeys);
  document.addEventListener('keyup', (event) => event.key === ' ' && (state.space || state.painting) && spaceUp());
  for (const button of document.querySelectorAll('[data-tool]')) button.addEventListener('click', () => choose('tool', button.dataset.tool, 'tool'));
  for (const button of document.querySelectorAll('[data-layer]')) button.addEventListener('click', () => choose('layer', button.dataset.layer, 'layer'));
  $('brush-size').addEventListener('input', () => ring());
  $('undo').addEventListener('click', () => undo(false));
  $('redo').addEventListener('click', () => undo(true));
  $('clear').addEventListener('click', () => (state.paint.clear(state.layer), painted()));
  $('invert').addEventListener('click', () => (state.paint.invert(state.layer), painted()));
  $('fit').addEventListener('click', stage.fit);
  $('zoom-in').addEventListener('click', () => stage.zoom(1.5));
  $('zoom-out').addEventListener('click', () => stage.zoom(1 / 1.5));
  stage.onView(() => state.keyboard && ring());
  choose('tool', 'brush', 'tool');
  choose('layer', 'mask', 'layer');
}
