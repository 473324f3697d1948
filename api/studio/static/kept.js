/** What this tab keeps over a reload, as JSON in the browser's storage for the tab. Without such storage, it keeps nothing. */

export function keep(name, value) {
  try {
    if (value === null) sessionStorage.removeItem(name);
    else sessionStorage.setItem(name, JSON.stringify(value));
  } catch {
    // a browser without storage, or a full one
  }
}

/** Return what was kept by this name, or `otherwise`. */
export function kept(name, otherwise = null) {
  try {
    return JSON.parse(sessionStorage.getItem(name)) ?? otherwise;
  } catch {
    return otherwise;
  }
}
