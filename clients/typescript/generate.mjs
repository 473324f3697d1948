// Writes src/schema.ts, the types of the service's description. `npm ci` and `npm install` run it by `prepare`.
import { readFile, writeFile } from "node:fs/promises";
import openapiTS, { astToString } from "openapi-typescript";
import ts from "typescript";

const description = await readFile(new URL("../openapi.json", import.meta.url), "utf8");
const blob = ts.factory.createTypeReferenceNode("Blob");
const nodes = await openapiTS(description, {
  defaultNonNullable: false, // the service fills in a default for a part that is left out
  // Files are sent as blobs. openapi-typescript knows them only as strings.
  transform: (part) => (part.format === "binary" ? blob : undefined),
});
await writeFile(new URL("src/schema.ts", import.meta.url), `// Generated from ../openapi.json by generate.mjs.\n${astToString(nodes)}`);
