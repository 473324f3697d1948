"""Pages name nothing that does not exist, and their generated parts are what the code says."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import typer.main
from standardwebhooks import Webhook, WebhookVerificationError

from api.wire.concept_schemas import AttributeForm, IdentityForm, MaskForm
from api.wire.edit_requests import EditForm
from api.wire.problem_kinds import HTTP_CODES, KINDS
from cli.docs import TABLES, WIRE, codes_in, filled, reasons_by_code
from cli.main import app
from cli.markdown import put_between
from lab.quality.table import MARK, render
from lab.rivals import table as rivals
from lab.speed import table as speed
from s2edit_core.__main__ import _parser
from s2edit_core.base_model.model_card import ModelCard
from s2edit_core.errors import PolicyRefused
from s2edit_core.request.domains import Placement
from s2edit_jobs.bootstrap import open_policy
from s2edit_jobs.records.testmode import FAILURES
from s2edit_jobs.settings import Settings
from tests.pages import DOCS, PAGES, ROOT, blocks, commands_of, documented_statuses, shell_of
from tests.unit.deploy.files import SERVICES, instructions

FORMS = {"edits": EditForm, "identities": IdentityForm, "attributes": AttributeForm, "masks": MaskForm}
NAMED = re.compile(
    r"`((?:api|cli|clients|deploy|docs|lab|models|s2edit_core|s2edit_jobs|tests|worker)/[\w./-]*|[\w.-]+\.(?:yml|md))`"
)
CODE_LIKE = re.compile(r"`([a-z]+(?:_[a-z]+)+)`")
ELSEWHERE = {"deadline_exceeded", "parked", "image_missing", "mask_missing", "prompt_missing"}
"""Codes of failed edits and of missing parts, which no error class carries."""
PRINTED = tuple(page for page in PAGES if page != "ARCHITECTURE.md")  # its blocks are diagrams
COMMANDS = [pytest.param(page, words, id=f"{page}: {' '.join(words)[:60]}") for page in PRINTED for words in commands_of(page)]
PLAIN = {
    "awk",
    "openssl",
    "base64",
    "cd",
    "cp",
    "cut",
    "do",
    "done",
    "echo",
    "export",
    "for",
    "git",
    "grep",
    "head",
    "pre-commit",
    "tr",
    "wc",
    "npm",
}
"""What a shell or the system brings; the API guide's are run as they stand by `tests/clients/test_docs.py`."""


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", PAGES[page]):
        assert target.startswith("https://") or (ROOT / page).parent.joinpath(target).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page: str) -> None:
    made = {"clients/python/s2edit_client/rest"}
    for path in NAMED.findall(PAGES[page]):
        assert path in made or (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_that_are_named_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", PAGES[page], re.MULTILINE)) <= targets


@pytest.mark.parametrize("page", sorted(PAGES.keys() - {"CHANGELOG.md"}))  # which names what is gone
def test_settings_that_are_named_exist(page: str) -> None:
    named = set(re.findall(r"S2EDIT_([A-Z0-9_]*[A-Z0-9])\b(?![_*])", PAGES[page]))
    assert {name.lower() for name in named} - {"s3", "api_key"} <= set(Settings.model_fields)  # the key is an option of commands


def test_the_pages_name_the_settings_that_matter_most() -> None:
    assert {"REDIS_URL", "S3_BUCKET", "MODEL"} <= set(re.findall(r"S2EDIT_([A-Z0-9_]+)", PAGES["README.md"]))


@pytest.mark.parametrize("page", sorted({home for home, _ in TABLES.values()}))
def test_the_generated_tables_are_what_the_code_says(page: str) -> None:
    text = PAGES[f"docs/{page}"]
    assert filled(page, text) == text, "run `make docs`"


def test_the_quality_tables_are_those_of_the_results() -> None:
    text = PAGES["docs/evidence.md"]
    tables = render(json.loads((ROOT / "lab" / "results" / "quality.json").read_text(encoding="utf-8")))
    assert put_between(text, tables, MARK) == text, "run `make docs`"


def test_the_tables_of_other_servers_are_those_of_the_results() -> None:
    text = PAGES["docs/evidence.md"]
    tables = rivals.render(json.loads((ROOT / rivals.RESULTS).read_text(encoding="utf-8")))
    assert put_between(text, tables, rivals.MARK) == text, "run `make docs`"


@pytest.mark.parametrize(("mark", "file"), [("speed", "speed.json"), ("speed-gpu", "speed-h100.json")])
def test_the_tables_of_speed_are_those_of_the_results(mark: str, file: str) -> None:
    text = PAGES["docs/evidence.md"]
    tables = speed.render(json.loads((ROOT / "lab" / "results" / file).read_text(encoding="utf-8")))
    assert put_between(text, tables, mark) == text, "run `make docs`"


def test_error_codes_that_are_named_exist() -> None:
    """In the first column of the tables of codes, and in those of test mode."""
    reasons = set().union(*reasons_by_code().values())
    known = {kind.code for kind in KINDS.values()} | {code for code, _ in HTTP_CODES.values()} | reasons | ELSEWHERE | WIRE.keys()
    page = PAGES["docs/troubleshooting.md"].partition("## Requests")[2].partition("## Results")[0]
    known |= {"name_missing"}
    named = {code for line in page.splitlines() if line.startswith("|") for code in CODE_LIKE.findall(line.split("|")[1])}
    assert named <= known
    page += PAGES["docs/troubleshooting.md"].partition("## Failed edits")[2]
    assert {code for code in known - ELSEWHERE if f"`{code}`" not in page} == set(), "codes that the page does not explain"


def test_each_code_has_the_status_that_the_tables_say() -> None:
    documented = documented_statuses()
    for kind in KINDS.values():
        assert kind.status in documented[kind.code], kind
    for status, (code, _) in HTTP_CODES.items():
        assert status in documented[code], code
    for code, (status, _) in WIRE.items():
        assert status in documented[code], code
    both = {code: statuses for code, statuses in documented.items() if len(statuses) > 1}
    assert both == {"model_unusable": {500, 503}, "model_not_found": {404, 422}}
    page = PAGES["docs/troubleshooting.md"]
    said = [(code, int(status)) for code, status in re.findall(r"`([a-z_]+)` \(([0-9]{3})\)", page)]
    said += [(code, int(status)) for status, code in re.findall(r"\b([1-5][0-9]{2}) `([a-z_]+)`", page)]
    assert len(said) > 30
    for code, status in said:
        assert status in documented[code], (code, status)


def test_the_guide_names_every_code_that_the_api_answers() -> None:
    answered = codes_in("api") | codes_in("s2edit_core/request")
    assert {"upload_unknown", "body_invalid", "digest_mismatch", "*_missing", "*_invalid", "file_missing"} <= answered
    assert WIRE.keys() - {"header_invalid", "path_invalid"} <= answered, "a code that nothing answers any more"
    named = set(re.findall(r"`([a-z]+(?:_[a-z]*)*)`", PAGES["docs/api.md"].partition("\n## Errors\n")[2]))
    for code in answered:
        assert any(fnmatch(name, code) for name in named), code


def test_messages_that_are_quoted_are_said_somewhere() -> None:
    """In the first columns of the tables of set-up and models; an ellipsis stands for what differs."""
    page = PAGES["docs/troubleshooting.md"].partition("## Set-up")[2].partition("## Requests")[0]
    sources = [ROOT / "Makefile", *(path for name in ("cli", "s2edit_core", "s2edit_jobs") for path in (ROOT / name).rglob("*.py"))]
    said = " ".join(re.sub(r'"\s*\n\s*f?"', "", path.read_text(encoding="utf-8")) for path in sources)
    cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("|")]
    quoted = [part.strip() for cell in cells for text in re.findall(r"`([^`]* [^`]*)`", cell) for part in text.split("…")]
    assert len(quoted) >= 12
    for message in quoted:
        assert message in said, message


