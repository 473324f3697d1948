/** Photos from files, the clipboard, the camera and the samples: checked at once, scaled where they are too large. */

import { studio } from '../studio.js';
import { ask } from '../service.js';
import { megabytes, megapixels } from '../words.js';
import { makeCanvas, within } from './mask.js';
import { prepare } from './stage.js';

const SCALED_PIXELS = 12e6;
const SPARE_BYTES = 2e6; // of the request: the masks and the words
const NAMES = { 'image/heic': 'HEIC', 'image/avif': 'AVIF' }; // what some browsers can't show

/** Why a file can't become the photo, in words for the user. */
export class Unfit extends Error {}

const KINDS = [
  ['image/png', (bytes) => bytes[0] === 0x89 && bytes[1] === 0x50],
  ['image/jpeg', (bytes) => bytes[0] === 0xff && bytes[1] === 0xd8],
  ['image/webp', (bytes, text) => text.startsWith('RIFF') && text.slice(8, 12) === 'WEBP'],
  ['image/avif', (bytes, text) => text.slice(4, 8) === 'ftyp' && /avi[fs]/.test(text)],
  ['image/heic', (bytes, text) => text.slice(4, 8) === 'ftyp' && /hei[cfxms]|mif1/.test(text)],
];

async function kindOf(blob) {
  const bytes = new Uint8Array(await blob.slice(0, 32).arrayBuffer());
  const text = String.fromCharCode(...bytes);
  return KINDS.find(([, fits]) => fits(bytes, text))?.[0] || '';
}

async function limits() {
  await studio.settled;
  const { max_upload_bytes = Infinity, max_pixels = Infinity, min_side = 1, photo_types = [] } = studio.model || {};
  return { bytes: max_upload_bytes - SPARE_BYTES, pixels: max_pixels, side: min_side, kinds: photo_types };
}

/** Return the picture; null if this browser can't show it, but the service reads files of this kind. */
async function decode(blob, kind, name, most) {
  try {
    return await createImageBitmap(blob, { imageOrientation: 'from-image' });
  } catch {
    if (!NAMES[kind]) throw new Unfit(`${name} is not a picture that this browser can read. Choose a JPEG, PNG, WebP or AVIF.`);
    if (!most.kinds.includes(kind)) throw new Unfit(`Neither this browser nor the service can read ${NAMES[kind]} photos. Save ${name} as JPEG.`);
    if (blob.size <= most.bytes) return null;
    throw new Unfit(`The service takes files of up to ${megabytes(most.bytes)}, ${name} has ${megabytes(blob.size)}, and this browser can’t scale ${NAMES[kind]} photos. Save it as JPEG.`);
  }
}

/** Return a photo that only the service can read. What stands for it on the stage says so. */
async function unseen(blob, kind, name) {
  const canvas = makeCanvas(1200, 900);
  const pen = canvas.getContext('2d');
  pen.fillStyle = '#7d7a76';
  pen.fillRect(0, 0, canvas.width, canvas.height);
  Object.assign(pen, { fillStyle: '#fff', textAlign: 'center', font: '600 52px system-ui, sans-serif' });
  pen.fillText(name, 600, 430, 1100);
  pen.font = '40px system-ui, sans-serif';
  pen.fillText(`This browser can’t show ${NAMES[kind]} photos`, 600, 510, 1100);
  const note = `${name} is sent as it is: this browser can’t show ${NAMES[kind]} photos, but the service can read them.`;
  return { blob, name, width: canvas.width, height: canvas.height, picture: await prepare(await createImageBitmap(canvas)), note, unseen: true };
}

const encode = (bitmap, size, type) =>
  new Promise((resolve) => {
    const canvas = makeCanvas(size.width, size.height);
    const pen = canvas.getContext('2d');
    pen.imageSmoothingQuality = 'high';
    pen.drawImage(bitmap, 0, 0, size.width, size.height);
    canvas.toBlob(resolve, type, 0.95);
  });

/**
 * Read a file as the photo. Returns {blob, name, width, height, picture, note, unseen}; `picture` is for the stage, and `note` says
 * what was changed so that the service takes it. `unseen`: only the service can read it. Throws Unfit.
 */
export async function read(blob, name = 'The photo') {
  if (!blob.size) throw new Unfit(`${name} is empty. Choose another photo.`);
  const kind = await kindOf(blob);
  const most = await limits();
  let bitmap = await decode(blob, kind, name, most);
  if (!bitmap) return unseen(blob, kind, name);
  if (Math.min(bitmap.width, bitmap.height) < most.side) {
    throw new Unfit(`${name} has only ${bitmap.width} × ${bitmap.height} pixels. Choose a photo of at least ${most.side} on each side.`);
  }
  const pixels = bitmap.width * bitmap.height;
  let note = '';
  let sent = blob;
  if (pixels > most.pixels || blob.size > most.bytes) {
    const size = within(bitmap.width, bitmap.height, SCALED_PIXELS);
    const why = pixels > most.pixels ? `${megapixels(most.pixels)}, and this one has ${megapixels(pixels)}` : `${megabytes(most.bytes)}, and this one has ${megabytes(blob.size)}`;
    sent = await encode(bitmap, size, 'image/jpeg');
    bitmap = await decode(sent, 'image/jpeg', name, most);
    note = `The service takes photos of up to ${why}. It was scaled to ${bitmap.width} × ${bitmap.height} pixels.`;
  } else if (!kind) {
    sent = await encode(bitmap, bitmap, 'image/png');
    note = 'The service does not take this kind of file, so its picture was saved as PNG.';
  }
  return { blob: sent, name, width: bitmap.width, height: bitmap.height, picture: await prepare(bitmap), note };
}

const file = (name) => `studio/samples/${name}`;

/** Return the samples: {name, subject, source_prompt, words, prompt, url, small}. */
export async function samples() {
  const { body } = await ask(file('samples.json'));
  return body.map((sample) => ({ ...sample, url: file(`${sample.name}.webp`), small: file(`${sample.name}-small.webp`) }));
}

/** Return the sample's photo as `read` does, with the picture of its mask as `mask`. */
export async function readSample(sample) {
  const [photo, mask] = await Promise.all([sample.url, file(`${sample.name}-mask.png`)].map((url) => ask(url, { as: 'blob' })));
  return { ...(await read(photo.body, 'The sample')), sample, mask: await createImageBitmap(mask.body) };
}

/** Call `take(blob, name)` for a photo that is dropped on the page or pasted into it. */
export function mountSources(take) {
  const dropping = (on) => (document.body.dataset.dropping = String(on));
  document.addEventListener('dragover', (event) => {
    if (![...event.dataTransfer.types].includes('Files')) return;
    event.preventDefault();
    dropping(true);
  });
  document.addEventListener('dragleave', (event) => event.relatedTarget || dropping(false));
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    dropping(false);
    const dropped = event.dataTransfer.files[0];
    if (dropped) take(dropped, dropped.name);
  });
  document.addEventListener('paste', (event) => {
    const pasted = [...(event.clipboardData?.files || [])].find((each) => each.type.startsWith('image/'));
    if (!pasted) return;
    event.preventDefault();
    take(pasted, 'The pasted photo');
  });
}
