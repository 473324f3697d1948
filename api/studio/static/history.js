/** Earlier edits and their tree. `mount` gets its empty section of the panel, once. */

export function mount(section) {
  section.textContent = '';
}
