/** The last request as curl, Python and fetch. `mount` gets its empty section of the panel, once. */

export function mount(section) {
  section.textContent = '';
}
