"""Write the generated tables of the documentation: `python -m cli.docs`.

Each table stands in a page of `docs/` between `<!-- NAME -->` and `<!-- /NAME -->`. Settings come from `Settings`, form fields from
`clients/openapi.json`, error codes from `api.wire.problem_kinds` and from what the sources raise, figures from `lab/results/`.
"""

from __future__ import annotations

import ast
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from annotated_types import Ge, Le
from pydantic_core import PydanticUndefined

from api.openai.parameters import REFUSED
from api.wire.problem_kinds import HTTP_CODES, KINDS
from cli.markdown import put_between
from s2edit_core import errors
from s2edit_core.whole_files import write_whole
from s2edit_jobs.setting_rules import LONGEST_S
from s2edit_jobs.settings import ROOT, Settings

DOCS = ROOT / "docs"
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Redis and the object store": (
        *("redis_url", "s3_endpoint_url", "s3_public_endpoint_url", "s3_bucket", "s3_access_key_id", "s3_secret_access_key"),
        *("s3_region", "s3_post_forms", "s3_object_tags", "data_dir", "public_url"),
    ),
    "Models": (
        *("model", "model_aliases", "precision", "device", "worker_jobs", "segmenter", "captioner"),
        *("safety", "safety_labels", "safety_threshold"),
    ),
    "Who may call": ("auth", "token_keys", "token_max_ttl_s", "cors_origins", "metrics_token"),
    "Limits": (
        *("max_unfinished_edits_per_user", "max_unfinished_edits_per_tenant", "max_unfinished_edits"),
        *("max_stored_bytes_per_tenant", "max_streams_per_user", "max_streams_per_tenant", "max_streams"),
        *("user_reads_per_minute", "user_writes_per_minute"),
        *("tenant_reads_per_minute", "tenant_writes_per_minute", "tenant_learnings_per_day", "tenant_gpu_s_per_day"),
        *("failed_credentials_per_minute", "min_upload_bytes_per_s", "max_upload_bytes"),
    ),
    "How long things are kept": (
        *("result_ttl_s", "edit_ttl_s", "identity_ttl_s", "identity_idle_ttl_s", "inversion_ttl_s", "max_inversions_per_identity"),
        *("checkpoint_ttl_s", "upload_ttl_s", "idempotency_ttl_s", "result_url_ttl_s", "upload_url_ttl_s"),
    ),
    "Workers and housekeepers": (
        *("lease_s", "heartbeat_interval_s", "max_attempts", "pass_timeout_s", "reap_interval_s"),
        *("worker_metrics_port", "housekeeper_metrics_port"),
    ),
    "Webhooks": ("webhook_secrets", "webhook_allow_private"),
    "Audit, policy and provenance": (
        *("audit_log", "audit_key", "signing_key", "receipt_key", "policy_block_list", "policy_checker"),
        *("require_consent", "require_user"),
        *("provenance", "provenance_certificate", "provenance_private_key", "provenance_timestamp_url", "watermark"),
    ),
}
"""Every setting, by the heading that it stands under."""
FORMS = {
    "edit-fields": "EditForm",
    "identity-fields": "IdentityForm",
    "attribute-fields": "AttributeForm",
    "mask-fields": "MaskForm",
}
"""The form that each table shows, by its name in `clients/openapi.json`."""
SOURCES = ("s2edit_core", "s2edit_jobs", "api", "worker")
INPUTS = (errors.ImageInvalid, errors.MaskInvalid, errors.PromptInvalid, errors.OptionInvalid)
HEADINGS = {"image_invalid": "photo", "mask_invalid": "mask", "prompt_invalid": "prompt", "option_invalid": "another part"}
CODE = re.compile(r"[a-z][a-z0-9_]+")
WIRE: Mapping[str, tuple[int, str]] = {
    "body_invalid": (422, "The body is not a valid JSON object."),
    "canceled": (409, "`/v1` only: the edit was canceled. Send the request again with a new Idempotency-Key."),
    "digest_mismatch": (400, "The bytes do not match their Content-Digest, or it can't be read: send both again."),
    "edit_unfinished": (504, "`/v1` only: the edit goes on. Send the same request with the same Idempotency-Key for its result."),
    "header_invalid": (422, "A header can't be read."),
    "model_not_found": (
        404,
        "`/v1` only: the service has no model of this name, see `GET /v1/models`. An edit that names it is a 400.",
    ),
    "not_ready": (503, "`GET /readyz` only: `errors` names the parts that do not answer."),
    "path_invalid": (422, "A part of the path can't be read."),
    "results_expired": (404, "`/v1` only: the pictures of the edit have expired."),
}
"""Codes that `api` answers without an error class of the core or of the jobs."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def settings() -> str:
    """Return one table of settings per group. Raises `ValueError` for a setting that stands in no group, or in two."""
    grouped = [name for names in GROUPS.values() for name in names]
    if sorted(grouped) != sorted(Settings.model_fields):
        odd = set(grouped) ^ set(Settings.model_fields) or {name for name in grouped if grouped.count(name) > 1}
        raise ValueError(f"GROUPS in cli/docs.py must name every setting once: look at {', '.join(sorted(odd))}")
    parts = []
    for group, names in GROUPS.items():
        rows = [(f"`S2EDIT_{name.upper()}`", _default(name), _explained(name)) for name in names]
        parts.append(f"### {group}\n\n{table(('variable', 'default', 'meaning'), rows)}")
    return "\n".join(parts)


def _default(name: str) -> str:
    default = Settings.model_fields[name].default
    return "" if default in (None, PydanticUndefined) else f"`{default}`"


def _explained(name: str) -> str:
    """Return what a setting means, and its bounds apart from "not negative" and those of every time and count."""
    field = Settings.model_fields[name]
    said = [_sentence(field.description)]
    for word, kind, bound in (("At least", Ge, "ge"), ("At most", Le, "le")):
        found = next((getattr(each, bound) for each in field.metadata if isinstance(each, kind)), 0)
        if 1 < found < LONGEST_S:
            said.append(f"{word} {found:,g}.")
    return " ".join(said)


def _sentence(text: str | None) -> str:
    assert text
    return text.strip() + ("" if text.rstrip().endswith((".", "!", "?", "…")) else ".")


def fields(form: str) -> str:
    """Return the parts of a form: required ones first, then files."""
    schema: dict[str, Any] = json.loads((ROOT / "clients" / "openapi.json").read_text(encoding="utf-8"))
    found = schema["components"]["schemas"][form]
    required, parts = found.get("required", []), found["properties"]
    names = sorted(parts, key=lambda name: (name not in required, _type(parts[name]) != "file"))
    rows = [(f"`{name}`", _type(parts[name]), _meaning(parts[name], name in required)) for name in names]
    return table(("part", "type", "meaning"), rows)


def _type(part: Mapping[str, Any]) -> str:
    if "enum" in part:
        return ", ".join(f"`{value}`" for value in part["enum"])
    if part.get("format") == "binary":
        return "file"
    return "list of strings" if part["type"] == "array" else str(part["type"])


def _meaning(part: Mapping[str, Any], required: bool) -> str:
    said = _sentence(part.get("description"))
    return f"**Required.** {said}" if required else said


def codes() -> str:
    """Return what each code of a problem means."""
    said: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    for kind in KINDS.values():
        said[kind.code].append((kind.status, kind.title, kind.detail or kind.title))
    for status, (code, title) in HTTP_CODES.items():
        if code not in said:
            said[code].append((status, title, title))
    for code, (status, meaning) in WIRE.items():
        said[code].append((status, meaning, meaning))
    rows = []
    for code, kinds in said.items():
        statuses = ", ".join(str(status) for status in sorted({status for status, _, _ in kinds}))
        _, title, detail = kinds[0]
        rows.append((statuses, f"`{code}`", _sentence(detail if len(set(kinds)) == 1 else title)))
    return table(("status", "code", "meaning"), sorted(rows))


def reasons() -> str:
    """Return the finer codes that stand in place of `image_invalid`, `mask_invalid`, `prompt_invalid` and `option_invalid`."""
    found = reasons_by_code()
    rows = ((HEADINGS[cls.code], ", ".join(f"`{reason}`" for reason in sorted(found[cls.code]))) for cls in INPUTS)
    return table(("what to change", "codes"), rows)


def reasons_by_code() -> dict[str, set[str]]:
    """Collect the constant reasons that the sources raise, by the code of the error's class."""
    found: dict[str, set[str]] = defaultdict(set)
    for package in SOURCES:
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ast.parse(path.read_text(encoding="utf-8"))
            for code, reason in _reasons_of(module):
                found[code] |= {word for word in _strings(reason) if CODE.fullmatch(word)}
    return found


