from http import HTTPStatus
from typing import Any

import httpx

from ...client import AuthenticatedClient, Client
from ...models.edit import Edit
from ...models.identity_form import IdentityForm
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    body: IdentityForm,
    idempotency_key: None | str | Unset = UNSET,
    prefer: None | str | Unset = UNSET,
    s2_edit_user: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    if not isinstance(prefer, Unset):
        headers["prefer"] = prefer

    if not isinstance(s2_edit_user, Unset):
        headers["S2Edit-User"] = s2_edit_user

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/identities",
    }

    _kwargs["files"] = body.to_multipart()

    headers["Content-Type"] = "multipart/form-data; boundary=+++"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Edit | Problem:
    if response.status_code == 202:
        response_202 = Edit.from_dict(response.json())

        return response_202

    if response.status_code == 400:
        response_400 = Problem.from_dict(response.json())

        return response_400

    if response.status_code == 401:
        response_401 = Problem.from_dict(response.json())

        return response_401

    if response.status_code == 403:
        response_403 = Problem.from_dict(response.json())

        return response_403

    if response.status_code == 409:
        response_409 = Problem.from_dict(response.json())

        return response_409

    if response.status_code == 413:
        response_413 = Problem.from_dict(response.json())

        return response_413

    if response.status_code == 415:
        response_415 = Problem.from_dict(response.json())

        return response_415

    if response.status_code == 421:
        response_421 = Problem.from_dict(response.json())

        return response_421

    if response.status_code == 422:
        response_422 = Problem.from_dict(response.json())

        return response_422

    if response.status_code == 429:
        response_429 = Problem.from_dict(response.json())

        return response_429

    if response.status_code == 503:
        response_503 = Problem.from_dict(response.json())

        return response_503

    response_default = Problem.from_dict(response.json())

    return response_default


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[Edit | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: IdentityForm,
    idempotency_key: None | str | Unset = UNSET,
    prefer: None | str | Unset = UNSET,
    s2_edit_user: str | Unset = UNSET,
) -> Response[Edit | Problem]:
    """Learn an identity ahead of any edit

     Follow the learning at `Location`; once it has succeeded, `identity` is the id that edits name. An
    edit of the same photo,
    mask and source prompt finds it by itself. Without a mask the person is found, as by an edit.

    Args:
        idempotency_key (None | str | Unset): Makes it safe to send the request again: the same
            key with the same form is the same job
        prefer (None | str | Unset): `wait=N`: hold the answer back for up to N seconds, at most
            60, until the edit is over, or, with `If-None-Match`, until it has changed
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`
        body (IdentityForm): The parts of `POST /identities`: a person, learned ahead of any edit.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Edit | Problem]
    """

    kwargs = _get_kwargs(
        body=body,
        idempotency_key=idempotency_key,
        prefer=prefer,
        s2_edit_user=s2_edit_user,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    body: IdentityForm,
    idempotency_key: None | str | Unset = UNSET,
    prefer: None | str | Unset = UNSET,
    s2_edit_user: str | Unset = UNSET,
) -> Edit | Problem | None:
    """Learn an identity ahead of any edit

     Follow the learning at `Location`; once it has succeeded, `identity` is the id that edits name. An
    edit of the same photo,
    mask and source prompt finds it by itself. Without a mask the person is found, as by an edit.

    Args:
        idempotency_key (None | str | Unset): Makes it safe to send the request again: the same
            key with the same form is the same job
        prefer (None | str | Unset): `wait=N`: hold the answer back for up to N seconds, at most
            60, until the edit is over, or, with `If-None-Match`, until it has changed
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`
        body (IdentityForm): The parts of `POST /identities`: a person, learned ahead of any edit.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Edit | Problem
    """

    return sync_detailed(
        client=client,
        body=body,
        idempotency_key=idempotency_key,
        prefer=prefer,
        s2_edit_user=s2_edit_user,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: IdentityForm,
    idempotency_key: None | str | Unset = UNSET,
    prefer: None | str | Unset = UNSET,
    s2_edit_user: str | Unset = UNSET,
) -> Response[Edit | Problem]:
    """Learn an identity ahead of any edit

     Follow the learning at `Location`; once it has succeeded, `identity` is the id that edits name. An
    edit of the same photo,
    mask and source prompt finds it by itself. Without a mask the person is found, as by an edit.

    Args:
        idempotency_key (None | str | Unset): Makes it safe to send the request again: the same
            key with the same form is the same job
        prefer (None | str | Unset): `wait=N`: hold the answer back for up to N seconds, at most
            60, until the edit is over, or, with `If-None-Match`, until it has changed
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`
        body (IdentityForm): The parts of `POST /identities`: a person, learned ahead of any edit.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Edit | Problem]
    """

    kwargs = _get_kwargs(
        body=body,
        idempotency_key=idempotency_key,
        prefer=prefer,
        s2_edit_user=s2_edit_user,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    body: IdentityForm,
    idempotency_key: None | str | Unset = UNSET,
    prefer: None | str | Unset = UNSET,
    s2_edit_user: str | Unset = UNSET,
) -> Edit | Problem | None:
    """Learn an identity ahead of any edit

     Follow the learning at `Location`; once it has succeeded, `identity` is the id that edits name. An
    edit of the same photo,
    mask and source prompt finds it by itself. Without a mask the person is found, as by an edit.

    Args:
        idempotency_key (None | str | Unset): Makes it safe to send the request again: the same
            key with the same form is the same job
        prefer (None | str | Unset): `wait=N`: hold the answer back for up to N seconds, at most
            60, until the edit is over, or, with `If-None-Match`, until it has changed
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`
        body (IdentityForm): The parts of `POST /identities`: a person, learned ahead of any edit.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Edit | Problem
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            idempotency_key=idempotency_key,
            prefer=prefer,
            s2_edit_user=s2_edit_user,
        )
    ).parsed
