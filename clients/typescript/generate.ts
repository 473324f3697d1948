// Writes the types of the service's description: `node generate.ts [FILE]`; into src/schema.ts if no file is named.
import { readFile, writeFile } from "node:fs/promises";
import openapiTS, { astToString } from "openapi-typescript";
import ts from "typescript";

const [target = new URL("src/schema.ts", import.meta.url)] = process.argv.slice(2);
const schema = await readFile(new URL("../openapi.json", import.meta.url), "utf8");
const blob = ts.factory.createTypeReferenceNode("Blob");
const nodes = await openapiTS(schema, {
  defaultNonNullable: false, // a default is what the service takes for a part that is left out
  // Files are sent as blobs; openapi-typescript knows them as strings only.
  transform: (part) => (part.format === "binary" ? blob : undefined),
});
await writeFile(target, `// Written by generate.ts from ../openapi.json: run \`make clients\`.\n${astToString(nodes)}`);
