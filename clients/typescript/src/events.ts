/** Follow an edit by server-sent events, and reconnect when a connection ends early. */
import { createParser } from "eventsource-parser";
import { EditFailed, isEdit, isProblem, RETRYABLE, pause, PATIENCE_MS, PAUSE_MS, retryAfterMs, unreachable, type Edit, type S2EditClient } from "./client.ts";

export interface Following {
  /** The `sequence` of an earlier edit: only later changes are yielded. */
  after?: number;
  /** Ends the stream, but not the edit. */
  signal?: AbortSignal;
}

const SILENCE_MS = 45_000; // the service sends at least a comment every 15 s

/**
 * Yield the edit every time it changes. The last one has the final state. If a connection ends early, the next one continues after
 * the last change. Rejects with `EditFailed` for an error response, or if the service is unreachable for too long.
 */
export async function* followEdit(client: S2EditClient, editId: string, following: Following = {}): AsyncGenerator<Edit, void, void> {
  const { signal } = following;
  let after = following.after ?? 0;
  let lostSince: number | undefined;
  for (;;) {
    signal?.throwIfAborted();
    const quiet = new AbortController();
    const opening = setTimeout(() => quiet.abort(), SILENCE_MS);
    let failure = unreachable(undefined, editId);
    let pauseMs = PAUSE_MS;
    try {
      const { data, error, response } = await client.GET("/edits/{edit_id}/events", {
        params: { path: { edit_id: editId }, header: after ? { "last-event-id": String(after) } : {} },
        parseAs: "stream",
        signal: signal ? AbortSignal.any([signal, quiet.signal]) : quiet.signal,
      });
      clearTimeout(opening);
      if (response.status === 204) return;
      if (response.ok && data && isStream(response)) {
        lostSince = undefined;
        for await (const edit of editsIn(data, quiet)) {
          after = edit.sequence;
          yield edit;
          if (edit.state !== "queued" && edit.state !== "running") return;
        }
      } else {
        pauseMs = retryAfterMs(response);
        failure = isProblem(error) ? new EditFailed(error.code, error.detail, { ...error, editId }) : unreachable(response.status, editId);
        if (!failure.retryable && !RETRYABLE.includes(response.status)) lostSince = -Infinity;
      }
    } catch (error) {
      signal?.throwIfAborted();
      failure = unreachable(undefined, editId, error);
    } finally {
      clearTimeout(opening);
      quiet.abort();
    }
    lostSince ??= Date.now();
    if (Date.now() + pauseMs - lostSince > PATIENCE_MS) throw failure;
    await pause(pauseMs, signal);
  }
}

function isStream(response: Response): boolean {
  return /^text\/event-stream\b/i.test(response.headers.get("content-type") ?? "");
}

/** Yield the edits of one connection. Aborts `quiet` when it has been silent for too long. */
async function* editsIn(bytes: ReadableStream<Uint8Array>, quiet: AbortController): AsyncGenerator<Edit, void, void> {
  const received: Edit[] = [];
  const parser = createParser({
    onEvent({ event, data }) {
      const edit: unknown = event === "edit" ? JSON.parse(data) : undefined;
      if (isEdit(edit)) received.push(edit);
    },
  });
  const reader = bytes.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const timer = setTimeout(() => quiet.abort(), SILENCE_MS);
    const { done, value } = await reader.read().finally(() => clearTimeout(timer));
    if (done) return;
    parser.feed(decoder.decode(value, { stream: true }));
    yield* received.splice(0);
  }
}
