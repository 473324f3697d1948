// Runs the studio's script in Node, with a minimal DOM and the page on standard input. Prints the requests that the page sends if
// nothing is painted, if the user clicks on a person, if the user asks for the found mask, and if the user paints the person.
import { readFileSync } from "node:fs";

const script = /<script>(.*)<\/script>/s.exec(readFileSync(0, "utf8"))[1].replace("'use strict';", "");
const sent = {};
let step = "", layer = "mask";

function canvas() {
  const itself = { width: 0, height: 0, paint: null, pixels: () => (itself.paint ??= new Uint8ClampedArray(4 * itself.width * itself.height)) };
  const nothing = () => {};
  const pen = {
    ...Object.fromEntries(["beginPath", "arc", "moveTo", "lineTo", "fillRect", "drawImage"].map((name) => [name, nothing])),
    stroke: () => itself.pixels().fill(255, 0, 4),
    getImageData: () => ({ data: itself.pixels() }),
    putImageData: (image) => (itself.paint = image.data),
  };
  const box = () => ({ left: 0, top: 0, width: itself.width, height: itself.height });
  return Object.assign(itself, { getContext: () => pen, toBlob: (done) => done(new Blob(["png"])), setPointerCapture: nothing, getBoundingClientRect: box });
}

function element(name) {
  const heard = {};
  const itself = name === "mask" ? canvas() : { value: "", files: [], style: {}, focus: () => {} };
  return Object.assign(itself, { heard, addEventListener: (event, act) => (heard[event] = act) });
}

const elements = new Proxy({}, { get: (known, name) => (known[name] ??= element(name)) });
globalThis.document = { getElementById: (name) => elements[name], querySelector: () => ({ value: layer }), createElement: canvas, activeElement: null };
globalThis.createImageBitmap = async () => ({ width: 2048, height: 1536 });
URL.createObjectURL = () => "blob:photo";
globalThis.fetch = async (url, { method, body } = {}) => {
  if (method === "POST") sent[step] = { url, parts: Object.fromEntries([...body].map(([name, value]) => [name, typeof value === "string" ? value : "a file"])) };
  if (url === "store/mask.png") return { ok: true, blob: async () => new Blob(["png"]) };
  const edit = { id: "e_1", state: "succeeded", progress: null, mask: { url: "store/mask.png" }, result: { url: "store/result.png" } };
  const answer = { ...edit, report: { values: { mask: { people: 2 } } } };
  return { status: 200, headers: new Headers({ ETag: '"1"' }), json: async () => answer };
};

async function click(name, on) {
  step = name;
  await elements[on].heard.click();
  sent[name].problem = elements.problem.textContent;
}

function draw(what, x, y) {
  layer = what;
  elements.mask.heard.pointerdown({ pointerId: 1, clientX: x, clientY: y });
  elements.mask.heard.pointerup();
}

(0, eval)(`${script}; globalThis.choosePhoto = choosePhoto;`);
elements.image.files = [new Blob(["photo"])];
elements.prompt.value = "a woman with red hair";
elements.brush.value = "48";
await choosePhoto();
await click("nothing painted", "go");
draw("at", 1023.9, 10);
await click("somebody pointed at", "go");
await click("who is found", "find");
sent["who is found"].status = elements.status.textContent;
elements.clear.heard.click();
draw("mask", 5, 10);
await click("painted", "go");
console.log(JSON.stringify(sent));
