// Run with `node --test test/` against the service at $S2EDIT_URL, with the photo $S2EDIT_PHOTO and its mask $S2EDIT_MASK.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { openAsBlob } from "node:fs";
import { test } from "node:test";
import { createS2EditClient, editAndWait, EditFailed, followEdit, type Edit, type EditParts, type S2EditClient } from "s2edit-client";

const { S2EDIT_URL: url = "", S2EDIT_PHOTO: photo = "", S2EDIT_MASK: mask = "" } = process.env;
const prompt = "a photo of a woman with long red hair";

function newUser(): S2EditClient {
  return createS2EditClient(url, { user: `ts-${randomUUID().slice(0, 8)}` });
}

async function parts(changes: Partial<EditParts> = {}): Promise<EditParts> {
  return { image: await openAsBlob(photo), mask: await openAsBlob(mask), prompt, ...changes };
}

async function failure(work: Promise<unknown>): Promise<EditFailed> {
  const reason = await work.then(() => assert.fail("it did not fail"), (reason: unknown) => reason);
  assert.ok(reason instanceof EditFailed, String(reason));
  return reason;
}

async function editsOf(client: S2EditClient): Promise<string[]> {
  const { data } = await client.GET("/edits", {});
  return data?.items.map((edit) => edit.id) ?? assert.fail("no list");
}

test("an edit is asked for, waited for and fetched", async () => {
  const client = newUser();
  const done = await editAndWait(client, await parts({ preset: "instant", seed: 7 }));
  assert.equal(done.edit.state, "succeeded");
  assert.ok(Number(done.report["learning_steps"]) > 0);
  assert.deepEqual(await done.picture.bytes(), await (await fetch(done.url)).bytes());
  assert.deepEqual(await editsOf(client), [done.edit.id]);

  const identity = done.edit.identity ?? assert.fail("nobody was learned");
  const further = await editAndWait(client, { identity, prompt: "a photo of a smiling woman", variants: 2 });
  assert.equal(further.report["learning_steps"], 0);
  assert.equal(further.edit.results.length, 2);
});

test("a photo and a sentence are enough, and a pixel picks one of several", async () => {
  const client = newUser();
  const image = await openAsBlob(photo);
  const done = await editAndWait(client, { image, prompt, at: [60, 50] });
  assert.deepEqual((done.report["mask"] as { source: string }).source, "found");
  const mask = await (await fetch(done.edit.mask?.url ?? assert.fail("no mask"))).text();
  assert.ok(mask.startsWith("mask at (60, 50) of "), "as the engine of these tests says it");
  const outside = await failure(editAndWait(client, { image, prompt, at: [9999, 50] }));
  assert.deepEqual([outside.code, outside.field], ["at_outside", "at"]);
});

test("a refusal is thrown with its code and field", async () => {
  const refused = await failure(editAndWait(newUser(), await parts({ mask: new Blob(["no picture"]) })));
  assert.deepEqual([refused.code, refused.status, refused.field, refused.retryable], ["image_format", 422, "mask", false]);
});

test("an edit that fails is thrown with its code and id", async () => {
  const failed = await failure(editAndWait(newUser(), await parts({ deadline_s: 0.001 })));
  assert.deepEqual([failed.code, failed.status], ["deadline_exceeded", undefined]);
  assert.match(failed.editId ?? "", /^e_/);
});

test("an answer that gets lost makes no second edit", async () => {
  const client = newUser();
  let lost = 0;
  client.use({
    onResponse({ request }) {
      if (request.method === "POST" && lost++ === 0) throw new TypeError("the connection was cut");
    },
  });
  const done = await editAndWait(client, await parts());
  assert.equal(lost, 2);
  assert.deepEqual(await editsOf(client), [done.edit.id]);
});

test("the same key is the same edit", async () => {
  const client = newUser();
  const [one, other] = await Promise.all([
    editAndWait(client, await parts(), { idempotencyKey: "k1" }),
    editAndWait(client, await parts(), { idempotencyKey: "k1" }),
  ]);
  assert.equal(one.edit.id, other.edit.id);
});

test("waiting can be given up, and the edit canceled", async () => {
  const client = newUser();
  const giveUp = new AbortController();
  client.use({ onResponse: () => giveUp.abort() });
  await assert.rejects(editAndWait(client, await parts(), { signal: giveUp.signal }), { name: "AbortError" });
  const [edit_id = ""] = await editsOf(client);
  const { data } = await client.POST("/edits/{edit_id}/cancel", { params: { path: { edit_id } } });
  assert.match(data?.state ?? "", /^(canceled|running|succeeded)$/);
});

