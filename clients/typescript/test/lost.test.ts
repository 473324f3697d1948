// Run with `node --test test/`. What the client does when answers are lost or late, by a clock that the tests move. No service is needed.
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { createS2EditClient, editAndWait, EditFailed, followEdit, type S2EditClient } from "s2edit-client";

type Server = (request: Request) => Promise<Response> | Response;

const PAGE = "<html>a page of a proxy</html>";
const picture = "http://store.test/1";
const prompt = "a photo of a woman with long red hair";
const done = { id: "e_1", state: "succeeded", sequence: 2, result: { url: picture }, results: [] };

/** Return a client of `server`, under a clock that stands still until `passing` moves it. */
function served(t: TestContext, server: Server): S2EditClient {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  t.mock.method(globalThis, "fetch", async (input: Request | string, init?: RequestInit) => server(new Request(input, init)));
  return createS2EditClient("http://service.test");
}

/** Move the clock until `work` is over. Return its result, or the reason of its failure, and the seconds that it took. */
async function passing(t: TestContext, work: Promise<unknown>, mostS = 400): Promise<{ result: unknown; seconds: number }> {
  let over: { result: unknown } | undefined;
  work.then((result) => (over = { result }), (result: unknown) => (over = { result }));
  for (let seconds = 0; seconds <= mostS; seconds++) {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    if (over) return { ...over, seconds };
    t.mock.timers.tick(1000);
  }
  return assert.fail("it did not end");
}

/** Answer after `ms`, unless the request is aborted before. */
function late(request: Request, ms: number, answer: () => Response): Promise<Response> {
  return new Promise((resolve, reject) => {
    request.signal.addEventListener("abort", () => reject(request.signal.reason));
    setTimeout(() => resolve(answer()), ms);
  });
}

const answered = (edit: object): Response => Response.json(edit, { status: 202, headers: { "preference-applied": "wait=30" } });
const isDownload = (request: Request): boolean => request.url === picture;

function failed(reason: unknown): EditFailed {
  assert.ok(reason instanceof EditFailed, String(reason));
  return reason;
}

test("a large photo may take longer on a slow line", async (t) => {
  let posts = 0;
  const client = served(t, (request) => {
    if (isDownload(request)) return new Response("picture");
    posts++;
    return late(request, 90_000, () => answered(done));
  });
  const { result } = await passing(t, editAndWait(client, { image: new Blob([new Uint8Array(3_000_000)]), prompt }));
  assert.equal((result as { edit: { id: string } }).edit?.id, "e_1", String(result));
  assert.equal(posts, 1);
});

test("a service that is silent is asked again, and given up soon after the time of the call", async (t) => {
  const waits: (string | null)[] = [];
  const client = served(t, (request) => {
    waits.push(request.headers.get("prefer"));
    return late(request, 1e9, () => answered(done));
  });
  const quick = await passing(t, editAndWait(client, { prompt }, { timeoutMs: 3000 }));
  assert.equal(failed(quick.result).code, "unreachable");
  assert.ok(quick.seconds <= 9, `${quick.seconds} s`);
  waits.length = 0;
  assert.equal(failed((await passing(t, editAndWait(client, { prompt }))).result).code, "unreachable");
  assert.deepEqual(waits, ["wait=30", "wait=0"]);
});

test("a download goes on for as long as pieces arrive, and is begun again when none does", async (t) => {
  let downloads = 0;
  const client = served(t, (request) => {
    if (!isDownload(request)) return answered(done);
    const pieces = ++downloads === 1 ? ["p"] : ["pic", "tu", "re"];
    const body = new ReadableStream({
      start(stream) {
        request.signal.addEventListener("abort", () => stream.error(request.signal.reason));
        const send = (): void => {
          const piece = pieces.shift();
          if (piece !== undefined) stream.enqueue(new TextEncoder().encode(piece));
          else return stream.close();
          if (downloads > 1) setTimeout(send, 50_000); // the first one falls silent after one piece
        };
        setTimeout(send, 50_000);
      },
    });
    return new Response(body, { headers: { "content-type": "image/png" } });
  });
  const { result } = await passing(t, editAndWait(client, { prompt }));
  const { picture } = result as { picture: Blob };
  assert.deepEqual([await picture?.text(), picture?.type, downloads], ["picture", "image/png", 2], String(result));
});

