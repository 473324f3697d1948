/** Painted regions at a working resolution, with undo. `mask` is the person, `edit_mask` the only region that may change. */

export const COLOURS = { mask: '#e23a6e', edit_mask: '#2f7fe6' };
const WORKING_PIXELS = 2e6;
const KEPT_BYTES = 96e6;

export const makeCanvas = (width, height) => Object.assign(document.createElement('canvas'), { width, height });

/** Return the largest size of the same shape with at most `pixels` pixels. */
export function within(width, height, pixels) {
  const scale = Math.min(1, Math.sqrt(pixels / (width * height)));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)), scale };
}

export class Paint {
  /** Begin without paint on a photo of `width` × `height` pixels. */
  constructor(width, height) {
    this.photo = { width, height };
    const working = within(width, height, WORKING_PIXELS);
    Object.assign(this, { width: working.width, height: working.height, scale: working.scale });
    this.layers = {};
    for (const name of Object.keys(COLOURS)) this.layers[name] = makeCanvas(this.width, this.height).getContext('2d', { willReadFrequently: true });
    this.done = [];
    this.undone = [];
    this.stroke = null;
  }

  /** Begin a stroke; its parts follow with `line`. Points and widths are in pixels of the photo. */
  begin(layer, width, erases) {
    const { width: w, height: h } = this;
    const before = makeCanvas(w, h);
    before.getContext('2d').drawImage(this.layers[layer].canvas, 0, 0);
    this.stroke = { layer, before, width: Math.max(1, width * this.scale), erases, box: null };
  }

  /** Draw a line; from a point to itself it is a dot. Returns the box that has changed, in pixels of the photo. */
  line(from, to) {
    const { stroke, scale } = this;
    const pen = this.layers[stroke.layer];
    pen.globalCompositeOperation = stroke.erases ? 'destination-out' : 'source-over';
    pen.strokeStyle = pen.fillStyle = COLOURS[stroke.layer];
    pen.lineWidth = stroke.width;
    pen.lineCap = 'round';
    pen.beginPath();
    if (from.x === to.x && from.y === to.y) {
      pen.arc(to.x * scale, to.y * scale, stroke.width / 2, 0, 2 * Math.PI); // a line without length has no caps
      pen.fill();
    } else {
      pen.moveTo(from.x * scale, from.y * scale);
      pen.lineTo(to.x * scale, to.y * scale);
      pen.stroke();
    }
    const reach = stroke.width / 2 + 2;
    const box = this.clip({
      left: Math.min(from.x, to.x) * scale - reach,
      top: Math.min(from.y, to.y) * scale - reach,
      right: Math.max(from.x, to.x) * scale + reach,
      bottom: Math.max(from.y, to.y) * scale + reach,
    });
    stroke.box = union(stroke.box, box);
    return this.inPhoto(box);
  }

  /** End the stroke, so that it can be undone as a whole. */
  end() {
    const { stroke } = this;
    this.stroke = null;
    if (stroke?.box && !isEmpty(stroke.box)) this.remember(stroke.layer, stroke.box, stroke.before.getContext('2d'));
  }

  /** Take the stroke back as if it had never begun: a second finger has come, which zooms. */
  cancel() {
    const { stroke } = this;
    this.stroke = null;
    if (!stroke) return;
    const pen = this.layers[stroke.layer];
    pen.globalCompositeOperation = 'copy';
    pen.drawImage(stroke.before, 0, 0);
    pen.globalCompositeOperation = 'source-over';
  }

  /** Change a whole layer by `act(pen, before)`. */
  whole(layer, act) {
    const before = makeCanvas(this.width, this.height);
    before.getContext('2d').drawImage(this.layers[layer].canvas, 0, 0);
    act(this.layers[layer], before);
    this.layers[layer].globalCompositeOperation = 'source-over';
    this.remember(layer, { left: 0, top: 0, right: this.width, bottom: this.height }, before.getContext('2d'));
  }

  clear(layer) {
    this.whole(layer, (pen) => pen.clearRect(0, 0, this.width, this.height));
  }

