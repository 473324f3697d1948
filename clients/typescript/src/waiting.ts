/** Create an edit and wait until it is over. */
import { EditFailed, isEdit, isProblem, RETRYABLE, pause, PATIENCE_MS, PAUSE_MS, retryAfterMs, unreachable, type Edit, type S2EditClient } from "./client.ts";
import type { components } from "./schema.ts";

/**
 * The parts of `POST /edits`. Pictures are blobs, such as the files of an `<input type="file">`. Without `mask` the service finds the
 * person: the one at the pixel `at`, [x, y], by default the largest.
 */
export type EditParts = Omit<components["schemas"]["EditForm"], "dry_run" | "at"> & { at?: readonly [number, number] };

export interface Waiting {
  /** Milliseconds to wait, by default ten minutes. Then the call rejects with the code `timeout`, and the edit goes on. */
  timeoutMs?: number;
  /** A key for this edit, by default a random one. Another call with the same key and parts waits for the same edit. */
  idempotencyKey?: string;
  /** Ends the wait, but not the edit. */
  signal?: AbortSignal;
}

/** A finished edit. `picture` is the result, `url` its link, which expires after some minutes. */
export interface Done {
  picture: Blob;
  url: string;
  report: Record<string, unknown>;
  edit: Edit;
}

const WAIT_S = 30; // how long the service may hold a response back
const ANSWER_MS = (WAIT_S + 30) * 1000; // until a request times out, besides the time that its pictures take
const SLOWEST = 32; // bytes per millisecond at which pictures are sent at least
const GRACE_MS = 5000; // after the end of a call's time, until a request that is under way times out

/**
 * Edit a picture and wait for the result. Lost requests are sent again and create only one edit. Rejects with `EditFailed`, or with a
 * `TypeError` for a key that no header can carry.
 */
export async function editAndWait(client: S2EditClient, parts: EditParts, waiting: Waiting = {}): Promise<Done> {
  const { timeoutMs = 600_000, idempotencyKey = newKey(), signal } = waiting;
  new Headers({ "idempotency-key": idempotencyKey });
  const calls = new Retries(Date.now() + timeoutMs, signal);
  const body = bodyOf(parts);
  let edit = await calls.edit(
    (prefer, signal) =>
      client.POST("/edits", {
        params: { header: { "idempotency-key": idempotencyKey, prefer } },
        body,
        bodySerializer: () => formOf(body),
        signal,
      }),
    { bytes: sizeOf(body) },
  );
  const id = edit.id;
  while (edit.state === "queued" || edit.state === "running") {
    if (calls.isOver) throw new EditFailed("timeout", `the edit ${id} is not over yet, and goes on`, { retryable: true, editId: id });
    edit = await calls.edit((prefer, signal) =>
      client.GET("/edits/{edit_id}", { params: { path: { edit_id: id }, header: { prefer } }, signal }),
      { editId: id },
    );
  }
  if (edit.error) throw new EditFailed(edit.error.code, edit.error.message, { ...edit.error, editId: id });
  if (!edit.result && edit.state === "succeeded") // the answer to an earlier request with the same key
    throw new EditFailed("expired", "the results of the edit have expired: send a new request", { editId: id });
  if (!edit.result) throw new EditFailed("canceled", "the edit was canceled", { editId: id });
  const { url } = edit.result;
  return { picture: await calls.download(url, id), url, report: edit.report?.values ?? {}, edit };
}

type Body = components["schemas"]["EditForm"];

function bodyOf({ at, ...parts }: EditParts): Body {
  return at ? { ...parts, at: at.join() } : parts;
}

/** Return a random key. `crypto.randomUUID` exists only in pages that came by https or from this machine. */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function sizeOf(body: Body): number {
  return Object.values(body).reduce((sum: number, value) => sum + (value instanceof Blob ? value.size : 0), 0);
}

function formOf(body: Body): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(body)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one instanceof Blob) form.append(name, one, name);
      else if (one !== undefined) form.append(name, String(one));
    }
  }
  return form;
}