def test_the_guide_lists_every_failure_of_test_mode() -> None:
    row = next(line for line in PAGES["docs/api.md"].splitlines() if line.startswith("| `[test:failed CODE]`"))
    assert set(CODE_LIKE.findall(row)) | {"parked"} == set(FAILURES)


@pytest.mark.parametrize(("page", "words"), COMMANDS)
def test_a_printed_command_exists(page: str, words: list[str]) -> None:
    program, *rest = words
    match program:
        case ".venv/bin/s2edit":
            command_of(rest)
        case ".venv/bin/python":
            check_module(rest)
        case "make":
            assert all(re.search(rf"^{word}:", (ROOT / "Makefile").read_text(), re.MULTILINE) for word in rest if "=" not in word)
        case "curl":
            check_request(words)
        case "docker":
            assert rest == ["compose", "up", "--build"]
        case "aws":
            json.loads((ROOT / rest[-1].removeprefix("file://")).read_text(encoding="utf-8"))
        case "celery" | "uvicorn":
            printed = [json.loads(text) for name in ("Dockerfile.gpu", "deploy/Dockerfile.api") for text in commands_in(name)]
            assert words in printed
        case "python":
            assert words in [service.get("command") for service in SERVICES.values()]
        case _:
            assert program in PLAIN, (page, words)
    for word in words[1:] if program == "cp" else ():
        assert (ROOT / word).exists() or word == ".env"


