/**
 * What the parts of the page share: the photo on the stage, the edit that is shown, and who or what the next edit uses.
 *
 * Every part imports `studio`, changes it through its methods only, and listens to its events:
 *
 *   'photo'  another photo is on the stage         studio.photo: {blob, name, width, height, unseen} or null
 *   'mask'   the painted regions have changed      await studio.mask(): PNG as large as the photo, or null if nothing is painted
 *   'edit'   the edit has changed                  studio.edit: its JSON as GET /edits/{id} answers, or null
 *   'done'   an edit has succeeded                 event.detail: its JSON
 *   'using'  what the next edit uses has changed   studio.using: {identity, attributes, parent}, JSON of the service or null
 *   'sent'   a request has been sent               event.detail: {method, path, fields: [[name, string or Blob], …]}
 *   'kept'   this browser keeps a new edit's files event.detail: its id
 *   'model'  what the model knows has arrived      studio.model: the answer of GET /model
 */

class Studio extends EventTarget {
  photo = null;
  edit = null;
  model = null;
  using = { identity: null, attributes: [], parent: null };

  /** Resolves once the service has said what its model knows, or has not answered. `main.js` calls `settle`. */
  settled = new Promise((resolve) => (this.settle = resolve));

  /** Return the painted person as a PNG, or null. `stage.js` replaces this. */
  mask = async () => null;

  /** Show an edit of the history: its photo if this browser still has it, its result and its report. `flow.js` replaces this. */
  show = async () => {};

  /** Send an edit of the history again, by its id. `flow.js` replaces this. */
  again = async () => {};

  /** Say what the next edit uses: `use({identity})`, `use({attributes: […]})`, `use({parent})`; null or [] to use it no longer. */
  use(what) {
    this.using = { ...this.using, ...what };
    this.tell('using');
  }

  setPhoto(photo) {
    this.photo = photo;
    this.tell('photo');
  }

  setEdit(edit) {
    this.edit = edit;
    this.tell('edit');
  }

  setModel(model) {
    this.model = model;
    this.tell('model');
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  on(name, act) {
    this.addEventListener(name, (event) => act(event.detail));
  }
}

export const studio = new Studio();

export const $ = (id) => document.getElementById(id);

/** Return a new element: `make('button', {className: 'chip', onclick: act}, 'words', child)`. */
export function make(name, properties = {}, ...children) {
  const { attributes = {}, ...rest } = properties;
  const element = Object.assign(document.createElement(name), rest);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Say `words` to everybody: below the stage and by screen readers. `kind`: 'note' or 'problem'. */
export function say(words, kind = 'note') {
  const place = $('message');
  place.textContent = words;
  place.dataset.kind = kind;
  place.hidden = !words;
}
