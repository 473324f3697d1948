from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...models.problem import Problem
from ...types import UNSET, File, Response, Unset


def _get_kwargs(
    key: str,
    *,
    body: File | File | File | File | File | Unset = UNSET,
    expires: str | Unset = "",
    signature: str | Unset = "",
    if_none_match: str,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    headers["If-None-Match"] = if_none_match

    params: dict[str, Any] = {}

    params["expires"] = expires

    params["signature"] = signature

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "put",
        "url": "/files/{key}".format(
            key=quote(str(key), safe=""),
        ),
        "params": params,
    }

    if isinstance(body, File):
        _kwargs["content"] = body.payload
        headers["Content-Type"] = "image/png"
    if isinstance(body, File):
        _kwargs["content"] = body.payload
        headers["Content-Type"] = "image/jpeg"
    if isinstance(body, File):
        _kwargs["content"] = body.payload
        headers["Content-Type"] = "image/webp"
    if isinstance(body, File):
        _kwargs["content"] = body.payload
        headers["Content-Type"] = "image/avif"
    if isinstance(body, File):
        _kwargs["content"] = body.payload
        headers["Content-Type"] = "image/heic"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Any | Problem:
    if response.status_code == 200:
        response_200 = cast(Any, None)
        return response_200

    if response.status_code == 400:
        response_400 = Problem.from_dict(response.json())

        return response_400

    if response.status_code == 403:
        response_403 = Problem.from_dict(response.json())

        return response_403

    if response.status_code == 404:
        response_404 = Problem.from_dict(response.json())

        return response_404

    if response.status_code == 412:
        response_412 = Problem.from_dict(response.json())

        return response_412

    if response.status_code == 413:
        response_413 = Problem.from_dict(response.json())

        return response_413

    response_default = Problem.from_dict(response.json())

    return response_default


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[Any | Problem]:
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
    body: File | File | File | File | File | Unset = UNSET,
    expires: str | Unset = "",
    signature: str | Unset = "",
    if_none_match: str,
) -> Response[Any | Problem]:
    """Send an upload's bytes by its signed URL

     The signature covers the key, the life, `Content-Type`, `Content-Length` and `If-None-Match: *`; it
    works once.

    Args:
        key (str): Where the file lies; part of the signed URL
        expires (str | Unset): When the URL runs out, in seconds since the epoch; part of the
            signed URL Default: ''.
        signature (str | Unset): Part of the signed URL Default: ''.
        if_none_match (str):
        body (File):
        body (File):
        body (File):
        body (File):
        body (File):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | Problem]
    """

    kwargs = _get_kwargs(
        key=key,
        body=body,
        expires=expires,
        signature=signature,
        if_none_match=if_none_match,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    key: str,
    *,
    client: AuthenticatedClient | Client,
    body: File | File | File | File | File | Unset = UNSET,
    expires: str | Unset = "",
    signature: str | Unset = "",
    if_none_match: str,
) -> Any | Problem | None:
    """Send an upload's bytes by its signed URL

     The signature covers the key, the life, `Content-Type`, `Content-Length` and `If-None-Match: *`; it
    works once.

    Args:
        key (str): Where the file lies; part of the signed URL
        expires (str | Unset): When the URL runs out, in seconds since the epoch; part of the
            signed URL Default: ''.
        signature (str | Unset): Part of the signed URL Default: ''.
        if_none_match (str):
        body (File):
        body (File):
        body (File):
        body (File):
        body (File):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | Problem
    """

    return sync_detailed(
        key=key,
        client=client,
        body=body,
        expires=expires,
        signature=signature,
        if_none_match=if_none_match,
    ).parsed


async def asyncio_detailed(
    key: str,
    *,
    client: AuthenticatedClient | Client,
    body: File | File | File | File | File | Unset = UNSET,
    expires: str | Unset = "",
    signature: str | Unset = "",
    if_none_match: str,
) -> Response[Any | Problem]:
    """Send an upload's bytes by its signed URL

     The signature covers the key, the life, `Content-Type`, `Content-Length` and `If-None-Match: *`; it
    works once.

    Args:
        key (str): Where the file lies; part of the signed URL
        expires (str | Unset): When the URL runs out, in seconds since the epoch; part of the
            signed URL Default: ''.
        signature (str | Unset): Part of the signed URL Default: ''.
        if_none_match (str):
        body (File):
        body (File):
        body (File):
        body (File):
        body (File):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | Problem]
    """

    kwargs = _get_kwargs(
        key=key,
        body=body,
        expires=expires,
        signature=signature,
        if_none_match=if_none_match,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    key: str,
    *,
    client: AuthenticatedClient | Client,
    body: File | File | File | File | File | Unset = UNSET,
    expires: str | Unset = "",
    signature: str | Unset = "",
    if_none_match: str,
) -> Any | Problem | None:
    """Send an upload's bytes by its signed URL

     The signature covers the key, the life, `Content-Type`, `Content-Length` and `If-None-Match: *`; it
    works once.

    Args:
        key (str): Where the file lies; part of the signed URL
        expires (str | Unset): When the URL runs out, in seconds since the epoch; part of the
            signed URL Default: ''.
        signature (str | Unset): Part of the signed URL Default: ''.
        if_none_match (str):
        body (File):
        body (File):
        body (File):
        body (File):
        body (File):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | Problem
    """

    return (
        await asyncio_detailed(
            key=key,
            client=client,
            body=body,
            expires=expires,
            signature=signature,
            if_none_match=if_none_match,
        )
    ).parsed
