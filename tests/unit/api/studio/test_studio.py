"""The studio as it is served. `tests/studio` has the page in a real browser."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.studio import page as studio
from s2edit_core.request.presets import PRESETS
from s2edit_core.request.spec import PHASES
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from s2edit_jobs.stores.object_store.s3_artifacts import S3ArtifactStore
from tests.unit.api.conftest import Api

FILES = studio.static_files()
TEXTS = {name: file.content.decode() for name, file in FILES.items() if not file.media_type.startswith("image/")}
SCRIPTS = {name: text for name, text in TEXTS.items() if name.endswith(".js")}
PAGE = TEXTS["index.html"]


def policy(client: TestClient) -> dict[str, list[str]]:
    sent = client.get("/").headers["content-security-policy"]
    return {name: sources for name, *sources in (directive.split() for directive in sent.split(";"))}


def test_its_policy_lets_its_own_files_run_and_nothing_else(api: Api) -> None:
    rules = policy(api.client)
    assert rules["default-src"] == ["'none'"]
    assert rules["script-src"] == rules["style-src"] == ["'self'"]
    assert "unsafe" not in str(rules)


def test_it_loads_nothing_from_elsewhere() -> None:
    for name, text in TEXTS.items():
        assert not re.findall(
            r"https?://(?!127\.0\.0\.1)[\w.]|@import|\bimport\((?!'\./)|<link[^>]*href=\"(?:/|\w+:(?!,))", text
        ), name
        assert not re.findall(r"\son[a-z]+=\"|\sstyle=|javascript:|innerHTML|insertAdjacentHTML|document\.write|eval\(", text), name
        assert not re.findall(r"(?:src|href)=\"/", text), name  # relative, so that any path prefix works


def test_every_module_that_is_imported_is_there() -> None:
    for name, text in SCRIPTS.items():
        for target in re.findall(r"(?:from |import\()'([^']+)'", text):
            assert str((Path("/") / name).parent.joinpath(target).resolve().relative_to("/")) in FILES, (name, target)


def test_pictures_may_come_from_where_results_lie(api: Api, tmp_path: Path) -> None:
    folder = FilesystemArtifactStore(tmp_path, "https://edits.example", "key")
    rules = policy(TestClient(create_app(replace(api.services, artifacts=folder))))
    assert rules["img-src"][:3] == ["'self'", "blob:", "data:"]
    assert rules["connect-src"][0] == "'self'"
    assert policy(api.client)["img-src"] == ["'self'", "blob:", "data:"]  # the memory store's links lead nowhere


def test_pictures_may_come_from_the_s3_store(api: Api) -> None:
    settings = Settings(
        s3_bucket="edits",
        s3_endpoint_url="http://s3.internal:9000",
        s3_public_endpoint_url="https://s3.example",
        s3_access_key_id="id",
        s3_secret_access_key="secret",  # type: ignore[arg-type]
    )
    rules = policy(TestClient(create_app(replace(api.services, artifacts=S3ArtifactStore.from_settings(settings)))))
    assert rules["img-src"][-1].endswith("s3.example")
    assert rules["connect-src"][-1].endswith("s3.example")


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_can_be_chosen(preset: str) -> None:
    assert f'<option value="{preset}">' in PAGE


def test_every_phase_has_words() -> None:
    words = SCRIPTS["words.js"]
    for phase in PHASES:
        assert f"  {phase}: '" in words


def test_every_element_that_a_script_names_is_there() -> None:
    made = {found for text in SCRIPTS.values() for found in re.findall(r"\bfield\('([\w-]+)'", text)}
    ids = made | set(re.findall(r'\bid="([\w-]+)"', PAGE))
    for name, text in SCRIPTS.items():
        assert set(re.findall(r"\$\('([\w-]+)'\)", text)) <= ids, name
