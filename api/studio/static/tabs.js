/** The tabs of the panel, as the ARIA pattern has them: arrow keys move, one tab stop. */

import { $, studio } from './studio.js';

const tabs = () => [...document.querySelectorAll('[role=tab]')];

/** Show the section `name` of the panel: 'edit', 'people', 'history' or 'code'. Sections hear 'tab' with the name. */
export function openTab(name) {
  for (const tab of tabs()) {
    const open = tab.getAttribute('aria-controls') === name;
    tab.setAttribute('aria-selected', String(open));
    tab.tabIndex = open ? 0 : -1;
    $(tab.getAttribute('aria-controls')).hidden = !open;
  }
  document.body.dataset.tab = name;
  studio.tell('tab', name);
}

function move(event) {
  const all = tabs();
  const at = all.indexOf(document.activeElement);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  const next = all[(to + all.length) % all.length];
  openTab(next.getAttribute('aria-controls'));
  next.focus();
}

export function mountTabs() {
  for (const tab of tabs()) {
    tab.addEventListener('click', () => {
      openTab(tab.getAttribute('aria-controls'));
      if (matchMedia('(max-width: 899px)').matches) tab.scrollIntoView(); // the panel is below the picture
    });
  }
  document.querySelector('[role=tablist]').addEventListener('keydown', move);
}
