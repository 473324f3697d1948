/** The service as an openapi-fetch client, and what all that is written by hand needs. */
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.ts";

export type S2EditClient = Client<paths>;
export type Edit = components["schemas"]["Edit"];
export type Problem = components["schemas"]["Problem"];

export interface Caller {
  /** A device token; in a backend, an API key. A service on one's own machine may need neither. */
  token?: string;
  /** Whose edits these are, where `token` is an API key. */
  user?: string;
}

interface Reason {
  status?: number | undefined;
  retryable?: boolean | undefined;
  field?: string | null | undefined;
  editId?: string | undefined;
  cause?: unknown;
}

/** There is no picture. `code` is a problem's stable code, `canceled`, `timeout` or `unreachable`. */
export class EditFailed extends Error {
  override readonly name = "EditFailed";
  readonly code: string;
  readonly detail: string;
  /** The HTTP status of a refusal; undefined where the edit itself failed. */
  readonly status: number | undefined;
  /** Whether the same may succeed later. */
  readonly retryable: boolean;
  /** What to change. */
  readonly field: string | undefined;
  /** Once there is an edit. */
  readonly editId: string | undefined;

  constructor(code: string, detail: string, reason: Reason = {}) {
    super(`${detail} (${code})`, { cause: reason.cause });
    this.code = code;
    this.detail = detail;
    this.status = reason.status;
    this.retryable = reason.retryable ?? false;
    this.field = reason.field ?? undefined;
    this.editId = reason.editId;
  }
}

export const PATIENCE_MS = 20_000; // how long the service may be out of reach at a stretch
export const PAUSE_MS = 1000; // until the next try, where the service does not say
export const NOT_NOW = [429, 502, 503, 504];

/** Every operation of the service, with types: see openapi-fetch. */
export function createS2EditClient(baseUrl: string, { token, user }: Caller = {}): S2EditClient {
  return createClient<paths>({
    baseUrl,
    headers: { Authorization: token && `Bearer ${token}`, "S2Edit-User": user },
  });
}

export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
  signal?.throwIfAborted();
}

export function retryAfterMs(response: Response | undefined): number {
  const asked = Number(response?.headers.get("retry-after") ?? NaN);
  return Number.isFinite(asked) ? asked * 1000 : PAUSE_MS;
}

export function isEdit(data: unknown): data is Edit {
  return typeof data === "object" && data !== null && "state" in data && "sequence" in data;
}

export function isProblem(error: unknown): error is Problem {
  return typeof error === "object" && error !== null && "code" in error && "detail" in error;
}
