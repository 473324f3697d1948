/** Photos from files, the clipboard, the camera and the samples: checked at once, scaled where they are too large. */

import { studio } from '../studio.js';
import { ask } from '../service.js';
import { megabytes, megapixels } from '../words.js';
import { makeCanvas, within } from './mask.js';
import { prepare } from './stage.js';

const LIMITS = { bytes: 50e6, pixels: 50e6 };
const SCALED_PIXELS = 12e6;
const SPARE_BYTES = 2e6; // of the request: the masks and the words
const MIN_SIDE = 64;

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

async function decode(blob, kind, name) {
  try {
    return await createImageBitmap(blob, { imageOrientation: 'from-image' });
  } catch {
    if (kind === 'image/heic') throw new Unfit(`This browser can’t show HEIC photos. Save ${name} as JPEG, or use Safari.`);
    throw new Unfit(`${name} is not a picture that this browser can read. Choose a JPEG, PNG, WebP or AVIF.`);
  }
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
 * Read a file as the photo. Returns {blob, name, width, height, picture, note}; `picture` is for the stage, and `note` says what was
 * changed so that the service takes it. Throws Unfit.
 */
export async function read(blob, name = 'The photo') {
  if (!blob.size) throw new Unfit(`${name} is empty. Choose another photo.`);
  const kind = await kindOf(blob);
  let bitmap = await decode(blob, kind, name);
  if (Math.min(bitmap.width, bitmap.height) < MIN_SIDE) {
    throw new Unfit(`${name} has only ${bitmap.width} × ${bitmap.height} pixels. Choose a photo of at least ${MIN_SIDE} on each side.`);
  }
  const most = { bytes: (studio.model?.max_upload_bytes || LIMITS.bytes) - SPARE_BYTES, pixels: studio.model?.max_pixels || LIMITS.pixels };
  const pixels = bitmap.width * bitmap.height;
  let note = '';
  let sent = blob;
  if (pixels > most.pixels || blob.size > most.bytes) {
    const size = within(bitmap.width, bitmap.height, SCALED_PIXELS);
    const why = pixels > most.pixels ? `${megapixels(most.pixels)}, and this one has ${megapixels(pixels)}` : `${megabytes(most.bytes)}, and this one has ${megabytes(blob.size)}`;
    sent = await encode(bitmap, size, 'image/jpeg');
    bitmap = await decode(sent, 'image/jpeg', name);
    note = `The service takes photos of up to ${why}. It was scaled to ${bitmap.width} × ${bitmap.height} pixels.`;
  } else if (!kind) {
    sent = await encode(bitmap, bitmap, 'image/png');
    note = 'The service does not take this kind of file, so its picture was saved as PNG.';
  }
  return { blob: sent, name, width: bitmap.width, height: bitmap.height, picture: await prepare(bitmap), note };
}

const file = (name) => `studio/samples/${name}`;

/** Return the samples: {name, subject, source_prompt, words, prompt, url}. */
export async function samples() {
  const { body } = await ask(file('samples.json'));
  return body.map((sample) => ({ ...sample, url: file(`${sample.name}.webp`) }));
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
