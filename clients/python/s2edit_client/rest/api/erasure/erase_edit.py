from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...models.problem import Problem
from ...models.receipt import Receipt
from ...types import UNSET, Response, Unset


def _get_kwargs(
    edit_id: str,
    *,
    s2_edit_user: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(s2_edit_user, Unset):
        headers["S2Edit-User"] = s2_edit_user

    _kwargs: dict[str, Any] = {
        "method": "delete",
        "url": "/edits/{edit_id}".format(
            edit_id=quote(str(edit_id), safe=""),
        ),
    }

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Problem | Receipt:
    if response.status_code == 200:
        response_200 = Receipt.from_dict(response.json())

        return response_200

    if response.status_code == 401:
        response_401 = Problem.from_dict(response.json())

        return response_401

    if response.status_code == 403:
        response_403 = Problem.from_dict(response.json())

        return response_403

    if response.status_code == 404:
        response_404 = Problem.from_dict(response.json())

        return response_404

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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[Problem | Receipt]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    edit_id: str,
    *,
    client: AuthenticatedClient,
    s2_edit_user: str | Unset = UNSET,
) -> Response[Problem | Receipt]:
    """Erase an edit

     Its photo, masks, prompts, results and report; also of what was learned ahead. The identity or
    attribute that it has learned
    stays: erase that by its own id.

    Args:
        edit_id (str): The `id` of an edit or of a learning
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | Receipt]
    """

    kwargs = _get_kwargs(
        edit_id=edit_id,
        s2_edit_user=s2_edit_user,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    edit_id: str,
    *,
    client: AuthenticatedClient,
    s2_edit_user: str | Unset = UNSET,
) -> Problem | Receipt | None:
    """Erase an edit

     Its photo, masks, prompts, results and report; also of what was learned ahead. The identity or
    attribute that it has learned
    stays: erase that by its own id.

    Args:
        edit_id (str): The `id` of an edit or of a learning
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | Receipt
    """

    return sync_detailed(
        edit_id=edit_id,
        client=client,
        s2_edit_user=s2_edit_user,
    ).parsed


async def asyncio_detailed(
    edit_id: str,
    *,
    client: AuthenticatedClient,
    s2_edit_user: str | Unset = UNSET,
) -> Response[Problem | Receipt]:
    """Erase an edit

     Its photo, masks, prompts, results and report; also of what was learned ahead. The identity or
    attribute that it has learned
    stays: erase that by its own id.

    Args:
        edit_id (str): The `id` of an edit or of a learning
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | Receipt]
    """

    kwargs = _get_kwargs(
        edit_id=edit_id,
        s2_edit_user=s2_edit_user,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    edit_id: str,
    *,
    client: AuthenticatedClient,
    s2_edit_user: str | Unset = UNSET,
) -> Problem | Receipt | None:
    """Erase an edit

     Its photo, masks, prompts, results and report; also of what was learned ahead. The identity or
    attribute that it has learned
    stays: erase that by its own id.

    Args:
        edit_id (str): The `id` of an edit or of a learning
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | Receipt
    """

    return (
        await asyncio_detailed(
            edit_id=edit_id,
            client=client,
            s2_edit_user=s2_edit_user,
        )
    ).parsed