interface Answer {
  data?: unknown;
  error?: unknown;
  response: Response;
}

/** Calls the service until `until`, and repeats what may succeed at a later try. */
class Retries {
  readonly #until: number;
  readonly #signal: AbortSignal | undefined;

  constructor(until: number, signal: AbortSignal | undefined) {
    this.#until = until;
    this.#signal = signal;
  }

  get isOver(): boolean {
    return Date.now() >= this.#until;
  }

  /** Return the edit in the response of `ask`, which sends pictures of `bytes` bytes. */
  async edit(ask: (prefer: string, signal: AbortSignal) => Promise<Answer>, { editId, bytes = 0 }: { editId?: string; bytes?: number }): Promise<Edit> {
    let lostSince: number | undefined;
    for (;;) {
      const leftMs = Math.max(0, this.#until - Date.now());
      // After a loss, an answer at once shows that the service is back.
      const waitS = lostSince === undefined ? Math.min(WAIT_S, Math.floor(leftMs / 1000)) : 0;
      const timeoutMs = Math.min(ANSWER_MS + bytes / SLOWEST, leftMs + GRACE_MS);
      const { data, error, response } = await this.#attempt((signal) => ask(`wait=${waitS}`, signal), timeoutMs);
      const pauseMs = retryAfterMs(response);
      if (isEdit(data)) {
        if (!response?.headers.has("preference-applied")) await pause(pauseMs, this.#signal);
        return data;
      }
      let failure: EditFailed;
      let again: boolean;
      if (response && isProblem(error)) {
        lostSince = undefined;
        failure = new EditFailed(error.code, error.detail, { ...error, editId });
        again = failure.retryable || RETRYABLE.includes(response.status);
      } else {
        lostSince ??= Date.now();
        failure = unreachable(response?.status, editId, error);
        again = failure.retryable && Date.now() - lostSince < PATIENCE_MS;
      }
      if (!again || Date.now() + pauseMs > this.#until) throw failure;
      await pause(pauseMs, this.#signal);
    }
  }

  /** Download a signed URL, without the credentials of the service: it may lead to another host. */
  async download(url: string, editId: string): Promise<Blob> {
    let lostSince: number | undefined;
    for (;;) {
      const { data, error, response } = await this.#attempt(async (signal, goOn) => {
        const response = await fetch(url, { signal });
        return { data: await received(response, goOn), response };
      }, ANSWER_MS);
      if (response?.ok && data instanceof Blob) return data;
      lostSince ??= Date.now();
      if (Date.now() - lostSince >= PATIENCE_MS) {
        const detail = "the edit has succeeded, but its picture can't be downloaded";
        throw new EditFailed("unreachable", detail, { status: response?.status, retryable: true, editId, cause: error });
      }
      await pause(PAUSE_MS, this.#signal);
    }
  }

  /**
   * Return an empty answer if the request fails, takes `timeoutMs`, or its response can't be read. `goOn` grants it that time anew.
   * Rejects only if the caller aborts.
   */
  async #attempt(ask: (signal: AbortSignal, goOn: () => void) => Promise<Answer>, timeoutMs: number): Promise<Partial<Answer>> {
    this.#signal?.throwIfAborted();
    const late = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const goOn = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => late.abort(new DOMException("the request took too long", "TimeoutError")), timeoutMs);
    };
    goOn();
    try {
      return await ask(this.#signal ? AbortSignal.any([this.#signal, late.signal]) : late.signal, goOn);
    } catch (error) {
      this.#signal?.throwIfAborted();
      return { error };
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Return the body of a response. A large one on a slow line may take any time: `goOn` is called for each piece. */
async function received(response: Response, goOn: () => void): Promise<Blob> {
  const pieces: BlobPart[] = [];
  const reader = response.body?.getReader();
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true };
    if (done) return new Blob(pieces, { type: response.headers.get("content-type") ?? "" });
    pieces.push(value);
    goOn();
  }
}
