/** The TypeScript client of S²Edit: `editAndWait`, `followEdit`, and every operation of the API by `createS2EditClient`. */
export { createS2EditClient, EditFailed, type Caller, type Edit, type Problem, type S2EditClient } from "./client.ts";
export { followEdit, type Following } from "./events.ts";
export type { components, operations, paths } from "./schema.ts";
export { editAndWait, type Done, type EditParts, type Waiting } from "./waiting.ts";
