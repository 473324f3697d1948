// What a page in a browser has and Node has not: here a file input and an <img>, as the README says of the page.
import { readFileSync } from "node:fs";

const chosen = (name) => ({ files: [new File([readFileSync(`demo-out/${name}.png`)], `${name}.png`, { type: "image/png" })] });
const inputs = { image: chosen("source") };
const img = { src: "" };
globalThis.document = { getElementById: (id) => inputs[id] ?? null, querySelector: (what) => (what === "img" ? img : null) };
process.on("exit", () => console.log(img.src));
