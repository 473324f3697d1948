"""Erase an edit, an identity, an attribute, an upload or a whole user. Each erasure returns a signed receipt."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Path, Request

from api.deps import AuthDep, Caller, ServicesDep, SlowCallsDep, get_principal
from api.wire.fields import ID_PATTERN
from api.wire.problems import responses
from api.wire.query import check_query
from api.wire.receipts import KeySet, Kind, Receipt, Receipts
from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.library.uploads import Uploads
from s2edit_jobs.records.record import Owner, to_datetime

router = APIRouter(tags=["erasure"], responses=responses(422, 503))


def get_receipts(request: Request, services: ServicesDep) -> Receipts:
    """Return the signer of receipts. It is made here only if that was impossible at the start."""
    state = request.app.state
    if not hasattr(state, "receipts"):
        state.receipts = Receipts.from_settings(services.settings)
    return cast(Receipts, state.receipts)


def get_erasure(services: ServicesDep) -> Erasure:
    return Erasure(services)


ReceiptsDep = Annotated[Receipts, Depends(get_receipts)]
ErasureDep = Annotated[Erasure, Depends(get_erasure)]


@router.delete(
    "/users/{user}",
    operation_id="eraseUser",
    summary="Erase a user",
    responses=responses(409),
    dependencies=[Depends(get_principal)],
)
async def erase_user(
    user: Annotated[str, Path(pattern=ID_PATTERN)],
    caller: Caller,
    erasure: ErasureDep,
    receipts: ReceiptsDep,
    slow: SlowCallsDep,
    auth: AuthDep,
) -> Receipt:
    """Erase all photos, masks, uploads, edits, results, identities, attributes and intermediate data of the user.

    Running jobs stop and publish nothing, and the user's device tokens end. The key needs the scope `admin`. Until the erasure is
    done, new requests of the user are rejected with 409; afterwards the user can start anew. A request from before that is
    repeated with its Idempotency-Key is answered 410. If a worker runs a job of the user, or an earlier erasure is not done, the
    response takes as long as a worker's lease. Safe to repeat: the user can start anew when the last erasure is done.
    """
    owner = Owner(caller.tenant, user)
    begun, wait_s = await slow.run(lambda: erasure.begin(owner))
    auth.tokens.forget()
    await asyncio.sleep(wait_s)
    erased = await slow.run(lambda: erasure.complete(begun))
    facts = {
        "edits": erased.edits,
        "identities": erased.identities,
        "attributes": erased.attributes,
        "redis_files_rewritten": erased.disk_rewritten,
    }
    return _receipt(receipts, "user", owner, user, erased.objects, began_at=erased.began_at, **facts)


@router.delete(
    "/edits/{edit_id}",
    operation_id="eraseEdit",
    summary="Erase an edit",
    responses=responses(404),
    dependencies=[Depends(get_principal)],
)
async def erase_edit(edit_id: str, owner: Caller, erasure: ErasureDep, receipts: ReceiptsDep, slow: SlowCallsDep) -> Receipt:
    """Erase the photo, masks, prompts, results and report of an edit or other job. A learned identity or attribute stays.

    Erase that by its own id. A request that is repeated with the Idempotency-Key of the edit is answered 410.
    """
    began_at = time.time()
    objects = await slow.run(lambda: erasure.edit(owner, edit_id))
    return _receipt(receipts, "edit", owner, edit_id, objects, began_at=began_at)


@router.delete(
    "/identities/{identity_id}",
    operation_id="eraseIdentity",
    summary="Erase an identity",
    responses=responses(404),
    dependencies=[Depends(get_principal)],
)
async def erase_identity(
    identity_id: str, owner: Caller, erasure: ErasureDep, receipts: ReceiptsDep, slow: SlowCallsDep
) -> Receipt:
    """Erase what was learned, the copies of photo and mask, and the inversions made with it.

    Queued and running edits that use the identity, or would learn it again from the same photo, fail with `identity_unknown` and
    publish nothing. Finished ones stay. A later edit of the photo learns the person anew.
    """
    began_at = time.time()
    objects = await slow.run(lambda: erasure.identity(owner, identity_id))
    return _receipt(receipts, "identity", owner, identity_id, objects, began_at=began_at)


@router.delete(
    "/attributes/{attribute_id}",
    operation_id="eraseAttribute",
    summary="Erase an attribute",
    responses=responses(404),
    dependencies=[Depends(get_principal)],
)
async def erase_attribute(
    attribute_id: str, owner: Caller, erasure: ErasureDep, receipts: ReceiptsDep, slow: SlowCallsDep
) -> Receipt:
    """Erase what was learned. The photo stays with the job that learned the attribute.

    Queued and running edits that use the attribute, and requests that would learn it again, fail with `attribute_unknown` and
    publish nothing. Finished ones stay.
    """
    began_at = time.time()
    objects = await slow.run(lambda: erasure.attribute(owner, attribute_id))
    return _receipt(receipts, "attribute", owner, attribute_id, objects, began_at=began_at)


@router.delete(
    "/uploads/{upload_id}",
    operation_id="eraseUpload",
    summary="Erase an upload",
    responses=responses(404),
    dependencies=[Depends(get_principal)],
)
async def erase_upload(upload_id: str, owner: Caller, services: ServicesDep, receipts: ReceiptsDep, slow: SlowCallsDep) -> Receipt:
    """Erase an upload before it expires. Jobs that used it keep their own copy.

    A request that names the upload is refused from then on, also one that is repeated with its Idempotency-Key.
    """
    began_at = time.time()
    objects = await slow.run(lambda: Uploads(services).erase(owner, upload_id))
    return _receipt(receipts, "upload", owner, upload_id, objects, began_at=began_at)


@router.get(
    "/receipts/keys",
    operation_id="getReceiptKeys",
    summary="Get the public keys of receipts",
    dependencies=[Depends(check_query)],
)
def get_receipt_keys(receipts: ReceiptsDep) -> KeySet:
    """Get the keys that verify receipts, as a JWK Set (RFC 7517)."""
    return KeySet.model_validate(receipts.public_keys)


def _receipt(
    receipts: Receipts,
    kind: Kind,
    owner: Owner,
    name: str,
    objects: int,
    *,
    began_at: float,
    **facts: Any,
) -> Receipt:
    ended_at = time.time()
    claims = {
        "erased": kind,
        "id": name,
        "tenant": owner.tenant,
        "user": owner.user,
        "objects": objects,
        "requested_at": to_datetime(began_at).isoformat(),
        "erased_at": to_datetime(ended_at).isoformat(),
        **facts,
    }
    return Receipt(erased=kind, id=name, objects=objects, erased_at=to_datetime(ended_at), receipt=receipts.sign(claims))