def _reasons_of(module: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Yield what is given as `reason`, to an error itself or to a function of the module that makes one."""
    helpers: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for function in (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef)):
        names = [argument.arg for argument in function.args.args]
        for code, reason in _direct(function):
            if isinstance(reason, ast.Name) and reason.id in names:
                helpers[function.name].add((code, names.index(reason.id)))
    yield from _direct(module)
    for call in _calls(module):
        for code, position in sorted(helpers.get(call.func.id, ())) if isinstance(call.func, ast.Name) else ():
            if len(call.args) > position:
                yield code, call.args[position]


def codes_in(package: str) -> set[str]:
    """Collect every code that the sources of `package` write out, whatever carries it; a part that varies is a `*`."""
    found: set[str] = set()
    for path in sorted((ROOT / package).rglob("*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"))
        found |= {code for expression in _code_places(module) for code in _patterns(expression)}
    return found


def _code_places(module: ast.Module) -> Iterator[ast.expr]:
    """Yield what is given as `code` or `reason`: by keyword, by position to a function of the module, or as a variable."""
    places = {
        function.name: [i for i, argument in enumerate(function.args.args) if argument.arg in ("code", "reason")]
        for function in ast.walk(module)
        if isinstance(function, ast.FunctionDef)
    }
    for node in ast.walk(module):
        match node:
            case ast.Call(func=function, args=given, keywords=named):
                yield from (each.value for each in named if each.arg in ("code", "reason"))
                known = places.get(function.id, []) if isinstance(function, ast.Name) else []
                yield from (given[place] for place in known if place < len(given))
            case ast.Assign(targets=[ast.Name(id="code")], value=value):
                yield value
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict(values=values)) if name.endswith("_CODES"):
                yield from values


def _patterns(expression: ast.expr) -> Iterator[str]:
    """Yield the codes that an expression may be, not those that it compares with."""
    match expression:
        case ast.Constant(value=str(code)):
            yield code
        case ast.JoinedStr(values=parts):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in parts)
        case ast.IfExp(body=body, orelse=orelse):
            yield from (*_patterns(body), *_patterns(orelse))


def _direct(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield what is given as `reason` to an error, or to a variable that is one error or another."""
    codes = {cls.__name__: {cls.code} for cls in INPUTS}
    for node in ast.walk(tree):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=variable)], value=ast.IfExp(body=ast.Name(id=one), orelse=ast.Name(id=other)))
                | ast.AnnAssign(target=ast.Name(id=variable), value=ast.IfExp(body=ast.Name(id=one), orelse=ast.Name(id=other)))
            ) if {one, other} <= codes.keys():
                codes[variable] = codes[one] | codes[other]
    for call in _calls(tree):
        known = codes.get(call.func.id, set()) if isinstance(call.func, ast.Name) else set()
        yield from ((code, each.value) for code in sorted(known) for each in call.keywords if each.arg == "reason")


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _strings(tree: ast.AST) -> set[str]:
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def refused() -> str:
    """Return the parameters of `/v1/images/edits` that no value makes acceptable."""
    return table(("parameter", "why"), ((f"`{name}`", _sentence(why[0].upper() + why[1:])) for name, why in REFUSED.items()))


