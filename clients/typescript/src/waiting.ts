/** Ask for an edit and wait until it is over. */
import { EditFailed, isEdit, isProblem, NOT_NOW, pause, PATIENCE_MS, PAUSE_MS, retryAfterMs, type Edit, type S2EditClient } from "./client.ts";
import type { components } from "./schema.ts";

/**
 * The parts of `POST /edits`; pictures are blobs, so the files of an `<input type="file">` will do. Without `mask` the person is
 * found: the largest one, or the one at the pixel `at` = [x, y].
 */
export type EditParts = Omit<components["schemas"]["EditForm"], "dry_run" | "at"> & { at?: readonly [number, number] };

export interface Waiting {
  /** Milliseconds after which waiting is given up, with the code `timeout`; the edit goes on. Default: ten minutes. */
  timeoutMs?: number;
  /** Made here if it is not given. The same key with the same parts is the same edit, however often it is asked for. */
  idempotencyKey?: string;
  /** Ends the waiting, and not the edit. */
  signal?: AbortSignal;
}

/** An edit that succeeded. `url` lives for some minutes; `edit` is all that the service says of it. */
export interface Done {
  picture: Blob;
  url: string;
  report: Record<string, unknown>;
  edit: Edit;
}

const WAIT_S = 30; // how long the service is asked to hold an answer back
const ANSWER_MS = (WAIT_S + 30) * 1000; // how long an answer may take at all

/** Ask for an edit and wait until it is over. What got no answer is sent again, and counts once. Rejects with `EditFailed`. */
export async function editAndWait(client: S2EditClient, parts: EditParts, waiting: Waiting = {}): Promise<Done> {
  const { timeoutMs = 600_000, idempotencyKey = crypto.randomUUID(), signal } = waiting;
  const road = new Road(Date.now() + timeoutMs, signal);
  const body = bodyOf(parts);
  let edit = await road.answered((prefer, signal) =>
    client.POST("/edits", {
      params: { header: { "idempotency-key": idempotencyKey, prefer } },
      body,
      bodySerializer: () => formOf(body),
      signal,
    }),
  );
  const id = edit.id;
  while (edit.state === "queued" || edit.state === "running") {
    if (road.isOver) throw new EditFailed("timeout", `the edit ${id} is not over yet; it goes on`, { retryable: true, editId: id });
    edit = await road.answered((prefer, signal) =>
      client.GET("/edits/{edit_id}", { params: { path: { edit_id: id }, header: { prefer } }, signal }), id,
    );
  }
  if (edit.error) throw new EditFailed(edit.error.code, edit.error.message, { ...edit.error, editId: id });
  if (!edit.result) throw new EditFailed("canceled", "the edit was canceled", { editId: id });
  const { url } = edit.result;
  return { picture: await road.fetched(url, id), url, report: edit.report?.values ?? {}, edit };
}

type Body = components["schemas"]["EditForm"];

function bodyOf({ at, ...parts }: EditParts): Body {
  return at ? { ...parts, at: at.join() } : parts;
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

/** The way to the end of one edit, with what may go wrong on it. */
class Road {
  readonly #until: number;
  readonly #signal: AbortSignal | undefined;

  constructor(until: number, signal: AbortSignal | undefined) {
    this.#until = until;
    this.#signal = signal;
  }

  get isOver(): boolean {
    return Date.now() >= this.#until;
  }

  /** The edit that is answered, perhaps only at a later try. */
  async answered(ask: (prefer: string, signal: AbortSignal) => Promise<Answer>, editId?: string): Promise<Edit> {
    let lostSince: number | undefined;
    for (;;) {
      const waitS = Math.max(0, Math.min(WAIT_S, Math.floor((this.#until - Date.now()) / 1000)));
      const { data, error, response } = await this.#tried((signal) => ask(`wait=${waitS}`, signal));
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
        again = failure.retryable || NOT_NOW.includes(response.status);
      } else {
        lostSince ??= Date.now();
        failure = new EditFailed("unreachable", "the service does not answer", { retryable: true, editId, cause: error });
        again = Date.now() - lostSince < PATIENCE_MS;
      }
      if (!again || Date.now() + pauseMs > this.#until) throw failure;
      await pause(pauseMs, this.#signal);
    }
  }

  /** What is behind a signed URL, without the service's credentials: it may be another host's. */
  async fetched(url: string, editId: string): Promise<Blob> {
    const patience = Date.now() + PATIENCE_MS;
    for (;;) {
      const { data, error, response } = await this.#tried(async (signal) => {
        const response = await fetch(url, { signal });
        return { data: await response.blob(), response };
      });
      if (response?.ok && data instanceof Blob) return data;
      if (Date.now() > patience) {
        const detail = "the edit has succeeded, but its picture can't be fetched";
        throw new EditFailed("unreachable", detail, { status: response?.status, retryable: true, editId, cause: error });
      }
      await pause(PAUSE_MS, this.#signal);
    }
  }

  /** Without a response where nothing came, or something that can't be read. Rejects only where whoever waits gives up. */
  async #tried(ask: (signal: AbortSignal) => Promise<Answer>): Promise<Partial<Answer>> {
    this.#signal?.throwIfAborted();
    const late = AbortSignal.timeout(ANSWER_MS);
    try {
      return await ask(this.#signal ? AbortSignal.any([this.#signal, late]) : late);
    } catch (error) {
      this.#signal?.throwIfAborted();
      return { error };
    }
  }
}
