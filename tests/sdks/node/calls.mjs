// Make the calls that stdin lists as JSON with OpenAI's SDK, and print their outcomes as JSON. tests/sdks/callers.py starts it.
import { openAsBlob } from "node:fs";
import { readFile } from "node:fs/promises";
import OpenAI, { toFile } from "openai";

const { baseURL, apiKey, calls } = JSON.parse(await new Response(process.stdin).text());
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });

async function edit({ params, headers }) {
  const sent = { ...params };
  for (const name of ["image", "mask"]) {
    if (params[name]) sent[name] = await toFile(await readFile(params[name]), "a.png", { type: "image/png" });
  }
  if (sent.markup) sent.markup = await toFile(await openAsBlob(params.markup), "m.png");
  const answer = await client.images.edit(sent, { headers });
  if (!sent.stream) return answer;
  const events = [];
  for await (const event of answer) events.push(event);
  return { events };
}

async function outcome(call) {
  try {
    return call.method === "models" ? { models: (await client.models.list()).data.map((model) => model.id) } : await edit(call);
  } catch (error) {
    const { status = null, param = null, code = null, message } = error;
    return { error: { class: error.constructor.name, status, param, code, message } };
  }
}

const outcomes = [];
for (const call of calls) outcomes.push(await outcome(call));
console.log(JSON.stringify(outcomes));