def _form(name: str) -> Callable[[], str]:
    return lambda: fields(name)


def computed() -> str:
    """Return what Stable Diffusion costs, as `lab.service.full_size` has computed it."""
    models = _results("full_size")["models"]
    rows = [
        ("weights, GB", *(f"{model['weights_gb']:.1f}" for model in models.values())),
        ("kept for gradients while learning, GB", *(f"{model['kept_for_gradients_gb']:.1f}" for model in models.values())),
    ]
    for preset in ("balanced", "instant", "paper"):
        for edit, name in (("first_tflop", "first edit of a person"), ("next_tflop", "further edit")):
            rows.append((f"{name}, `{preset}`, TFLOP", *(f"{model['edits'][preset][edit]}" for model in models.values())))
    return table(("computed", *models), rows)


def measured() -> str:
    """Return what edits of people took with the shipped model, by the benches. A preset that they lack has no row."""
    rows, methods = [], _results("quality")["domains"]["person"]["methods"]
    for preset in (name for name in ("balanced", "instant", "paper") if name in methods):
        seconds = {phase: cost["seconds"] for phase, cost in methods[preset]["cost"].items()}
        rows.append((f"first edit, `{preset}`, seconds", f"{sum(seconds.values()):.1f}", _link("quality")))
        rows.append((f"further edit, `{preset}`, seconds", f"{seconds['edit']:.1f}", _link("quality")))
    cost = _results("photo_cost")
    for size in (12, 24):
        added = cost[f"added_by_{size}_megapixels"]
        said = f"{added['seconds']:.1f} s, {added['memory_mb']} MB"
        rows.append((f"what a photo of {size} megapixels adds", said, _link("photo_cost")))
    return table(("measured", "value", "file"), rows)


def _results(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "lab" / "results" / f"{name}.json").read_text(encoding="utf-8"))
    return found


def _link(name: str) -> str:
    return f"[{name}.json](../lab/results/{name}.json)"


TABLES: Mapping[str, tuple[str, Callable[[], str]]] = {
    "settings": ("self-hosting.md", settings),
    **{name: ("api.md", _form(form)) for name, form in FORMS.items()},
    "openai-fields": ("openai.md", _form("ImageEditForm")),
    "openai-refused": ("openai.md", refused),
    "codes": ("api.md", codes),
    "reasons": ("api.md", reasons),
    "computed": ("models.md", computed),
    "measured": ("models.md", measured),
}
"""The page and the contents of each table, by its name."""


def filled(page: str, text: str) -> str:
    """Return the page's text with its tables written anew. Raises `ValueError` where a table has no place."""
    for name, (home, make) in TABLES.items():
        if home == page:
            text = put_between(text, f"\n{make()}\n", name)
    return text


def main() -> None:
    for page in sorted({home for home, _ in TABLES.values()}):
        path = DOCS / page
        write_whole(path, filled(page, path.read_text(encoding="utf-8")).encode())


if __name__ == "__main__":
    main()
