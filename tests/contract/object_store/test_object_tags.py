"""Tags of objects, and the lifecycle rules in `deploy/` that select by them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from s2edit_jobs.records.record import Owner
from s2edit_jobs.settings import ROOT, Settings
from s2edit_jobs.stores.artifacts import concept_key, edit_key, inversion_key, tag_of, upload_key
from s2edit_jobs.stores.object_store.s3_artifacts import S3ArtifactStore, make_client
from tests.servers.radosgw import DAY_S
from tests.waiting import until

ANN = Owner("app", "ann")
TAGS: dict[str, str | None] = {
    inversion_key(ANN, "i_1", "inversion.safetensors"): "inversion",
    concept_key(ANN, "c_1", "checkpoint-000020.safetensors"): "checkpoint",
    edit_key(ANN, "e_1", "image.jpg"): "picture",
    edit_key(ANN, "e_1", "result-17.png"): "picture",
    edit_key(ANN, "e_1", "spec.json"): None,
    edit_key(ANN, "e_1", "outcome.json"): None,
    concept_key(ANN, "c_1", "concept.safetensors"): None,
    concept_key(ANN, "c_1", "image.png"): None,
    concept_key(ANN, "c_1", "inversions/i_1"): None,
    concept_key(ANN, "c_1", "used-001795677792"): None,
    upload_key(ANN, "u_1", "file.png"): None,
    "keys/k_1/key.json": None,
    "outbox/e_1": None,
}


@pytest.fixture(params=["moto", "radosgw"])
def settings(request: pytest.FixtureRequest) -> Settings:
    found: Settings = request.getfixturevalue(request.param)
    return found


def store_in(settings: Settings, *, tags: bool) -> tuple[S3ArtifactStore, Any, str]:
    client, bucket = make_client(settings, settings.s3_endpoint_url), f"tags-{time.time_ns()}"
    client.create_bucket(Bucket=bucket)
    return S3ArtifactStore(client, bucket, tags=tags), client, bucket


@pytest.mark.parametrize("only_if_absent", [False, True])
@pytest.mark.parametrize("tags", [False, True])
def test_objects_that_may_go_are_tagged_if_the_settings_say_so(settings: Settings, tags: bool, only_if_absent: bool) -> None:
    store, client, bucket = store_in(settings, tags=tags)
    for key, tag in TAGS.items():
        assert tag_of(key) == tag
        store.put(key, b"x", media_type="image/png", only_if_absent=only_if_absent)
        found = client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
        assert found == ([{"Key": "s2edit", "Value": tag}] if tags and tag else [])


def test_the_rules_in_deploy_remove_what_is_tagged_and_nothing_else(radosgw: Settings) -> None:
    store, client, bucket = store_in(radosgw, tags=True)
    rules = json.loads((ROOT / "deploy" / "s3-lifecycle.json").read_text())
    for rule in rules["Rules"]:
        if "Days" in rule.get("Expiration", {}):
            rule["Expiration"]["Days"] = 1
    for key in TAGS:
        store.put(key, b"x", media_type="image/png")
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=rules)
    kept = {key for key, tag in TAGS.items() if tag not in ("inversion", "checkpoint")}
    until(lambda: kept >= {*store.list("t/"), *store.list("keys/"), *store.list("outbox/")}, timeout_s=30 * DAY_S)
    assert {*store.list("t/"), *store.list("keys/"), *store.list("outbox/")} == kept
