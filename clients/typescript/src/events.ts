/** Follow an edit by its stream of server-sent events, and over the ends of connections. */
import { createParser } from "eventsource-parser";
import { EditFailed, isEdit, isProblem, NOT_NOW, pause, PATIENCE_MS, PAUSE_MS, retryAfterMs, type Edit, type S2EditClient } from "./client.ts";

export interface Following {
  /** A sequence that was seen before: what follows begins behind it. */
  after?: number;
  /** Ends the following, and not the edit. */
  signal?: AbortSignal;
}

const SILENCE_MS = 45_000; // three times as long as the service is ever silent

/**
 * How the edit stands, each time that it changes, until it is over: the last one says how it ended. A connection that ends before is
 * opened again, and goes on behind the last one that came. Rejects with `EditFailed` for a refusal, and where nobody answers for a while.
 */
export async function* followEdit(client: S2EditClient, editId: string, following: Following = {}): AsyncGenerator<Edit, void, void> {
  const { signal } = following;
  let after = following.after ?? 0;
  let lostSince: number | undefined;
  for (;;) {
    signal?.throwIfAborted();
    const quiet = new AbortController();
    const opening = setTimeout(() => quiet.abort(), SILENCE_MS);
    let failure = new EditFailed("unreachable", "the service does not answer", { retryable: true, editId });
    let pauseMs = PAUSE_MS;
    try {
      const { data, error, response } = await client.GET("/edits/{edit_id}/events", {
        params: { path: { edit_id: editId }, header: after ? { "last-event-id": String(after) } : {} },
        parseAs: "stream",
        signal: signal ? AbortSignal.any([signal, quiet.signal]) : quiet.signal,
      });
      clearTimeout(opening);
      if (response.status === 204) return;
      if (response.ok && data) {
        lostSince = undefined;
        for await (const edit of editsIn(data, quiet)) {
          after = edit.sequence;
          yield edit;
          if (edit.state !== "queued" && edit.state !== "running") return;
        }
      } else if (isProblem(error)) {
        pauseMs = retryAfterMs(response);
        failure = new EditFailed(error.code, error.detail, { ...error, editId });
        if (!failure.retryable && !NOT_NOW.includes(response.status)) lostSince = -Infinity;
      }
    } catch (error) {
      signal?.throwIfAborted();
      failure = new EditFailed(failure.code, failure.detail, { retryable: true, editId, cause: error });
    } finally {
      clearTimeout(opening);
      quiet.abort();
    }
    lostSince ??= Date.now();
    if (Date.now() + pauseMs - lostSince > PATIENCE_MS) throw failure;
    await pause(pauseMs, signal);
  }
}

/** Of one connection, which `quiet` ends when nothing comes by it. */
async function* editsIn(bytes: ReadableStream<Uint8Array>, quiet: AbortController): AsyncGenerator<Edit, void, void> {
  const come: Edit[] = [];
  const parser = createParser({
    onEvent({ event, data }) {
      const edit: unknown = event === "edit" ? JSON.parse(data) : undefined;
      if (isEdit(edit)) come.push(edit);
    },
  });
  const reader = bytes.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const timer = setTimeout(() => quiet.abort(), SILENCE_MS);
    const { done, value } = await reader.read().finally(() => clearTimeout(timer));
    if (done) return;
    parser.feed(decoder.decode(value, { stream: true }));
    yield* come.splice(0);
  }
}