def commands_in(dockerfile: str) -> Iterator[str]:
    return (argument for name, argument in instructions(dockerfile) if name == "CMD")


def command_of(words: list[str]) -> None:
    """Find the command of `s2edit`, and each option among its own."""
    command: Any = typer.main.get_command(app)
    while words and hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("-")} <= known


def check_module(words: list[str]) -> None:
    """The module exists, and each option is one of its own."""
    assert words[0] == "-m"
    name, options = words[1], [word for word in words[2:] if word.startswith("--")]
    if name == "s2edit_core":
        _parser().parse_args(words[2:])
        return
    check_options(name, options)


def check_options(module: str, options: list[str]) -> None:
    found = importlib.util.find_spec(module)
    assert found is not None, module
    assert found.origin is not None
    origin = Path(found.origin)
    files = sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]
    source = "\n".join(path.read_text(encoding="utf-8") for path in files)
    if "write_tables(" in source:
        source += (ROOT / "lab" / "tables.py").read_text(encoding="utf-8")
    assert all(f'"{option}"' in source for option in options), (module, options)


@pytest.mark.parametrize("page", [*DOCS, "README.md", "lab/results/README.md"])
def test_commands_of_the_lab_that_are_named_exist(page: str) -> None:
    text = PAGES.get(page) or (ROOT / page).read_text(encoding="utf-8")
    for command in re.findall(r"`(?:\.venv/bin/)?python -m ((?:lab|cli|s2edit_core)[\w.]*[^`]*)`", text):
        name, *words = shlex.split(command)
        check_options(name, [word for word in words if word.startswith("--")])


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_s2edit_that_are_named_exist(page: str) -> None:
    for command in re.findall(r"`(?:\.venv/bin/)?s2edit ([a-z]+(?: [a-z]+)?)(?: [^`]*)?`", PAGES[page]):
        words = command.split()
        command_of(words if words[0] == "keys" else words[:1])


def check_request(words: list[str]) -> None:
    """A form has the parts of its route, and those that must be there."""
    parts = {words[i + 1].split("=")[0] for i, word in enumerate(words) if word == "-F"}
    if not parts:
        return
    address = next(word for word in words if word.startswith("http"))
    form = FORMS[address.rpartition("/")[2]]
    needed = {name for name, field in form.model_fields.items() if field.is_required()} or {"image"}
    assert needed <= parts
    assert parts <= set(form.model_fields)


def test_requests_are_found() -> None:
    """The tests above hold nothing if no command is."""
    requests = [words for page in ("README.md", "docs/api.md") for words in commands_of(page) if words[0] == "curl"]
    assert len(requests) >= 20
    assert sum("-F" in words for words in requests) >= 12
    without = {"docs/models.md", "docs/index.md", "docs/studio.md", "docs/security.md"}
    assert all(shell_of(page) for page in DOCS if page not in without)


def test_the_printed_card_is_one(tmp_path: Path) -> None:
    (card,) = [text for language, text in blocks("docs/models.md") if language == "json"]
    (tmp_path / "s2edit.json").write_text(card)
    read = ModelCard.read(tmp_path)
    entries = {name: getattr(read, name) for name in ("guidance_scale", "guidance_by_preset", "phase_seconds", "segmenter")}
    left_out = (False, asdict(Placement()))
    domains = [{name: value for name, value in asdict(domain).items() if value not in left_out} for domain in read.domains]
    assert json.loads(json.dumps({"domains": domains, **entries})) == json.loads(card)


def test_the_printed_receiver_verifies_webhooks() -> None:
    code = next(text for language, text in blocks("docs/api.md") if language == "python" and "standardwebhooks" in text)
    body = next(text for language, text in blocks("docs/api.md") if language == "json" and "edit.succeeded" in text)
    names: dict[str, object] = {}
    exec(code, names)
    secret, receive = "whsec_" + "c2VjcmV0IG9mIDI0IGJ5dGVzIG9yIG1vcmU=", names["receive"]
    assert callable(receive)
    now = datetime.now(UTC)
    signature = Webhook(secret).sign("msg_1", now, body)
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
    assert receive(secret, body, headers) == "e_…"
    with pytest.raises(WebhookVerificationError):
        receive(secret, body.replace("succeeded", "failed"), headers)


def test_the_printed_checker_of_prompts_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = [text for language, text in blocks("docs/security.md") if language == "python"]
    (tmp_path / "printed_checker.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    policy = open_policy(Settings(policy_checker="printed_checker:build"))
    policy.check_prompt("a photo of a woman with red hair", field="prompt")
    policy.check_image(b"", field="image")
    with pytest.raises(PolicyRefused):
        policy.check_prompt("a photo of a celebrity", field="prompt")
