"""The MCP server and its transports: standard input and output, and streamable HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.mcpserver.tools import Tool
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import ToolAnnotations
from pydantic import ValidationError, create_model
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from api.wire.fields import IN_WORDS
from api.wire.known_names import LONGEST
from cli.client import EditClient, ServiceError, new_http
from cli.mcp_server import answers, words
from cli.mcp_server.photos import MAX_BYTES, PhotoReader
from cli.mcp_server.requests import bounded
from cli.mcp_server.tools import Tools
from s2edit_jobs.value_rules import fault, field_schema

PATH = "/mcp"
MAX_BODY = MAX_BYTES * 3 * 4 // 3 + 1_000_000
"""Bytes of a request: a photo and two masks as base64."""
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
ADDS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False)
CHANGES = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
ENDS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)


@dataclass(frozen=True, slots=True)
class Upstream:
    """The service that the tools call, and as whom. `folders` are those of photos, None where paths are not accepted."""

    url: str
    api_key: str | None
    user: str | None
    folders: Sequence[Path] | None


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the HTTP transport listens, and which `Host` and `Origin` headers it accepts."""

    host: str
    port: int
    hosts: Sequence[str] = ()
    origins: Sequence[str] = ()

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def security(self) -> TransportSecuritySettings:
        """Accept the server's own names only. Programs send no `Origin`; a page that sends one must be listed."""
        own = [self.host, *(["localhost", "127.0.0.1", "[::1]"] if self.is_loopback else [])]
        names = [f"[{name}]" if ":" in name and not name.startswith("[") else name for name in own]
        hosts = [f"{name}:{self.port}" for name in names]
        return TransportSecuritySettings(allowed_hosts=[*hosts, *self.hosts], allowed_origins=list(self.origins))


def run_stdio(upstream: Upstream) -> None:
    """Serve the program that started this one, until it closes standard input."""
    new_server(upstream).run("stdio")


def run_http(upstream: Upstream, listening: Listening) -> None:
    """Serve streamable HTTP until Ctrl-C."""
    uvicorn.run(
        http_app(upstream, listening),
        host=listening.host,
        port=listening.port,
        http="api.connection:Connection",
        log_level="warning",
    )


def http_app(upstream: Upstream, listening: Listening) -> ASGIApp:
    """Return the app of the HTTP transport. It is stateless, so a restart ends no client's session."""
    app: ASGIApp = new_server(upstream).streamable_http_app(
        streamable_http_path=PATH,
        stateless_http=True,
        max_request_body_size=MAX_BODY,
        transport_security=listening.security,
        host=listening.host,
    )
    app = bounded(app, MAX_BODY)
    return app if listening.is_loopback else BearerRequired(app)


class BearerRequired:
    """Refuses requests without a key. The service judges the key; this keeps strangers from a service that asks for none."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _bearer(Headers(scope=scope)) is None:
            text = "Send an API key or a device token of the s2edit service as Authorization: Bearer …"
            refusal = PlainTextResponse(text, status_code=401, headers={"WWW-Authenticate": "Bearer"})
            return await refusal(scope, receive, send)
        return await self._app(scope, receive, send)


def new_server(upstream: Upstream) -> MCPServer[Any]:
    """Return the server with all tools."""
    http = new_http()

    def client_of(context: Context) -> EditClient:
        """The caller's own key and user come first. Only the HTTP transport has them."""
        headers = context.headers or {}
        try:
            return EditClient(
                upstream.url,
                api_key=_bearer(headers) or upstream.api_key,
                user=headers.get("s2edit-user") or upstream.user,
                http=http,
            )
        except ServiceError as error:
            raise ToolError(answers.of_error(error)) from error

    tools = Tools(client_of, PhotoReader(upstream.url, upstream.folders))
    return MCPServer(
        "s2edit",
        title="s2edit",
        instructions=words.INSTRUCTIONS + _where_photos_may_be(upstream.folders),
        version=_version(),
        tools=[
            _tool(tools.edit_photo, "Edit a photo", words.EDIT, ADDS),
            _tool(tools.learn_person, "Learn a person", words.LEARN_PERSON, ADDS),
            _tool(tools.learn_attribute, "Learn a makeup or another attribute", words.LEARN_ATTRIBUTE, ADDS),
            _tool(tools.follow, "Follow a job", words.FOLLOW, READS),
            _tool(tools.cancel, "Cancel a job", words.CANCEL, ENDS),
            _tool(tools.erase, "Erase an edit, a person or an attribute", words.ERASE, ENDS),
            _tool(tools.rename, "Rename a person or an attribute", words.RENAME, CHANGES),
            _tool(tools.list_people, "List people", words.LIST_PEOPLE, READS),
            _tool(tools.list_attributes, "List attributes", words.LIST_ATTRIBUTES, READS),
            _tool(tools.list_jobs, "List jobs", words.LIST_JOBS, READS),
        ],
        log_level="WARNING",  # at INFO, httpx logs signed links
    )


def _where_photos_may_be(folders: Sequence[Path] | None) -> str:
    if folders is None:
        return f"\n\nA picture is {words.PICTURE}."
    if not folders:
        return f"\n\nA picture is {words.PICTURE}. Files are not read: the operator has allowed no folder."
    return f"\n\nA picture is the absolute path of a file in {', '.join(str(one.resolve()) for one in folders)}, {words.PICTURE}."


class StrictTool(Tool):
    """Refuses arguments that the tool does not have. By default they are ignored, and the model never learns of its mistake."""

    def model_post_init(self, _context: Any, /) -> None:
        loose = self.fn_metadata.arg_model
        strict = create_model(loose.__name__, __base__=loose)
        strict.model_config["extra"] = "forbid"
        strict.model_rebuild(force=True)
        self.fn_metadata.arg_model = strict
        self.parameters = strict.model_json_schema(by_alias=True)

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:
        try:
            return await super().run(arguments, context, convert_result)
        except UnexpectedToolError:
            raise
        except ToolError as error:
            if not isinstance(faults := error.__cause__, ValidationError):
                raise
            told = "; ".join(map(self._wrong, faults.errors()))
            known = ", ".join(self.fn_metadata.arg_model.model_fields)
            raise ToolError(f"wrong arguments for {self.name}: {told}. Its arguments are {known}") from faults

    def _wrong(self, error: Mapping[str, Any]) -> str:
        """Return what is wrong with an argument. `error` is one of pydantic's."""
        name = str(error["loc"][0])
        if error["type"] == "missing":
            return f"{name} is missing"
        if error["type"] == "extra_forbidden":
            return f"there is no {name[:LONGEST]}"
        return f"{name} {fault(field_schema(self.fn_metadata.arg_model, name), error, IN_WORDS)}"


def _tool(function: Callable[..., Any], title: str, description: str, annotations: ToolAnnotations) -> Tool:
    return StrictTool.from_function(function, title=title, description=description, annotations=annotations)


def _bearer(headers: Any) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _version() -> str:
    try:
        return version("s2edit")
    except PackageNotFoundError:
        return "0"
