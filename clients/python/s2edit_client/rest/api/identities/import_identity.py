from http import HTTPStatus
from typing import Any

import httpx

from ...client import AuthenticatedClient, Client
from ...models.identity import Identity
from ...models.import_form import ImportForm
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    body: ImportForm,
    s2_edit_user: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(s2_edit_user, Unset):
        headers["S2Edit-User"] = s2_edit_user

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/identities/import",
    }

    _kwargs["files"] = body.to_multipart()

    headers["Content-Type"] = "multipart/form-data; boundary=+++"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Identity | Problem:
    if response.status_code == 201:
        response_201 = Identity.from_dict(response.json())

        return response_201

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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[Identity | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: ImportForm,
    s2_edit_user: str | Unset = UNSET,
) -> Response[Identity | Problem]:
    """Bring an exported identity

     The file must be of the very model that this service has. It holds no photo: edits with it send one.

    The same file is the same identity: consent and life of the first time stay.

    Args:
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`
        body (ImportForm): The parts of `POST /identities/import`.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Identity | Problem]
    """

    kwargs = _get_kwargs(
        body=body,
        s2_edit_user=s2_edit_user,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    body: ImportForm,
    s2_edit_user: str | Unset = UNSET,
) -> Identity | Problem | None:
    """Bring an exported identity

     The file must be of the very model that this service has. It holds no photo: edits with it send one.

    The same file is the same identity: consent and life of the first time stay.

    Args:
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`
        body (ImportForm): The parts of `POST /identities/import`.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Identity | Problem
    """

    return sync_detailed(
        client=client,
        body=body,
        s2_edit_user=s2_edit_user,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: ImportForm,
    s2_edit_user: str | Unset = UNSET,
) -> Response[Identity | Problem]:
    """Bring an exported identity

     The file must be of the very model that this service has. It holds no photo: edits with it send one.

    The same file is the same identity: consent and life of the first time stay.

    Args:
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`
        body (ImportForm): The parts of `POST /identities/import`.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Identity | Problem]
    """

    kwargs = _get_kwargs(
        body=body,
        s2_edit_user=s2_edit_user,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    body: ImportForm,
    s2_edit_user: str | Unset = UNSET,
) -> Identity | Problem | None:
    """Bring an exported identity

     The file must be of the very model that this service has. It holds no photo: edits with it send one.

    The same file is the same identity: consent and life of the first time stay.

    Args:
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`
        body (ImportForm): The parts of `POST /identities/import`.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Identity | Problem
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            s2_edit_user=s2_edit_user,
        )
    ).parsed
