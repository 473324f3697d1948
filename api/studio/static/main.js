/**
 * The studio: connects its parts. `studio.js` describes what they share.
 *
 * photo.js choosing · samples.js · stage.js view, zoom and pan · mask.js paint and undo · brush.js pointer and keyboard ·
 * words.js sentences · flow.js from click to result · follow.js · progress.js · result.js · service.js requests · tabs.js
 * people.js, history.js, code.js: each exports `mount(section)`, called once with its empty section of the panel.
 */

import { $, studio } from './studio.js';
import { ask } from './service.js';
import { mountTabs } from './tabs.js';
import { mount as mountPeople } from './people.js';
import { mount as mountHistory } from './history.js';
import { mount as mountCode } from './code.js';

mountTabs();
mountPeople($('people'));
mountHistory($('history'));
mountCode($('code'));

ask('model').then((answer) => studio.setModel(answer.body), () => {});
