from http import HTTPStatus
from io import BytesIO
from typing import Any
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...models.problem import Problem
from ...types import UNSET, File, Response, Unset


def _get_kwargs(
    key: str,
    *,
    expires: str | Unset = "",
    signature: str | Unset = "",
    name: None | str | Unset = UNSET,
    range_: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(range_, Unset):
        headers["Range"] = range_

    params: dict[str, Any] = {}

    params["expires"] = expires

    params["signature"] = signature

    json_name: None | str | Unset
    if isinstance(name, Unset):
        json_name = UNSET
    else:
        json_name = name
    params["name"] = json_name

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/files/{key}".format(
            key=quote(str(key), safe=""),
        ),
        "params": params,
    }

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> File | Problem:
    if response.status_code == 200:
        response_200 = File(payload=BytesIO(response.content))

        return response_200

    if response.status_code == 206:
        response_206 = File(payload=BytesIO(response.content))

        return response_206

    if response.status_code == 400:
        response_400 = Problem.from_dict(response.json())

        return response_400

    if response.status_code == 403:
        response_403 = Problem.from_dict(response.json())

        return response_403

    if response.status_code == 404:
        response_404 = Problem.from_dict(response.json())

        return response_404

    if response.status_code == 416:
        response_416 = Problem.from_dict(response.json())

        return response_416

    response_default = Problem.from_dict(response.json())

    return response_default


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[File | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    key: str,
    *,
    client: AuthenticatedClient | Client,
    expires: str | Unset = "",
    signature: str | Unset = "",
    name: None | str | Unset = UNSET,
    range_: str | Unset = UNSET,
) -> Response[File | Problem]:
    """Fetch a file by a signed URL

     Only the very URL that was signed is served, and only until it expires.

    Args:
        key (str): Where the file lies; part of the signed URL
        expires (str | Unset): When the URL runs out, in seconds since the epoch; part of the
            signed URL Default: ''.
        signature (str | Unset): Part of the signed URL Default: ''.
        name (None | str | Unset): Served as an attachment of this name
        range_ (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[File | Problem]
    """

    kwargs = _get_kwargs(
        key=key,
        expires=expires,
        signature=signature,
        name=name,
        range_=range_,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    key: str,
    *,
    client: AuthenticatedClient | Client,
    expires: str | Unset = "",
    signature: str | Unset = "",
    name: None | str | Unset = UNSET,
    range_: str | Unset = UNSET,
) -> File | Problem | None:
    """Fetch a file by a signed URL

     Only the very URL that was signed is served, and only until it expires.

    Args:
        key (str): Where the file lies; part of the signed URL
        expires (str | Unset): When the URL runs out, in seconds since the epoch; part of the
            signed URL Default: ''.
        signature (str | Unset): Part of the signed URL Default: ''.
        name (None | str | Unset): Served as an attachment of this name
        range_ (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        File | Problem
    """

    return sync_detailed(
        key=key,
        client=client,
        expires=expires,
        signature=signature,
        name=name,
        range_=range_,
    ).parsed


async def asyncio_detailed(
    key: str,
    *,
    client: AuthenticatedClient | Client,
    expires: str | Unset = "",
    signature: str | Unset = "",
    name: None | str | Unset = UNSET,
    range_: str | Unset = UNSET,
) -> Response[File | Problem]:
    """Fetch a file by a signed URL

     Only the very URL that was signed is served, and only until it expires.

    Args:
        key (str): Where the file lies; part of the signed URL
        expires (str | Unset): When the URL runs out, in seconds since the epoch; part of the
            signed URL Default: ''.
        signature (str | Unset): Part of the signed URL Default: ''.
        name (None | str | Unset): Served as an attachment of this name
        range_ (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[File | Problem]
    """

    kwargs = _get_kwargs(
        key=key,
        expires=expires,
        signature=signature,
        name=name,
        range_=range_,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    key: str,
    *,
    client: AuthenticatedClient | Client,
    expires: str | Unset = "",
    signature: str | Unset = "",
    name: None | str | Unset = UNSET,
    range_: str | Unset = UNSET,
) -> File | Problem | None:
    """Fetch a file by a signed URL

     Only the very URL that was signed is served, and only until it expires.

    Args:
        key (str): Where the file lies; part of the signed URL
        expires (str | Unset): When the URL runs out, in seconds since the epoch; part of the
            signed URL Default: ''.
        signature (str | Unset): Part of the signed URL Default: ''.
        name (None | str | Unset): Served as an attachment of this name
        range_ (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        File | Problem
    """

    return (
        await asyncio_detailed(
            key=key,
            client=client,
            expires=expires,
            signature=signature,
            name=name,
            range_=range_,
        )
    ).parsed
