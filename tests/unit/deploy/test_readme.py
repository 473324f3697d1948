"""The pages that people read first name nothing that does not exist."""

from __future__ import annotations

import re
import shlex

import pytest
from typer.testing import CliRunner

from api.routes.uploads import UploadRequest
from api.wire.concept_schemas import AttributeForm, IdentityForm, MaskForm
from api.wire.schemas import EditDocument, EditForm
from cli.main import app
from s2edit_jobs.settings import Settings
from tests.unit.deploy.files import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
}
SHELL = re.findall(
    r"^```\n(.*?)^```$", re.sub(r"^```\w+\n.*?^```$", "", README, flags=re.DOTALL | re.MULTILINE), re.DOTALL | re.MULTILINE
)
BLOCKS = "\n".join(SHELL).replace("\\\n", " ")

FORMS = {"edits": EditForm, "identities": IdentityForm, "attributes": AttributeForm, "masks": MaskForm}


def test_the_two_commands_come_first() -> None:
    first = SHELL[0]
    assert [line.split("#")[0].split() for line in first.splitlines()] == [["make", "demo"], ["make", "test"]]
    assert README.index(first) < 500


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGES[page]):
        assert target.startswith("https://") or (ROOT / target).exists(), target


@pytest.mark.parametrize("page", sorted(PAGES.keys() - {"SECURITY.md"}))
def test_files_that_are_named_exist(page: str) -> None:
    named = re.findall(
        r"`((?:api|cli|clients|deploy|lab|models|s2edit_core|s2edit_jobs|tests|worker)/[\w./-]*|[\w.-]+\.(?:yml|md))`", PAGES[page]
    )
    assert named
    for path in named:
        assert (ROOT / path).exists(), path


def test_what_the_contributors_guide_names_is_where_it_says() -> None:
    """Each `name` in code style that a line puts into a file is a name in that file."""
    guide = re.sub(r"\s+", " ", PAGES["CONTRIBUTING.md"])
    named = re.findall(r"`(\w+)` (?:and its [\w ]+ )?(?:in|of|\() ?`([\w/-]+\.\w+)`", guide)
    assert {"Settings", "SCOPES_OF", "create_app", "guidance_by_preset"} <= {name for name, _ in named}
    for name, path in named:
        assert re.search(rf"\b{name}\b", (ROOT / path).read_text(encoding="utf-8")), (name, path)


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_that_are_named_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", PAGES[page], re.MULTILINE)) <= targets


def test_settings_that_are_named_exist() -> None:
    named = set(re.findall(r"S2EDIT_([A-Z0-9_]+[A-Z0-9])\b(?!\*)", README))
    assert {"REDIS_URL", "S3_BUCKET", "MODEL"} <= named
    assert {name.lower() for name in named} - {"s3"} <= set(Settings.model_fields)


def test_the_printed_requests_use_parts_of_the_form() -> None:
    requests = [shlex.split(line) for line in BLOCKS.splitlines() if line.startswith("curl")]
    forms = [words for words in requests if "-F" in words]
    assert len(forms) >= 2
    for words in forms:
        parts = {words[i + 1].split("=")[0] for i, word in enumerate(words) if word == "-F"}
        form = FORMS[next(word for word in words if word.startswith("http")).rpartition("/")[2]]
        needed = {name for name, field in form.model_fields.items() if field.is_required()} or {"image"}
        assert needed <= parts
        assert parts <= set(form.model_fields)


def test_the_printed_documents_are_taken() -> None:
    models = {"/uploads": UploadRequest, "/edits": EditDocument}
    sent = [shlex.split(line) for line in BLOCKS.splitlines() if line.startswith("curl") and "--json" in line]
    asked = {next(path for path in models if words[2].endswith(path)): words[words.index("--json") + 1] for words in sent}
    assert set(asked) == set(models)
    for path, document in asked.items():
        models[path].model_validate_json(document)


def test_commands_that_are_named_exist() -> None:
    commands = set(re.findall(r"s2edit (up|edit|demo|doctor|[a-z]+)`", README)) | set(re.findall(r"bin/s2edit (\w+)", README))
    assert {"up", "doctor"} <= commands
    for command in commands:
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0, command
