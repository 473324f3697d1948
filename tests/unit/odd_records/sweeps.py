"""Every loop that removes or completes what is stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from s2edit_jobs.access.revoked_tokens import MARKER_TTL_S, sweep_ended
from s2edit_jobs.library.concepts import Identity
from s2edit_jobs.library.erased_concepts import ERASED
from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.library.last_use import used_name
from s2edit_jobs.library.retention import Retention
from s2edit_jobs.lifecycle.request_markers import ERASED as ERASED_USERS
from s2edit_jobs.lifecycle.request_markers import sweep_erased_keys
from s2edit_jobs.records.record import new_job_id
from s2edit_jobs.stores.artifacts import edit_key
from s2edit_jobs.stores.markers import erasing_key, expiring_key, owner_mark
from tests.unit.odd_records.world import ANN, BOB, HOOK, IDS, OLD, World
from worker.housekeeping.sweeper import sweep


@dataclass(frozen=True)
class Loop:
    """One loop. `prepare` stores good items and a place for a bad one; `run` checks that the good ones are handled.

    `prepare` returns the key of the bad item and what `run` needs. `is_counted` is false if the loop need not read the item.
    """

    prepare: Callable[[World], tuple[str, Any]]
    run: Callable[[World, Any], None]
    is_counted: bool = True


def swept(key: str, good: Callable[[World], list[str]], sweep: Callable[[World], object], *, is_counted: bool = True) -> Loop:
    """Return the loop of a sweep, which removes the `good` items."""

    def prepare(world: World) -> tuple[str, Any]:
        return key, good(world)

    def run(world: World, keys: list[str]) -> None:
        sweep(world)
        assert [key for key in keys if world.artifacts.exists(key)] == []

    return Loop(prepare, run, is_counted)


def old_requests(world: World) -> list[str]:
    keys = [f"{ANN.prefix}requests/{digit * 64}.json" for digit in "19"]
    for key in keys:
        world.put(key, {"job_id": new_job_id(), "created_at": OLD, "request": "00"})
    return keys


def old_uploads(world: World) -> list[str]:
    keys = [f"{ANN.prefix}uploads/{IDS['u'][i]}/upload.json" for i in (0, 2)]
    for key in keys:
        world.put(key, {"id": "u", "media_type": "image/png", "size_bytes": 5, "sha256": None, "created_at": OLD})
    return keys


def old_ends(world: World) -> list[str]:
    keys = [f"ended/{digit * 32}" for digit in "19"]
    for key in keys:
        world.put(key, OLD)
    return keys


def old_keys(world: World) -> list[str]:
    keys = [f"{ERASED_USERS}{digit * 32}" for digit in "19"]
    for key in keys:
        world.put(key, {"keys": {"0" * 32: OLD}})
    return keys


def old_erasures(world: World) -> list[str]:
    keys = [f"{ANN.prefix}{ERASED}/{IDS['c'][i]}" for i in (0, 2)]
    for key, stored in zip(keys, (OLD, {"erased_at": OLD, "jobs": [], "version": 2}), strict=True):
        world.put(key, stored)
    return keys


def orphaned_files(world: World) -> list[str]:
    keys = [f"{ANN.prefix}uploads/{IDS['u'][i]}/file.png" for i in (0, 2)]
    for key in keys:
        world.put(key, b"photo")
    return keys


def spent_tokens(world: World) -> list[str]:
    keys = [f"{ANN.prefix}tokens/{int(OLD)}-{digit * 32}/edits-0" for digit in "19"]
    for key in keys:
        world.put(key, b"")
    return keys


def erasures(world: World) -> list[str]:
    keys = [erasing_key(ANN), f"erasing/{owner_mark(BOB)}"]  # as this release and an earlier one write them
    for key, owner in zip(keys, (ANN, BOB), strict=True):
        world.put(key, {"tenant": owner.tenant, "user": owner.user, "began_at": OLD, "wait_s": 1.0})
    return keys


def expired(world: World) -> list[str]:
    keys = []
    for identity_id in (IDS["c"][0], IDS["c"][2]):
        card = f"{ANN.prefix}concepts/{identity_id}/identity.json"
        world.put(card, Identity(identity_id, None, None, OLD, {}, expires_at=OLD + 5).to_json())
        world.put(expiring_key(ANN, identity_id, OLD + 5), card.encode())
        keys += [card, expiring_key(ANN, identity_id, OLD + 5)]
    return keys


def expired_card(world: World) -> tuple[str, Any]:
    keys = expired(world)
    bad = f"{ANN.prefix}concepts/{IDS['c'][1]}/identity.json"
    world.put(expiring_key(ANN, IDS["c"][1], OLD + 5), bad.encode())
    return bad, [*keys, bad]


def erase_expired(world: World, keys: list[str]) -> None:
    Erasure(world.services).erase_expired()
    assert [key for key in keys if world.artifacts.exists(key)] == [], "the bad one has expired, too"


def expired_edits(world: World) -> list[str]:
    return [edit_key(ANN, world.ended(), "outcome.json") for _ in range(2)]


def expired_edit(world: World) -> tuple[str, Any]:
    keys, bad = expired_edits(world), world.ended()
    return edit_key(ANN, bad, "outcome.json"), keys


def sweep_edits(world: World, keys: list[str]) -> None:
    world.services = replace(world.services, settings=world.services.settings.model_copy(update={"edit_ttl_s": 60.0}))
    Retention(world.services, clock=lambda: time.time() + 3600).sweep()
    assert [key for key in keys if world.artifacts.exists(key)] == []


def identity_card(each: str) -> bytes:
    return Identity(each, None, None, OLD, {}).to_json()


def unused_identities(world: World) -> tuple[str, Any]:
    for identity_id in IDS["c"]:
        world.put(f"{ANN.prefix}concepts/{identity_id}/identity.json", identity_card(identity_id))
        world.put(f"{ANN.prefix}concepts/{identity_id}/concept.safetensors", b"x")
        world.put(f"{ANN.prefix}concepts/{identity_id}/{used_name(None, OLD)}", b"")
    cards = [f"{ANN.prefix}concepts/{each}/identity.json" for each in IDS["c"]]
    return cards[1], cards


def sweep_identities(world: World, cards: list[str]) -> None:
    world.services = replace(world.services, settings=world.services.settings.model_copy(update={"identity_idle_ttl_s": 60.0}))
    Retention(world.services).sweep()
    assert [card for card in cards if world.artifacts.exists(card)] == [], "the bad one was not used, too"


def extended_upload(world: World) -> tuple[str, Any]:
    keys = old_uploads(world)
    bad = f"{ANN.prefix}uploads/{IDS['u'][1]}/"
    world.put(f"{bad}upload.json", {"id": "u", "media_type": "image/png", "size_bytes": 5, "sha256": None, "created_at": OLD})
    return f"{bad}kept.json", keys


def sweep_uploads(world: World, keys: list[str]) -> None:
    Retention(world.services).sweep()
    assert [key for key in keys if world.artifacts.exists(key)] == []


def outbox_lost(world: World) -> tuple[str, Any]:
    good = (world.ended(webhook_url=HOOK), world.ended(webhook_url=HOOK))
    world.database.client.delete("s2edit:outbox")
    return f"outbox/{new_job_id()}", good


def sweep_outbox(world: World, good: tuple[str, ...]) -> None:
    sweep(world.services)
    assert sorted(world.deliver()) == sorted(good)


SWEEPS: Mapping[str, Loop] = {
    "sweep of idempotency markers": swept(
        f"{ANN.prefix}requests/{'5' * 64}.json",
        old_requests,
        lambda world: Retention(world.services).sweep().get("requests", 0),
    ),
    "sweep of uploads": swept(
        f"{ANN.prefix}uploads/{IDS['u'][1]}/upload.json",
        old_uploads,
        lambda world: Retention(world.services).sweep().get("uploads", 0),
    ),
    "sweep of files of erased uploads": swept(
        f"{ANN.prefix}uploads/{IDS['u'][1]}/upload.json",
        orphaned_files,
        lambda world: Retention(world.services).sweep().get("uploads", 0),
        is_counted=False,
    ),
    "sweep of spent tokens": swept(
        f"{ANN.prefix}tokens/{int(OLD)}-{'5' * 32}/edits-0",
        spent_tokens,
        lambda world: Retention(world.services).sweep(),
        is_counted=False,
    ),
    "sweep of uploads, an extension": Loop(extended_upload, sweep_uploads, is_counted=False),
    "sweep of edits, an outcome": Loop(expired_edit, sweep_edits, is_counted=False),
    "sweep of identities, a card": Loop(unused_identities, sweep_identities, is_counted=False),
    "sweep of webhooks": Loop(outbox_lost, sweep_outbox),
    "sweep of ended tokens": swept(
        f"ended/{'5' * 32}", old_ends, lambda world: sweep_ended(world.artifacts, now=OLD + MARKER_TTL_S + 5)
    ),
    "sweep of erased concepts": swept(
        f"{ANN.prefix}{ERASED}/{IDS['c'][1]}", old_erasures, lambda world: Retention(world.services).sweep()
    ),
    "sweep of erased keys": swept(
        f"{ERASED_USERS}{'5' * 32}", old_keys, lambda world: sweep_erased_keys(world.artifacts, before=OLD + 5)
    ),
    "erasures, resumed": swept(f"erasing/{'5' * 32}", erasures, lambda world: Erasure(world.services).resume()),
    "expired identities, a marker": swept(
        f"expiring/{int(OLD) + 5:012}-{'5' * 32}-{IDS['c'][1]}", expired, lambda world: Erasure(world.services).erase_expired()
    ),
    "expired identities, a card": Loop(expired_card, erase_expired, is_counted=False),
}
