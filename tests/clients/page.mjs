// A minimal DOM for Node, with the file input and the <img> that the example in the documentation needs.
import { readFileSync } from "node:fs";

const chosen = (name) => ({ files: [new File([readFileSync(`demo-out/${name}.png`)], `${name}.png`, { type: "image/png" })] });
const inputs = { image: chosen("source") };
const img = { src: "" };
globalThis.document = { getElementById: (id) => inputs[id] ?? null, querySelector: (what) => (what === "img" ? img : null) };
process.on("exit", () => console.log(img.src));
