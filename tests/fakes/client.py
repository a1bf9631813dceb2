"""A plain client that shows what a server really sent."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

from fakes.server import LoopbackServer


def ask(
    server: LoopbackServer,
    path: str = "/data.bin",
    method: str = "GET",
    read: int | None = None,
    body: str | None = None,
    **headers: str,
) -> tuple[int, http.client.HTTPMessage, bytes, bool]:
    """Return status, headers, body (its first `read` bytes) and whether it was cut."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        try:
            return response.status, response.headers, response.read(read), False
        except http.client.IncompleteRead as error:
            return response.status, response.headers, error.partial, True
    finally:
        connection.close()
