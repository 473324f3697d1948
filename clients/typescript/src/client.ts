/** The openapi-fetch client of the service, and helpers that the other modules share. */
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.ts";

export type S2EditClient = Client<paths>;
export type Edit = components["schemas"]["Edit"];
export type Problem = components["schemas"]["Problem"];

export interface Caller {
  /** A device token, or in a backend an API key. A service on the same machine may need none. */
  token?: string;
  /** The user that the requests act for, if `token` is an API key. */
  user?: string;
}

interface Reason {
  status?: number | undefined;
  retryable?: boolean | undefined;
  field?: string | null | undefined;
  editId?: string | undefined;
  cause?: unknown;
}

/** The reason why there is no picture. */
export class EditFailed extends Error {
  override readonly name = "EditFailed";
  /** The stable code of the problem or of the edit's error, or `canceled`, `timeout` or `unreachable`. */
  readonly code: string;
  /** The explanation for people. */
  readonly detail: string;
  /** The HTTP status of the last response; undefined if there was none, or if the edit itself failed. */
  readonly status: number | undefined;
  /** Whether the same call may succeed later. */
  readonly retryable: boolean;
  /** The part to change, if one was at fault. */
  readonly field: string | undefined;
  /** The id of the edit, if it was created. */
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

export const PATIENCE_MS = 20_000; // how long the service may be unreachable without a break
export const PAUSE_MS = 1000; // until a retry if the response has no Retry-After
export const RETRYABLE = [429, 502, 503, 504];
const PASSING = [404, 408, 425, 429]; // a proxy may answer so while the service restarts; its other refusals, such as 413, stay

/**
 * Return an openapi-fetch client with the types of every operation of the service. Throws a `TypeError` for a token or user that no
 * header can carry.
 */
export function createS2EditClient(baseUrl: string, { token, user }: Caller = {}): S2EditClient {
  const credentials = { ...(token && { Authorization: `Bearer ${token.trim()}` }), ...(user && { "S2Edit-User": user }) };
  new Headers(credentials);
  return createClient<paths>({ baseUrl, headers: credentials });
}

/** Return the failure for a service that does not answer, or for an answer from something else, such as the page of a proxy. */
export function unreachable(status: number | undefined, editId: string | undefined, cause?: unknown): EditFailed {
  const retryable = status === undefined || status < 400 || status >= 500 || PASSING.includes(status);
  const answer = status === undefined ? "" : `: status ${status} came with something that is no answer of the service`;
  return new EditFailed("unreachable", `the service does not answer${answer}`, { status, retryable, editId, cause });
}

export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  await new Promise<void>((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
  });
  signal?.throwIfAborted();
}

export function retryAfterMs(response: Response | undefined): number {
  const seconds = Number(response?.headers.get("retry-after") ?? NaN);
  return Number.isFinite(seconds) ? seconds * 1000 : PAUSE_MS;
}

export function isEdit(data: unknown): data is Edit {
  return typeof data === "object" && data !== null && "state" in data && "sequence" in data;
}

export function isProblem(error: unknown): error is Problem {
  return typeof error === "object" && error !== null && "code" in error && "detail" in error;
}
