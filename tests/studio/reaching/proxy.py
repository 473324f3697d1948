"""A reverse proxy in a process of its own: it serves another server below a path prefix, and names itself in no header.

`python -m tests.studio.reaching.proxy PORT SERVER_PORT PREFIX [HOST]`. With HOST, it replaces the `Host` header, as nginx does by
default.
"""

from __future__ import annotations

import asyncio
import re
import sys


async def serve(port: int, server_port: int, prefix: str, host: str) -> None:
    async def relay(client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        try:
            head = await client.readuntil(b"\r\n\r\n")
            method, path, rest = head.split(b" ", 2)
            if not path.startswith(prefix.encode() + b"/"):
                answer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            rest = re.sub(rb"\r\nconnection:[^\r]*", b"", rest, flags=re.IGNORECASE)
            rest = rest.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
            if host:
                rest = re.sub(rb"\r\nhost:[^\r]*", f"\r\nHost: {host}".encode(), rest, flags=re.IGNORECASE)
            server, request = await asyncio.open_connection("127.0.0.1", server_port)
            request.write(b" ".join((method, path.removeprefix(prefix.encode()), rest)))
            sending = asyncio.create_task(pump(client, request))
            await pump(server, answer)
            sending.cancel()
            request.close()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            answer.close()

    async with await asyncio.start_server(relay, "127.0.0.1", port) as listening:
        print("ready", flush=True)  # noqa: T201
        await listening.serve_forever()


async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        target.write(data)
        await target.drain()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4] if len(sys.argv) > 4 else ""))
