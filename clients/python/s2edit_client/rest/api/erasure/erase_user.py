from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...models.problem import Problem
from ...models.receipt import Receipt
from ...types import UNSET, Response, Unset


def _get_kwargs(
    user: str,
    *,
    s2_edit_user: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(s2_edit_user, Unset):
        headers["S2Edit-User"] = s2_edit_user

    _kwargs: dict[str, Any] = {
        "method": "delete",
        "url": "/users/{user}".format(
            user=quote(str(user), safe=""),
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

    if response.status_code == 409:
        response_409 = Problem.from_dict(response.json())

        return response_409

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
    user: str,
    *,
    client: AuthenticatedClient,
    s2_edit_user: str | Unset = UNSET,
) -> Response[Problem | Receipt]:
    """Erase everything of a user

     Photos, masks, uploads, edits, results, identities, attributes, and all that was made on the way.
    Work under way is stopped
    and publishes nothing. The user's device tokens end. Needs a key with the scope `admin`, of the
    user's tenant.

    Until it is done, new requests of the user are refused with 409; afterwards the user may come back
    as new. While a worker is
    at an edit of the user the answer takes as long as a worker's lease. Safe to repeat.

    Args:
        user (str): The user, as `S2Edit-User` names them
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | Receipt]
    """

    kwargs = _get_kwargs(
        user=user,
        s2_edit_user=s2_edit_user,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    user: str,
    *,
    client: AuthenticatedClient,
    s2_edit_user: str | Unset = UNSET,
) -> Problem | Receipt | None:
    """Erase everything of a user

     Photos, masks, uploads, edits, results, identities, attributes, and all that was made on the way.
    Work under way is stopped
    and publishes nothing. The user's device tokens end. Needs a key with the scope `admin`, of the
    user's tenant.

    Until it is done, new requests of the user are refused with 409; afterwards the user may come back
    as new. While a worker is
    at an edit of the user the answer takes as long as a worker's lease. Safe to repeat.

    Args:
        user (str): The user, as `S2Edit-User` names them
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | Receipt
    """

    return sync_detailed(
        user=user,
        client=client,
        s2_edit_user=s2_edit_user,
    ).parsed


async def asyncio_detailed(
    user: str,
    *,
    client: AuthenticatedClient,
    s2_edit_user: str | Unset = UNSET,
) -> Response[Problem | Receipt]:
    """Erase everything of a user

     Photos, masks, uploads, edits, results, identities, attributes, and all that was made on the way.
    Work under way is stopped
    and publishes nothing. The user's device tokens end. Needs a key with the scope `admin`, of the
    user's tenant.

    Until it is done, new requests of the user are refused with 409; afterwards the user may come back
    as new. While a worker is
    at an edit of the user the answer takes as long as a worker's lease. Safe to repeat.

    Args:
        user (str): The user, as `S2Edit-User` names them
        s2_edit_user (str | Unset): Whose edits and identities these are. Left out: the device
            token's user, or `default`

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | Receipt]
    """

    kwargs = _get_kwargs(
        user=user,
        s2_edit_user=s2_edit_user,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    user: str,
    *,
    client: AuthenticatedClient,
    s2_edit_user: str | Unset = UNSET,
) -> Problem | Receipt | None:
    """Erase everything of a user

     Photos, masks, uploads, edits, results, identities, attributes, and all that was made on the way.
    Work under way is stopped
    and publishes nothing. The user's device tokens end. Needs a key with the scope `admin`, of the
    user's tenant.

    Until it is done, new requests of the user are refused with 409; afterwards the user may come back
    as new. While a worker is
    at an edit of the user the answer takes as long as a worker's lease. Safe to repeat.

    Args:
        user (str): The user, as `S2Edit-User` names them
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
            user=user,
            client=client,
            s2_edit_user=s2_edit_user,
        )
    ).parsed