test("what a proxy refuses is not sent again, and its other pages are waited out", async (t) => {
  const keys: (string | null)[] = [];
  let answer = (): Response => new Response(PAGE, { status: 413 });
  const client = served(t, (request) => {
    if (isDownload(request)) return new Response("picture");
    keys.push(request.headers.get("idempotency-key"));
    return answer();
  });
  const refused = failed((await passing(t, editAndWait(client, { prompt }))).result);
  assert.deepEqual([refused.code, refused.status, refused.retryable, keys.length], ["unreachable", 413, false, 1]);
  answer = () => (keys.length < 4 ? new Response(PAGE, { status: 404 }) : answered(done));
  const { result } = await passing(t, editAndWait(client, { prompt }));
  assert.equal((result as { edit: { id: string } }).edit?.id, "e_1", String(result));
  assert.deepEqual([keys.length, new Set(keys.slice(1)).size], [4, 1]);
});

test("a page instead of events is given up", async (t) => {
  for (const [status, retryable] of [[200, true], [502, true], [401, false]] as const) {
    const client = served(t, () => new Response(PAGE, { status, headers: { "content-type": "text/html" } }));
    const { result, seconds } = await passing(t, followEdit(client, "e_1").next(), 100);
    assert.deepEqual([failed(result).code, failed(result).status, failed(result).retryable], ["unreachable", status, retryable]);
    assert.ok(seconds <= 21, `${seconds} s`);
    t.mock.reset();
  }
});

test("a page that came by http edits too", async (t) => {
  const keys: (string | null)[] = [];
  const client = served(t, (request) => {
    if (isDownload(request)) return new Response("picture");
    keys.push(request.headers.get("idempotency-key"));
    return answered(done);
  });
  Object.defineProperty(crypto, "randomUUID", { value: undefined, configurable: true });
  t.after(() => Reflect.deleteProperty(crypto, "randomUUID"));
  for (let call = 0; call < 2; call++) assert.ok(!((await passing(t, editAndWait(client, { prompt }))).result instanceof Error));
  assert.match(keys.join(), /^[0-9a-f]{32},[0-9a-f]{32}$/);
  assert.notEqual(keys[0], keys[1]);
});

test("a call that is given up while an answer arrives ends at once", async (t) => {
  const giveUp = new AbortController();
  const client = served(t, () => {
    giveUp.abort();
    return Response.json({ ...done, state: "queued" }, { headers: { "retry-after": "60" } });
  });
  const { result, seconds } = await passing(t, editAndWait(client, { prompt }, { signal: giveUp.signal }));
  assert.deepEqual([(result as Error).name, seconds], ["AbortError", 0]);
});

test("what no header can carry is the caller's own error", async (t) => {
  const asked: (string | null)[] = [];
  const client = served(t, () => assert.fail("it was sent"));
  assert.throws(() => createS2EditClient("http://service.test", { token: "s2e_\n1" }), TypeError);
  assert.throws(() => createS2EditClient("http://service.test", { user: "李雷" }), TypeError);
  await assert.rejects(editAndWait(client, { prompt }, { idempotencyKey: "🙂" }), TypeError);
  t.mock.reset();
  served(t, (request) => (asked.push(request.headers.get("authorization")), Response.json({ items: [] })));
  await createS2EditClient("http://service.test", { token: "s2e_1\n" }).GET("/edits", {});
  await createS2EditClient("http://service.test").GET("/edits", {});
  assert.deepEqual(asked, ["Bearer s2e_1", null]);
});
