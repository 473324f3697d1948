/** People and things worn. `mount` gets its empty section of the panel, once. */

export function mount(section) {
  section.textContent = '';
}
