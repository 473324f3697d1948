from http import HTTPStatus
from typing import Any

import httpx

from ...client import AuthenticatedClient, Client
from ...models.edit_page import EditPage
from ...models.job_state import JobState
from ...models.list_edits_kind_type_0 import ListEditsKindType0
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    state: JobState | None | Unset = UNSET,
    identity: None | str | Unset = UNSET,
    kind: ListEditsKindType0 | None | Unset = UNSET,
    limit: int | Unset = 20,
    cursor: None | str | Unset = UNSET,
    s2_edit_user: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(s2_edit_user, Unset):
        headers["S2Edit-User"] = s2_edit_user

    params: dict[str, Any] = {}

    json_state: None | str | Unset
    if isinstance(state, Unset):
        json_state = UNSET
    elif isinstance(state, JobState):
        json_state = state.value
    else:
        json_state = state
    params["state"] = json_state

    json_identity: None | str | Unset
    if isinstance(identity, Unset):
        json_identity = UNSET
    else:
        json_identity = identity
    params["identity"] = json_identity

    json_kind: None | str | Unset
    if isinstance(kind, Unset):
        json_kind = UNSET
    elif isinstance(kind, ListEditsKindType0):
        json_kind = kind.value
    else:
        json_kind = kind
    params["kind"] = json_kind

    params["limit"] = limit

    json_cursor: None | str | Unset
    if isinstance(cursor, Unset):
        json_cursor = UNSET
    else:
        json_cursor = cursor
    params["cursor"] = json_cursor

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/edits",
        "params": params,
    }

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> EditPage | Problem:
    if response.status_code == 200:
        response_200 = EditPage.from_dict(response.json())

        return response_200

    if response.status_code == 401:
        response_401 = Problem.from_dict(response.json())

        return response_401

    if response.status_code == 403:
        response_403 = Problem.from_dict(response.json())

        return response_403

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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[EditPage | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    state: JobState | None | Unset = UNSET,
    identity: None | str | Unset = UNSET,
    kind: ListEditsKindType0 | None | Unset = UNSET,
    limit: int | Unset = 20,
    cursor: None | str | Unset = UNSET,
    s2_edit_user: str | Unset = UNSET,
) -> Response[EditPage | Problem]:
    """List edits, newest first

     Edits that come while you turn the pages stand on the first one: no page repeats another, and none
    leaves an edit out.

    Reports and estimates are not in lists: ask for the edit.

    Args:
        state (JobState | None | Unset): Only those that stand so
        identity (None | str | Unset): Only those that learned or used this identity
        kind (ListEditsKindType0 | None | Unset): Only edits, or only what was learned or found
            ahead
        limit (int | Unset): How many at most; a page may hold fewer and not be the last Default:
            20.
        cursor (None | str | Unset): The `next_cursor` of the page before. Left out: from the
            beginning
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[EditPage | Problem]
    """

    kwargs = _get_kwargs(
        state=state,
        identity=identity,
        kind=kind,
        limit=limit,
        cursor=cursor,
        s2_edit_user=s2_edit_user,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    state: JobState | None | Unset = UNSET,
    identity: None | str | Unset = UNSET,
    kind: ListEditsKindType0 | None | Unset = UNSET,
    limit: int | Unset = 20,
    cursor: None | str | Unset = UNSET,
    s2_edit_user: str | Unset = UNSET,
) -> EditPage | Problem | None:
    """List edits, newest first

     Edits that come while you turn the pages stand on the first one: no page repeats another, and none
    leaves an edit out.

    Reports and estimates are not in lists: ask for the edit.

    Args:
        state (JobState | None | Unset): Only those that stand so
        identity (None | str | Unset): Only those that learned or used this identity
        kind (ListEditsKindType0 | None | Unset): Only edits, or only what was learned or found
            ahead
        limit (int | Unset): How many at most; a page may hold fewer and not be the last Default:
            20.
        cursor (None | str | Unset): The `next_cursor` of the page before. Left out: from the
            beginning
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        EditPage | Problem
    """

    return sync_detailed(
        client=client,
        state=state,
        identity=identity,
        kind=kind,
        limit=limit,
        cursor=cursor,
        s2_edit_user=s2_edit_user,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    state: JobState | None | Unset = UNSET,
    identity: None | str | Unset = UNSET,
    kind: ListEditsKindType0 | None | Unset = UNSET,
    limit: int | Unset = 20,
    cursor: None | str | Unset = UNSET,
    s2_edit_user: str | Unset = UNSET,
) -> Response[EditPage | Problem]:
    """List edits, newest first

     Edits that come while you turn the pages stand on the first one: no page repeats another, and none
    leaves an edit out.

    Reports and estimates are not in lists: ask for the edit.

    Args:
        state (JobState | None | Unset): Only those that stand so
        identity (None | str | Unset): Only those that learned or used this identity
        kind (ListEditsKindType0 | None | Unset): Only edits, or only what was learned or found
            ahead
        limit (int | Unset): How many at most; a page may hold fewer and not be the last Default:
            20.
        cursor (None | str | Unset): The `next_cursor` of the page before. Left out: from the
            beginning
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[EditPage | Problem]
    """

    kwargs = _get_kwargs(
        state=state,
        identity=identity,
        kind=kind,
        limit=limit,
        cursor=cursor,
        s2_edit_user=s2_edit_user,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    state: JobState | None | Unset = UNSET,
    identity: None | str | Unset = UNSET,
    kind: ListEditsKindType0 | None | Unset = UNSET,
    limit: int | Unset = 20,
    cursor: None | str | Unset = UNSET,
    s2_edit_user: str | Unset = UNSET,
) -> EditPage | Problem | None:
    """List edits, newest first

     Edits that come while you turn the pages stand on the first one: no page repeats another, and none
    leaves an edit out.

    Reports and estimates are not in lists: ask for the edit.

    Args:
        state (JobState | None | Unset): Only those that stand so
        identity (None | str | Unset): Only those that learned or used this identity
        kind (ListEditsKindType0 | None | Unset): Only edits, or only what was learned or found
            ahead
        limit (int | Unset): How many at most; a page may hold fewer and not be the last Default:
            20.
        cursor (None | str | Unset): The `next_cursor` of the page before. Left out: from the
            beginning
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        EditPage | Problem
    """

    return (
        await asyncio_detailed(
            client=client,
            state=state,
            identity=identity,
            kind=kind,
            limit=limit,
            cursor=cursor,
            s2_edit_user=s2_edit_user,
        )
    ).parsed