  invert(layer) {
    this.whole(layer, (pen, before) => {
      pen.globalCompositeOperation = 'copy';
      pen.fillStyle = COLOURS[layer];
      pen.fillRect(0, 0, this.width, this.height);
      pen.globalCompositeOperation = 'destination-out';
      pen.drawImage(before, 0, 0);
    });
  }

  /** Take a picture, white on black, as the layer's paint. */
  fromPicture(layer, picture) {
    this.whole(layer, (pen) => {
      pen.globalCompositeOperation = 'copy';
      pen.drawImage(picture, 0, 0, this.width, this.height);
      const image = pen.getImageData(0, 0, this.width, this.height);
      const colour = [1, 3, 5].map((at) => parseInt(COLOURS[layer].slice(at, at + 2), 16));
      for (let i = 0; i < image.data.length; i += 4) image.data.set([...colour, image.data[i] < 128 ? 0 : 255], i);
      pen.putImageData(image, 0, 0);
    });
  }

  remember(layer, box, before) {
    this.done.push({ layer, box, pixels: pixelsOf(before, box) });
    this.undone = [];
    let bytes = 0;
    const newest = [...this.done].reverse();
    const kept = newest.findIndex((step) => (bytes += step.pixels.data.length) > KEPT_BYTES);
    if (kept > 0) this.done = this.done.slice(-kept);
  }

  undo() {
    return this.swap(this.done, this.undone);
  }

  redo() {
    return this.swap(this.undone, this.done);
  }

  swap(from, to) {
    const step = from.pop();
    if (!step) return null;
    const pen = this.layers[step.layer];
    to.push({ ...step, pixels: pixelsOf(pen, step.box) });
    pen.putImageData(step.pixels, step.box.left, step.box.top);
    return this.inPhoto(step.box);
  }

  /** Return the share of the layer that is painted, 0 to 1, and the box of the paint in pixels of the photo. */
  measure(layer) {
    const data = new Uint32Array(this.layers[layer].getImageData(0, 0, this.width, this.height).data.buffer);
    let [count, left, right, top, bottom] = [0, this.width, -1, -1, -1];
    for (let y = 0, i = 0; y < this.height; y++) {
      for (let x = 0; x < this.width; x++, i++) {
        if (data[i] >>> 24 < 128) continue;
        count += 1;
        if (x < left) left = x;
        if (x > right) right = x;
        if (top < 0) top = y;
        bottom = y;
      }
    }
    const side = count ? Math.min(right - left + 1, bottom - top + 1) / this.scale : 0;
    return { share: count / data.length, side };
  }

  /** Return the layer as a PNG as large as the photo, white on black; null without paint. */
  async file(layer) {
    if (!this.measure(layer).share) return null;
    const out = makeCanvas(this.photo.width, this.photo.height);
    const pen = out.getContext('2d');
    pen.drawImage(this.layers[layer].canvas, 0, 0, out.width, out.height);
    pen.globalCompositeOperation = 'source-in';
    pen.fillStyle = '#fff';
    pen.fillRect(0, 0, out.width, out.height);
    pen.globalCompositeOperation = 'destination-over';
    pen.fillStyle = '#000';
    pen.fillRect(0, 0, out.width, out.height);
    return new Promise((resolve) => out.toBlob(resolve, 'image/png'));
  }

  clip(box) {
    return {
      left: Math.max(0, Math.floor(box.left)),
      top: Math.max(0, Math.floor(box.top)),
      right: Math.min(this.width, Math.ceil(box.right)),
      bottom: Math.min(this.height, Math.ceil(box.bottom)),
    };
  }

  inPhoto({ left, top, right, bottom }) {
    return { left: left / this.scale, top: top / this.scale, right: right / this.scale, bottom: bottom / this.scale };
  }
}

const isEmpty = (box) => box.right <= box.left || box.bottom <= box.top;
const pixelsOf = (pen, box) => pen.getImageData(box.left, box.top, box.right - box.left, box.bottom - box.top);

export function union(a, b) {
  if (!a) return b;
  if (!b) return a;
  return { left: Math.min(a.left, b.left), top: Math.min(a.top, b.top), right: Math.max(a.right, b.right), bottom: Math.max(a.bottom, b.bottom) };
}
