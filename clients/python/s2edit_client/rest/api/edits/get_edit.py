from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...models.edit import Edit
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    edit_id: str,
    *,
    if_none_match: None | str | Unset = UNSET,
    prefer: None | str | Unset = UNSET,
    s2_edit_user: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(if_none_match, Unset):
        headers["if-none-match"] = if_none_match

    if not isinstance(prefer, Unset):
        headers["prefer"] = prefer

    if not isinstance(s2_edit_user, Unset):
        headers["S2Edit-User"] = s2_edit_user

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/edits/{edit_id}".format(
            edit_id=quote(str(edit_id), safe=""),
        ),
    }

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Any | Edit | Problem:
    if response.status_code == 200:
        response_200 = Edit.from_dict(response.json())

        return response_200

    if response.status_code == 304:
        response_304 = cast(Any, None)
        return response_304

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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[Any | Edit | Problem]:
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
    if_none_match: None | str | Unset = UNSET,
    prefer: None | str | Unset = UNSET,
    s2_edit_user: str | Unset = UNSET,
) -> Response[Any | Edit | Problem]:
    """See how an edit stands

     Links in the answer are fresh each time; ask without `If-None-Match` to get new ones.

    Args:
        edit_id (str): The `id` of an edit or of a learning
        if_none_match (None | str | Unset): An `ETag` seen before: 304 while nothing has changed
        prefer (None | str | Unset): `wait=N`: hold the answer back for up to N seconds, at most
            60, until the edit is over, or, with `If-None-Match`, until it has changed
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | Edit | Problem]
    """

    kwargs = _get_kwargs(
        edit_id=edit_id,
        if_none_match=if_none_match,
        prefer=prefer,
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
    if_none_match: None | str | Unset = UNSET,
    prefer: None | str | Unset = UNSET,
    s2_edit_user: str | Unset = UNSET,
) -> Any | Edit | Problem | None:
    """See how an edit stands

     Links in the answer are fresh each time; ask without `If-None-Match` to get new ones.

    Args:
        edit_id (str): The `id` of an edit or of a learning
        if_none_match (None | str | Unset): An `ETag` seen before: 304 while nothing has changed
        prefer (None | str | Unset): `wait=N`: hold the answer back for up to N seconds, at most
            60, until the edit is over, or, with `If-None-Match`, until it has changed
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | Edit | Problem
    """

    return sync_detailed(
        edit_id=edit_id,
        client=client,
        if_none_match=if_none_match,
        prefer=prefer,
        s2_edit_user=s2_edit_user,
    ).parsed


async def asyncio_detailed(
    edit_id: str,
    *,
    client: AuthenticatedClient,
    if_none_match: None | str | Unset = UNSET,
    prefer: None | str | Unset = UNSET,
    s2_edit_user: str | Unset = UNSET,
) -> Response[Any | Edit | Problem]:
    """See how an edit stands

     Links in the answer are fresh each time; ask without `If-None-Match` to get new ones.

    Args:
        edit_id (str): The `id` of an edit or of a learning
        if_none_match (None | str | Unset): An `ETag` seen before: 304 while nothing has changed
        prefer (None | str | Unset): `wait=N`: hold the answer back for up to N seconds, at most
            60, until the edit is over, or, with `If-None-Match`, until it has changed
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | Edit | Problem]
    """

    kwargs = _get_kwargs(
        edit_id=edit_id,
        if_none_match=if_none_match,
        prefer=prefer,
        s2_edit_user=s2_edit_user,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    edit_id: str,
    *,
    client: AuthenticatedClient,
    if_none_match: None | str | Unset = UNSET,
    prefer: None | str | Unset = UNSET,
    s2_edit_user: str | Unset = UNSET,
) -> Any | Edit | Problem | None:
    """See how an edit stands

     Links in the answer are fresh each time; ask without `If-None-Match` to get new ones.

    Args:
        edit_id (str): The `id` of an edit or of a learning
        if_none_match (None | str | Unset): An `ETag` seen before: 304 while nothing has changed
        prefer (None | str | Unset): `wait=N`: hold the answer back for up to N seconds, at most
            60, until the edit is over, or, with `If-None-Match`, until it has changed
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | Edit | Problem
    """

    return (
        await asyncio_detailed(
            edit_id=edit_id,
            client=client,
            if_none_match=if_none_match,
            prefer=prefer,
            s2_edit_user=s2_edit_user,
        )
    ).parsed
