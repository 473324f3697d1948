"""The command `s2edit mcp`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.client import DEFAULT_URL, EditClient, ServiceError
from cli.terminal import fail, whole

DEFAULT_PORT = 8765


def mcp(
    url: Annotated[str, typer.Option(help="Address of the running service.")] = DEFAULT_URL,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="S2EDIT_API_KEY", show_envvar=True, help="API key or device token, for callers that send none."),
    ] = None,
    user: Annotated[str | None, typer.Option(help="User that the tools act for, with an API key. [S2Edit-User]")] = None,
    allow_folder: Annotated[
        list[Path] | None,
        typer.Option(exists=True, file_okay=False, help="Folder whose photos the tools may read. Repeatable. Not with --http."),
    ] = None,
    http: Annotated[bool, typer.Option("--http", help="Serve streamable HTTP instead of standard input and output.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen on, with --http.")] = "127.0.0.1",
    port: Annotated[int, whole(1, 65_535, help="Port to listen on, with --http.")] = DEFAULT_PORT,
    allowed_host: Annotated[
        list[str] | None, typer.Option(help="Another Host header to accept, such as mcp.example.com. Repeatable.")
    ] = None,
    allowed_origin: Annotated[
        list[str] | None, typer.Option(help="Origin of web pages that may call, such as https://app.example.com. Repeatable.")
    ] = None,
) -> None:
    """Serve the running service to agents by the Model Context Protocol: over standard input and output, or streamable HTTP.

    Over HTTP, callers send their own key as `Authorization: Bearer`, which is passed to the service. On another address than this
    machine's own, each must.
    """
    try:
        from cli.mcp_server.server import Listening, Upstream, run_http, run_stdio
    except ImportError as error:
        fail(f"the package {error.name} is missing: install the extra, as in pip install 's2edit[mcp]'")
    try:
        EditClient(url, api_key=api_key, user=user)
    except ServiceError as error:
        fail(str(error))
    if not http:
        run_stdio(Upstream(url, api_key, user, folders=allow_folder or []))
        return
    listening = Listening(host, port, allowed_host or [], allowed_origin or [])
    if allow_folder:
        fail("--allow-folder is for standard input and output: over HTTP, callers may be on another machine and send data URLs")
    if api_key and not listening.is_loopback:
        fail(f"whoever reaches {host} would act with the API key: leave it out, and let callers send their own")
    typer.echo(f"s2edit mcp serves {url} at http://{host}:{port}/mcp; Ctrl-C stops it.", err=True)
    run_http(Upstream(url, api_key, user, folders=None), listening)