async function begun(client: S2EditClient): Promise<string> {
  const { data } = await client.POST("/edits", {
    body: { image: await openAsBlob(photo), mask: await openAsBlob(mask), prompt },
    bodySerializer: (body) => {
      const form = new FormData();
      for (const [name, value] of Object.entries(body)) form.append(name, value instanceof Blob ? value : String(value));
      return form;
    },
  });
  return data && "id" in data ? data.id : assert.fail("no edit");
}

async function all(edits: AsyncIterable<Edit>): Promise<Edit[]> {
  const found: Edit[] = [];
  for await (const edit of edits) found.push(edit);
  return found;
}

test("an edit is followed from its beginning to its end", async () => {
  const client = newUser();
  const id = await begun(client);
  const seen = await all(followEdit(client, id));
  assert.equal(seen[0]?.state, "queued");
  assert.equal(seen.at(-1)?.state, "succeeded");
  assert.ok(seen.at(-1)?.result?.url);
  const sequences = seen.map((edit) => edit.sequence);
  assert.deepEqual(sequences, [...new Set(sequences)].sort((one, other) => one - other));

  const path = { edit_id: id };
  const preview = await client.GET("/edits/{edit_id}/preview", { params: { path }, parseAs: "blob" });
  assert.equal(preview.response.headers.get("etag"), `"${seen.findLast((edit) => edit.preview)?.preview}"`);
  assert.equal((preview.data as Blob | undefined)?.type, "image/webp");

  const [first = 0] = sequences;
  assert.deepEqual((await all(followEdit(client, id, { after: first }))).map((edit) => edit.sequence), sequences.slice(1));
  assert.deepEqual(await all(followEdit(client, id, { after: sequences.at(-1) ?? 0 })), []);
});

test("a stream that is cut goes on where it was", async () => {
  const client = newUser();
  const id = await begun(client);
  const whole = await all(followEdit(client, id));
  const asked: (string | null)[] = [];
  client.use({
    async onResponse({ request, response }) {
      asked.push(request.headers.get("last-event-id"));
      if (asked.length === 1) throw new TypeError("the connection was cut");
      if (asked.length > 2) return undefined;
      const said = await response.text();
      const second = said.indexOf("event: edit", said.indexOf("event: edit") + 1);
      return new Response(said.slice(0, second + 30), { headers: response.headers }); // in the middle of an event
    },
  });
  const seen = await all(followEdit(client, id));
  assert.deepEqual(asked, [null, null, String(whole[0]?.sequence)]);
  assert.deepEqual(seen.map((edit) => edit.sequence), whole.map((edit) => edit.sequence));
});

test("what can't be followed is thrown, and following can be given up", async () => {
  const client = newUser();
  const unknown = await failure(all(followEdit(client, `e_${"0".repeat(32)}`)));
  assert.deepEqual([unknown.code, unknown.status], ["not_found", 404]);

  const giveUp = new AbortController();
  const id = await begun(client);
  const following = followEdit(client, id, { signal: giveUp.signal });
  await following.next();
  giveUp.abort();
  await assert.rejects(all(following), { name: "AbortError" });
});

test("a device token is for its user alone", async () => {
  const { data: token } = await newUser().POST("/tokens", { body: { edits: 1 } });
  const device = createS2EditClient(url, { token: token?.token ?? "" });
  const done = await editAndWait(device, await parts());
  assert.deepEqual(await editsOf(device), [done.edit.id]);
  const spent = await failure(editAndWait(device, await parts()));
  assert.deepEqual([spent.code, spent.status], ["token_spent", 403]);
});

test("pictures go straight to the store", async () => {
  const client = newUser();
  const uploaded = async (path: string): Promise<string> => {
    const data = await openAsBlob(path);
    const { data: upload } = await client.POST("/uploads", { body: { media_type: "image/png", size_bytes: data.size } });
    assert.ok(upload?.put);
    const sent = await fetch(upload.put.url, { method: "PUT", headers: upload.put.headers, body: data });
    assert.equal(sent.status, 200);
    return upload.id;
  };
  const body = { prompt, image: await uploaded(photo), mask: await uploaded(mask) };
  const params = { header: { prefer: "wait=60" } };
  const { data } = await client.POST("/edits", { params, body });
  assert.ok(data && "state" in data);
  assert.equal(data.state, "succeeded");
  const { data: person } = await client.POST("/identities", { params, body: { ...body, name: "Ada" } });
  assert.ok(person?.identity);
  const { data: makeup } = await client.POST("/attributes", { params, body: { ...body, prompt: "a woman with [A] makeup" } });
  assert.ok(makeup?.attribute);
  const { data: found } = await client.POST("/masks", { params, body: { image: body.image } });
  assert.ok(found?.mask);
});
