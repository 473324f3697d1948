/** S²Edit from TypeScript: `editAndWait` for what most apps do, `followEdit` to show how it goes, `createS2EditClient` for all else. */
export { createS2EditClient, EditFailed, type Caller, type Edit, type Problem, type S2EditClient } from "./client.ts";
export { followEdit, type Following } from "./events.ts";
export type { components, operations, paths } from "./schema.ts";
export { editAndWait, type Done, type EditParts, type Waiting } from "./waiting.ts";
