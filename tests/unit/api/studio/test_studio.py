from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.studio import page as studio
from s2edit_core.request.spec import PRESETS
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from s2edit_jobs.stores.object_store.s3_artifacts import S3ArtifactStore
from tests.unit.api.conftest import Api


def policy(client: TestClient) -> dict[str, list[str]]:
    sent = client.get("/").headers["content-security-policy"]
    return {name: sources for name, *sources in (directive.split() for directive in sent.split(";"))}


def test_the_page_is_served(api: Api) -> None:
    answer = api.client.get("/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.text == studio.page()


def test_its_policy_lets_its_own_script_and_style_run_and_nothing_else(api: Api) -> None:
    rules = policy(api.client)
    assert rules["default-src"] == ["'none'"]
    for directive, element in (("script-src", "script"), ("style-src", "style")):
        (inner,) = re.findall(rf"<{element}>(.*?)</{element}>", studio.page(), flags=re.DOTALL)
        assert rules[directive] == [f"'sha256-{base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()}'"]


def test_it_loads_nothing_from_elsewhere() -> None:
    assert not re.findall(r"https?:|//[a-z]|@import|\bimport\(|<link[^>]*href=\"(?!data:)|<script\s", studio.page())
    assert not re.findall(r"\son[a-z]+=|\sstyle=|javascript:|innerHTML|document\.write|eval\(", studio.page())


def test_pictures_may_come_from_where_results_lie(api: Api, tmp_path: Path) -> None:
    folder = FilesystemArtifactStore(tmp_path, "https://edits.example", "key")
    assert "https://edits.example" in policy(TestClient(create_app(replace(api.services, artifacts=folder))))["img-src"]
    assert policy(api.client)["img-src"] == ["'self'", "blob:", "data:"]  # the memory store's links lead nowhere


def test_pictures_may_come_from_the_s3_store(api: Api) -> None:
    settings = Settings(
        s3_bucket="edits",
        s3_endpoint_url="http://s3.internal:9000",
        s3_public_endpoint_url="https://s3.example",
        s3_access_key_id="id",
        s3_secret_access_key="secret",  # type: ignore[arg-type]
    )
    store = S3ArtifactStore.from_settings(settings)
    assert policy(TestClient(create_app(replace(api.services, artifacts=store))))["img-src"][-1].endswith("s3.example")


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_can_be_chosen(preset: str) -> None:
    assert f'<option value="{preset}">' in studio.page()


def test_every_control_has_a_label() -> None:
    page = studio.page()
    labelled = set(re.findall(r'<label for="(\w+)"', page)) | set(re.findall(r'<label><input [^>]*id="(\w+)"', page))
    controls = {found[1] for found in re.finditer(r'<(?:input|select)[^>]*\bid="(\w+)"', page)}
    assert controls <= labelled
    assert 'aria-label="Photo to paint on"' in page


def test_every_element_that_the_script_names_is_there() -> None:
    page = studio.page()
    named = set(re.findall(r"\$\('(\w+)'\)", page))
    assert named <= set(re.findall(r'\bid="(\w+)"', page))


def test_masks_that_are_found_may_come_from_where_results_lie(api: Api, tmp_path: Path) -> None:
    folder = FilesystemArtifactStore(tmp_path, "https://edits.example", "key")
    assert policy(TestClient(create_app(replace(api.services, artifacts=folder))))["connect-src"] == [
        "'self'",
        "https://edits.example",
    ]
