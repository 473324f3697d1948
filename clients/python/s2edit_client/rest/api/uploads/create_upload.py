from http import HTTPStatus
from typing import Any

import httpx

from ...client import AuthenticatedClient, Client
from ...models.problem import Problem
from ...models.upload_request import UploadRequest
from ...models.upload_view import UploadView
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    body: UploadRequest,
    s2_edit_user: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(s2_edit_user, Unset):
        headers["S2Edit-User"] = s2_edit_user

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/uploads",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Problem | UploadView:
    if response.status_code == 201:
        response_201 = UploadView.from_dict(response.json())

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
    *,
    client: AuthenticatedClient,
    body: UploadRequest,
    s2_edit_user: str | Unset = UNSET,
) -> Response[Problem | UploadView]:
    """Announce a file

     Send the bytes as the answer says, then name the upload's id in a `POST /edits` of JSON.

    An upload is removed after a time, by default a day. Edits that have named it keep a copy of their
    own.

    Args:
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`
        body (UploadRequest): A file that shall be sent.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | UploadView]
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
    body: UploadRequest,
    s2_edit_user: str | Unset = UNSET,
) -> Problem | UploadView | None:
    """Announce a file

     Send the bytes as the answer says, then name the upload's id in a `POST /edits` of JSON.

    An upload is removed after a time, by default a day. Edits that have named it keep a copy of their
    own.

    Args:
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`
        body (UploadRequest): A file that shall be sent.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | UploadView
    """

    return sync_detailed(
        client=client,
        body=body,
        s2_edit_user=s2_edit_user,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: UploadRequest,
    s2_edit_user: str | Unset = UNSET,
) -> Response[Problem | UploadView]:
    """Announce a file

     Send the bytes as the answer says, then name the upload's id in a `POST /edits` of JSON.

    An upload is removed after a time, by default a day. Edits that have named it keep a copy of their
    own.

    Args:
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`
        body (UploadRequest): A file that shall be sent.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | UploadView]
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
    body: UploadRequest,
    s2_edit_user: str | Unset = UNSET,
) -> Problem | UploadView | None:
    """Announce a file

     Send the bytes as the answer says, then name the upload's id in a `POST /edits` of JSON.

    An upload is removed after a time, by default a day. Edits that have named it keep a copy of their
    own.

    Args:
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`
        body (UploadRequest): A file that shall be sent.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | UploadView
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            s2_edit_user=s2_edit_user,
        )
    ).parsed
