/**
 * The studio: connects its parts. `studio.js` describes what they share.
 *
 * picture/: photo.js choosing · stage.js view, zoom and pan · mask.js paint and undo · brush.js pointer and keyboard.
 * job/: flow.js from a click to a result · progress.js · result.js · shelf.js what this browser keeps.
 * form.js, sentences.js, instead.js: from words to a prompt · words.js problems in words · service.js requests · follow.js jobs · tabs.js.
 * kept.js, recent.js: what the tab keeps.
 * panel/: people.js, history.js and code.js are loaded when their tab is opened first. Each exports `mount(section)`, which is called
 * once with its empty section of the panel and returns what to call whenever the tab is opened. cards.js, erasing.js: what they share.
 */

import { $, make, say, studio } from './studio.js';
import { ask, consent, credentials, hasKey, keepKey } from './service.js';
import { mountTabs } from './tabs.js';
import { mountForm } from './form.js';
import { mountBrush } from './picture/brush.js';
import { mountSources, samples } from './picture/photo.js';
import { mountStage } from './picture/stage.js';
import { mountFlow, start, take, takeSample } from './job/flow.js';
import { mountRecent } from './recent.js';
import { wordsOf } from './words.js';

const SECTIONS = { people: () => import('./panel/people.js'), history: () => import('./panel/history.js'), code: () => import('./panel/code.js') };
const loaded = {};

/** Ask for a key in a dialog. Several requests that need one wait for the same answer. */
let asking = null;
function askForKey(wasWrong) {
  if (!asking) {
    $('key-words').textContent = wasWrong ? 'The service does not know the key, or it has expired. Enter another one.' : 'The operator of the service gives you one. It is kept for this tab only.';
    asking = entered($('key-dialog'), $('key')).then(answered);
  }
  return asking;
}

/** Open a dialog with one field. Return what was entered, or '' if the dialog was declined. */
function entered(dialog, field) {
  field.value = '';
  dialog.returnValue = '';
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes' ? field.value.trim() : ''), { once: true });
    dialog.showModal();
  });
}

function answered(key) {
  asking = null;
  if (key) keepKey(key);
  $('key-change').hidden = false;
  $('key-change').textContent = hasKey() ? 'Change the key' : 'Enter a key';
  return !!key;
}

async function loadModel() {
  try {
    studio.setModel((await ask('model')).body);
    $('key-change').hidden = !hasKey();
  } catch (error) {
    $('model-line').textContent = wordsOf(error);
  }
}

/** Load a tab's module when it is opened first, and have it show what is new each time. */
async function open(name) {
  if (!SECTIONS[name]) return;
  if (!loaded[name]) {
    $(name).ariaBusy = 'true'; // until its lists are there, which would move a button between press and release
    loaded[name] = SECTIONS[name]().then(({ mount }) => mount($(name)));
  }
  try {
    await (await loaded[name])();
  } catch (error) {
    say(wordsOf(error), 'problem');
  }
  $(name).ariaBusy = 'false';
}

function describeModel() {
  const { name, shipped, domains, test } = studio.model;
  const kinds = (domains || []).map((domain) => domain.subjects.slice(0, 3).join(', ')).join('; ');
  const knows = shipped ? 'small, for drawn people, cats and churches. Real photos need another S2EDIT_MODEL.' : kinds && `It knows: ${kinds}.`;
  $('model-line').textContent = test ? `Test mode: pictures without the model ${name}.` : `Model ${name}${shipped ? ': ' : '. '}${knows || ''}`;
  $('model-line').title = $('model-line').textContent; // a narrow window shows only its beginning
}

async function showSamples() {
  const found = await samples().catch(() => []);
  const cards = found.map((sample) =>
    make('button', { type: 'button', className: 'sample', onclick: () => takeSample(sample) }, make('img', { src: sample.small, alt: '', width: 128, height: 128 }), make('span', {}, sample.words)),
  );
  $('samples').replaceChildren(...cards);
}

function mountFiles() {
  for (const [button, input] of [['choose', 'file'], ['new-photo', 'file'], ['camera', 'file-camera']]) $(button).addEventListener('click', () => $(input).click());
  for (const input of [$('file'), $('file-camera')]) {
    input.addEventListener('change', () => {
      const [file] = input.files;
      input.value = ''; // so that the same file can be chosen again
      if (file) take(file, file.name);
    });
  }
  $('camera').hidden = !matchMedia('(pointer: coarse)').matches;
  mountSources(take);
}

credentials.ask = askForKey;
consent.ask = () => entered($('consent-dialog'), $('consent'));
mountTabs();
mountStage();
mountBrush();
mountForm(start);
mountFiles();
mountFlow();
mountRecent();
studio.on('tab', open);
studio.on('model', describeModel);
$('key-change').addEventListener('click', async () => (await askForKey(false)) && loadModel());
addEventListener('unhandledrejection', (event) => say(wordsOf(event.reason || {}), 'problem'));
showSamples();
loadModel().finally(studio.settle);
