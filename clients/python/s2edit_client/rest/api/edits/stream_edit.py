from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...models.problem import Problem
from ...models.stream_edit_response_200_type_0 import StreamEditResponse200Type0
from ...types import UNSET, Response, Unset


def _get_kwargs(
    edit_id: str,
    *,
    last_event_id: None | str | Unset = UNSET,
    s2_edit_user: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(last_event_id, Unset):
        headers["last-event-id"] = last_event_id

    if not isinstance(s2_edit_user, Unset):
        headers["S2Edit-User"] = s2_edit_user

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/edits/{edit_id}/events".format(
            edit_id=quote(str(edit_id), safe=""),
        ),
    }

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Any | Problem | str | StreamEditResponse200Type0:
    if response.status_code == 200:

        def _parse_response_200(data: object) -> str | StreamEditResponse200Type0:
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                response_200_type_0 = StreamEditResponse200Type0.from_dict(data)

                return response_200_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(str | StreamEditResponse200Type0, data)

        response_200 = _parse_response_200(response.text)

        return response_200

    if response.status_code == 204:
        response_204 = cast(Any, None)
        return response_204

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


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[Any | Problem | str | StreamEditResponse200Type0]:
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
    last_event_id: None | str | Unset = UNSET,
    s2_edit_user: str | Unset = UNSET,
) -> Response[Any | Problem | str | StreamEditResponse200Type0]:
    """Follow an edit by server-sent events

     Without `Last-Event-ID` the stream begins with the oldest event that is kept. It ends also with the
    key or token.

    Args:
        edit_id (str): The `id` of an edit or of a learning
        last_event_id (None | str | Unset): The last sequence that was seen: the stream goes on
            behind it
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | Problem | str | StreamEditResponse200Type0]
    """

    kwargs = _get_kwargs(
        edit_id=edit_id,
        last_event_id=last_event_id,
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
    last_event_id: None | str | Unset = UNSET,
    s2_edit_user: str | Unset = UNSET,
) -> Any | Problem | str | StreamEditResponse200Type0 | None:
    """Follow an edit by server-sent events

     Without `Last-Event-ID` the stream begins with the oldest event that is kept. It ends also with the
    key or token.

    Args:
        edit_id (str): The `id` of an edit or of a learning
        last_event_id (None | str | Unset): The last sequence that was seen: the stream goes on
            behind it
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | Problem | str | StreamEditResponse200Type0
    """

    return sync_detailed(
        edit_id=edit_id,
        client=client,
        last_event_id=last_event_id,
        s2_edit_user=s2_edit_user,
    ).parsed


async def asyncio_detailed(
    edit_id: str,
    *,
    client: AuthenticatedClient,
    last_event_id: None | str | Unset = UNSET,
    s2_edit_user: str | Unset = UNSET,
) -> Response[Any | Problem | str | StreamEditResponse200Type0]:
    """Follow an edit by server-sent events

     Without `Last-Event-ID` the stream begins with the oldest event that is kept. It ends also with the
    key or token.

    Args:
        edit_id (str): The `id` of an edit or of a learning
        last_event_id (None | str | Unset): The last sequence that was seen: the stream goes on
            behind it
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | Problem | str | StreamEditResponse200Type0]
    """

    kwargs = _get_kwargs(
        edit_id=edit_id,
        last_event_id=last_event_id,
        s2_edit_user=s2_edit_user,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    edit_id: str,
    *,
    client: AuthenticatedClient,
    last_event_id: None | str | Unset = UNSET,
    s2_edit_user: str | Unset = UNSET,
) -> Any | Problem | str | StreamEditResponse200Type0 | None:
    """Follow an edit by server-sent events

     Without `Last-Event-ID` the stream begins with the oldest event that is kept. It ends also with the
    key or token.

    Args:
        edit_id (str): The `id` of an edit or of a learning
        last_event_id (None | str | Unset): The last sequence that was seen: the stream goes on
            behind it
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | Problem | str | StreamEditResponse200Type0
    """

    return (
        await asyncio_detailed(
            edit_id=edit_id,
            client=client,
            last_event_id=last_event_id,
            s2_edit_user=s2_edit_user,
        )
    ).parsed
