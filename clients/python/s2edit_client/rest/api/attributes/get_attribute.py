from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...models.attribute import Attribute
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    attribute_id: str,
    *,
    s2_edit_user: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(s2_edit_user, Unset):
        headers["S2Edit-User"] = s2_edit_user

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/attributes/{attribute_id}".format(
            attribute_id=quote(str(attribute_id), safe=""),
        ),
    }

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Attribute | Problem:
    if response.status_code == 200:
        response_200 = Attribute.from_dict(response.json())

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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[Attribute | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    attribute_id: str,
    *,
    client: AuthenticatedClient,
    s2_edit_user: str | Unset = UNSET,
) -> Response[Attribute | Problem]:
    """See a learned attribute

     How edits write it, and what it was learned with.

    Args:
        attribute_id (str): The `id` of an attribute
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Attribute | Problem]
    """

    kwargs = _get_kwargs(
        attribute_id=attribute_id,
        s2_edit_user=s2_edit_user,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    attribute_id: str,
    *,
    client: AuthenticatedClient,
    s2_edit_user: str | Unset = UNSET,
) -> Attribute | Problem | None:
    """See a learned attribute

     How edits write it, and what it was learned with.

    Args:
        attribute_id (str): The `id` of an attribute
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Attribute | Problem
    """

    return sync_detailed(
        attribute_id=attribute_id,
        client=client,
        s2_edit_user=s2_edit_user,
    ).parsed


async def asyncio_detailed(
    attribute_id: str,
    *,
    client: AuthenticatedClient,
    s2_edit_user: str | Unset = UNSET,
) -> Response[Attribute | Problem]:
    """See a learned attribute

     How edits write it, and what it was learned with.

    Args:
        attribute_id (str): The `id` of an attribute
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Attribute | Problem]
    """

    kwargs = _get_kwargs(
        attribute_id=attribute_id,
        s2_edit_user=s2_edit_user,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    attribute_id: str,
    *,
    client: AuthenticatedClient,
    s2_edit_user: str | Unset = UNSET,
) -> Attribute | Problem | None:
    """See a learned attribute

     How edits write it, and what it was learned with.

    Args:
        attribute_id (str): The `id` of an attribute
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Attribute | Problem
    """

    return (
        await asyncio_detailed(
            attribute_id=attribute_id,
            client=client,
            s2_edit_user=s2_edit_user,
        )
    ).parsed
