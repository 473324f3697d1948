from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...models.problem import Problem
from ...models.upload_view import UploadView
from ...types import UNSET, Response, Unset


def _get_kwargs(
    upload_id: str,
    *,
    s2_edit_user: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(s2_edit_user, Unset):
        headers["S2Edit-User"] = s2_edit_user

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/uploads/{upload_id}".format(
            upload_id=quote(str(upload_id), safe=""),
        ),
    }

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Problem | UploadView:
    if response.status_code == 200:
        response_200 = UploadView.from_dict(response.json())

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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[Problem | UploadView]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    upload_id: str,
    *,
    client: AuthenticatedClient,
    s2_edit_user: str | Unset = UNSET,
) -> Response[Problem | UploadView]:
    """See whether a file has come

     While its bytes are missing, the ways to send them are fresh each time.

    Args:
        upload_id (str): The `id` of an upload
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | UploadView]
    """

    kwargs = _get_kwargs(
        upload_id=upload_id,
        s2_edit_user=s2_edit_user,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    upload_id: str,
    *,
    client: AuthenticatedClient,
    s2_edit_user: str | Unset = UNSET,
) -> Problem | UploadView | None:
    """See whether a file has come

     While its bytes are missing, the ways to send them are fresh each time.

    Args:
        upload_id (str): The `id` of an upload
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | UploadView
    """

    return sync_detailed(
        upload_id=upload_id,
        client=client,
        s2_edit_user=s2_edit_user,
    ).parsed


async def asyncio_detailed(
    upload_id: str,
    *,
    client: AuthenticatedClient,
    s2_edit_user: str | Unset = UNSET,
) -> Response[Problem | UploadView]:
    """See whether a file has come

     While its bytes are missing, the ways to send them are fresh each time.

    Args:
        upload_id (str): The `id` of an upload
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | UploadView]
    """

    kwargs = _get_kwargs(
        upload_id=upload_id,
        s2_edit_user=s2_edit_user,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    upload_id: str,
    *,
    client: AuthenticatedClient,
    s2_edit_user: str | Unset = UNSET,
) -> Problem | UploadView | None:
    """See whether a file has come

     While its bytes are missing, the ways to send them are fresh each time.

    Args:
        upload_id (str): The `id` of an upload
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | UploadView
    """

    return (
        await asyncio_detailed(
            upload_id=upload_id,
            client=client,
            s2_edit_user=s2_edit_user,
        )
    ).parsed
