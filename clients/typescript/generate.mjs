// Write src/schema.ts, the types of the OpenAPI description. `npm ci` and `npm install` run this by `prepare`.
import { readFile, writeFile } from "node:fs/promises";
import openapiTS, { astToString } from "openapi-typescript";
import ts from "typescript";

const description = await readFile(new URL("../openapi.json", import.meta.url), "utf8");
const blob = ts.factory.createTypeReferenceNode("Blob");
const nodes = await openapiTS(description, {
  defaultNonNullable: false, // parts with a default are optional
  // Files are sent as blobs, but openapi-typescript describes them as strings.
  transform: (part) => (part.format === "binary" ? blob : undefined),
});
await writeFile(new URL("src/schema.ts", import.meta.url), `// Generated from ../openapi.json by generate.mjs.\n${astToString(nodes)}`);
