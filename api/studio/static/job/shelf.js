/** What this browser keeps of the last edits, so that a reload and the history can show their photo: the service keeps no link to it. */

const NAME = 's2edit-studio';
const KEPT = 16;
let opened = null;

function database() {
  opened ||= new Promise((resolve, reject) => {
    const opening = indexedDB.open(NAME, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore('edits', { keyPath: 'id' });
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
  });
  return opened;
}

async function within(mode, act) {
  const store = (await database()).transaction('edits', mode).objectStore('edits');
  return new Promise((resolve, reject) => {
    const request = act(store);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Keep {id, photo: Blob, name, fields, source, …}, and only the last few. A browser without a database keeps nothing. */
export async function keep(entry) {
  try {
    await within('readwrite', (store) => store.put({ ...entry, at: Date.now() }));
    const all = await within('readonly', (store) => store.getAll());
    for (const old of all.sort((a, b) => b.at - a.at).slice(KEPT)) await drop(old.id);
  } catch {
    // a private window: a reload then shows the result without its photo
  }
}

/** Return what was kept of the edit, or null. */
export const find = (id) => within('readonly', (store) => store.get(id)).catch(() => null);

export const clear = () => within('readwrite', (store) => store.clear()).catch(() => {});

export const drop = (id) => within('readwrite', (store) => store.delete(id)).catch(() => {});
