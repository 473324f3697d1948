/** The last request as curl, Python and fetch. `mount` gets its empty section of the panel, once. */

import { make, say, studio } from '../studio.js';
import { hasKey } from '../service.js';
import { lastRequest } from '../recent.js';
import { button } from './cards.js';

const JOBS = ['edits', 'masks', 'identities', 'attributes'];
const NOTHING = 'All that you do on this page is a request to the service. The last one will be here as code.';
const WRITERS = { curl, Python: python, fetch: inPage };
const base = () => new URL('.', document.baseURI).href.replace(/\/$/, '');
const json = JSON.stringify;
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const fileOf = (name, blob) => `${name}.${(blob.type.split('/')[1] || 'bin').replace('jpeg', 'jpg')}`;

export function mount(section) {
  const code = make('code');
  const files = make('div', { className: 'row' });
  const hint = make('p', { className: 'quiet' });
  const choices = Object.keys(WRITERS).map((name) => button(name, () => show(name)));
  const row = make('div', { className: 'row' }, ...choices, button('Copy', () => copy(code)));
  const rest = make('div', { hidden: true }, row, make('pre', { tabIndex: 0, attributes: { 'aria-label': 'Code', role: 'region' } }, code), files);
  let last = null;
  let language = 'curl';
  section.append(make('h2', {}, 'As code'), hint, rest);

  function show(name) {
    language = name;
    for (const each of choices) each.setAttribute('aria-pressed', each.textContent === name);
    code.textContent = WRITERS[name](last);
  }

  async function refresh() {
    const request = await lastRequest();
    rest.hidden = !request;
    hint.textContent = request ? `The last request, ready to run${hasKey() ? ' with your key in S2EDIT_API_KEY' : ''}.` : NOTHING;
    if (!request) return;
    const { method, path, fields, json: body } = request;
    const sent = fields.filter(([, value]) => typeof value !== 'string');
    last = { method, path, body, texts: fields.filter(([, value]) => typeof value === 'string'), files: sent.map(([name, file]) => [name, fileOf(name, file)]), isJob: method === 'POST' && JOBS.includes(path) };
    for (const old of files.children) URL.revokeObjectURL(old.href);
    const here = sent.filter(([, file]) => file instanceof Blob);
    files.replaceChildren(...here.map(([name, blob]) => make('a', { className: 'button small', href: URL.createObjectURL(blob), download: fileOf(name, blob) }, `Save ${fileOf(name, blob)}`)));
    show(language);
  }

  for (const event of ['sent', 'kept']) studio.on(event, refresh);
  return refresh;
}

function curl({ method, path, body, texts, files, isJob }) {
  return [
    `curl -sS ${quoted(`${base()}/${path}`)}`,
    ...(method === 'POST' ? [] : [`-X ${method}`]),
    ...(hasKey() ? ['-H "Authorization: Bearer $S2EDIT_API_KEY"'] : []),
    ...(isJob ? ['-H "Prefer: wait=60"'] : []),
    ...(body ? [`--json ${quoted(json(body))}`] : []),
    ...files.map(([name, file]) => `-F ${name}=@${file}`),
    ...texts.map(([name, value]) => `--form-string ${quoted(`${name}=${value}`)}`),
  ].join(' \\\n  ');
}

const call = (name, args) => `${name}(\n${args.map((each) => `    ${each},\n`).join('')})`;

function python({ method, path, body, texts, files, isJob }) {
  const parts = [...files.map(([name, file]) => [name, `open(${json(file)}, "rb")`]), ...texts.map(([name, value]) => [name, `(None, ${json(value)})`])];
  const key = hasKey() ? ['headers={"Authorization": "Bearer " + os.environ["S2EDIT_API_KEY"]}'] : [];
  return [
    ...(body ? ['import json'] : []),
    ...(hasKey() ? ['import os'] : []),
    ...(body || hasKey() ? [''] : []),
    'import httpx\n',
    call('service = httpx.Client', [`base_url=${json(base())}`, 'timeout=90', ...key]),
    call('answer = service.request', [
      `${json(method)}, ${json(path)}`,
      ...(isJob ? ['headers={"Prefer": "wait=60"}'] : []),
      ...(parts.length ? [`files=[\n${parts.map(([name, value]) => `        (${json(name)}, ${value}),\n`).join('')}    ]`] : []), // `data` without a file would not be multipart
      ...(body ? [`json=json.loads(${json(json(body))})`] : []),
    ]),
    'job = answer.raise_for_status().json()',
    ...(isJob ? ['while job["state"] in ("queued", "running"):', '    job = service.get("edits/" + job["id"], headers={"Prefer": "wait=60"}).json()'] : []),
    path === 'edits' ? 'open("result.png", "wb").write(httpx.get(job["result"]["url"]).content)' : 'print(job)',
  ].join('\n');
}

function inPage({ method, path, body, texts, files, isJob }) {
  const headers = [hasKey() && 'Authorization: `Bearer ${key}`', isJob && 'Prefer: "wait=60"', body && '"Content-Type": "application/json"'].filter(Boolean);
  const isForm = files.length + texts.length > 0;
  return [
    `const service = ${json(base())};`,
    ...(isForm ? ['const form = new FormData();'] : []),
    ...files.map(([name]) => `form.append(${json(name)}, document.getElementById(${json(name)}).files[0]);`),
    ...texts.map(([name, value]) => `form.append(${json(name)}, ${json(value)});`),
    `const headers = { ${headers.join(', ')} };`,
    `let job = await (await fetch(\`\${service}/${path}\`, { method: ${json(method)}, headers${isForm ? ', body: form' : body ? `, body: JSON.stringify(${json(body)})` : ''} })).json();`,
    ...(isJob ? ['while (job.state === "queued" || job.state === "running")', '  job = await (await fetch(`${service}/edits/${job.id}`, { headers })).json();'] : []),
    path === 'edits' ? 'document.querySelector("img").src = job.result.url;' : 'console.log(job);',
  ].join('\n');
}

async function copy(code) {
  getSelection().selectAllChildren(code);
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    document.execCommand('copy'); // without https there is no other clipboard
  }
  say('Copied.');
}
