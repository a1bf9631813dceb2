"""Ranges are served, and each fault does what it says."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import pytest

from fakes import faults
from fakes.answers import Reply
from fakes.client import ask
from fakes.content import Content
from fakes.server import LoopbackServer, Storage

BODY = bytes(range(256)) * 40


class Files(LoopbackServer):
    """The smallest server: /data.bin in memory, /disk.bin on disk."""

    def __init__(self, path):
        self.served = {"data.bin": Content(BODY), "disk.bin": Content(path)}
        super().__init__()

    def reply_to(self, request):
        request.api, request.file = "get", urlsplit(request.path).path[1:]
        return Reply(200, self.served[request.file], {"ETag": '"true"'}, ranged=True)


@pytest.fixture
def server(tmp_path):
    path = tmp_path / "disk.bin"
    path.write_bytes(BODY)
    with Files(path) as server:
        yield server


@pytest.mark.parametrize("path", ["/data.bin", "/disk.bin"])
def test_ranges(server, path):
    status, headers, body, _ = ask(server, path)
    assert (status, headers["Accept-Ranges"], body) == (200, "bytes", BODY)
    status, headers, body, _ = ask(server, path, Range="bytes=100-")
    assert (status, body) == (206, BODY[100:])
    assert headers["Content-Range"] == f"bytes 100-{len(BODY) - 1}/{len(BODY)}"
    assert ask(server, path, Range="bytes=3-5")[2] == BODY[3:6]
    assert ask(server, path, Range=f"bytes={len(BODY)}-")[0] == 416
    assert ask(server, path, Range="bytes=100-", **{"If-Range": '"other"'})[0] == 200
    status, headers, body, _ = ask(server, path, method="HEAD")
    assert (status, headers["Content-Length"], body) == (200, str(len(BODY)), b"")


FLIPPED = BODY[:9] + bytes([BODY[9] ^ 0xFF]) + BODY[10:]


@pytest.mark.parametrize(
    ("fault", "status", "length", "body", "is_cut"),
    [
        (faults.cut(at=10), 200, len(BODY), BODY[:10], True),
        (faults.corrupt(at=9), 200, len(BODY), FLIPPED, False),
        (faults.stall(at=10, seconds=0), 200, len(BODY), BODY, False),
        (faults.stall(at=None, seconds=0), 200, len(BODY), BODY, False),
        (faults.slow(rate=1e9), 200, len(BODY), BODY, False),
        (faults.short(at=10), 200, 10, BODY[:10], False),
        (faults.lie(extra=5), 200, len(BODY) + 5, BODY, True),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
@pytest.mark.parametrize("path", ["/data.bin", "/disk.bin"])
def test_a_faulty_body(server, path, fault, status, length, body, is_cut):
    server.faults.append(fault)
    got_status, headers, got_body, got_cut = ask(server, path)
    assert (got_status, int(headers["Content-Length"])) == (status, length)
    assert (got_body, got_cut, headers["ETag"]) == (body, is_cut, '"true"')
    assert server.requests[0].fault == fault


def test_error_statuses_and_pages(server):
    server.faults.append(faults.status(503, times=1, headers={"Retry-After": "7"}))
    server.faults.append(faults.page(match="data", times=1))
    status, headers, body, _ = ask(server)
    assert (status, headers["Retry-After"], headers["ETag"]) == (503, "7", None)
    assert b"error page" in body
    status, headers, body, _ = ask(server)
    assert (status, headers["Content-Type"], headers["ETag"]) == (200, "text/html", None)
    assert int(headers["Content-Length"]) == len(body)
    assert ask(server)[2] == BODY


def test_faulty_ranges(server):
    server.faults.append(faults.ignore_range(times=1))
    server.faults.append(faults.bad_range(shift=-40, times=1))
    server.faults.append(faults.bad_range(error=True, times=1))
    assert ask(server)[2] == BODY
    status, headers, body, _ = ask(server, Range="bytes=100-")
    assert (status, headers["Content-Range"], body) == (200, None, BODY)
    status, headers, body, _ = ask(server, Range="bytes=100-")
    assert (status, headers["Content-Range"].split("-")[0], body) == (206, "bytes 60", BODY[60:])
    status, _, body, _ = ask(server, Range="bytes=100-")
    assert status == 206
    assert b"error page" in body


@pytest.mark.parametrize("chunked", [True, False])
def test_an_endless_body(server, chunked):
    server.faults.append(faults.endless(chunked=chunked))
    _, headers, body, _ = ask(server, read=len(BODY) + (3 << 20))
    assert headers["Content-Length"] is None
    assert body == BODY + bytes(3 << 20)


@pytest.mark.parametrize("fault", [faults.stall(at=10), faults.slow(rate=1)])
def test_the_end_of_the_server_ends_a_wait(server, fault):
    server.faults.append(fault)
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)
    connection.request("GET", "/data.bin")
    response = connection.getresponse()
    server.stop()
    with pytest.raises(http.client.IncompleteRead) as caught:
        response.read()
    assert len(caught.value.partial) <= 10
    connection.close()


def test_a_fault_follows_a_named_file_to_the_storage():
    with LoopbackServer() as front:
        storage = Storage()
        front.put_behind(storage)
        address = urlsplit(storage.put("m", "w.h5", Reply(200, Content(BODY)))).path
        front.faults.append(faults.cut(at=5))
        assert ask(storage, address)[2] == BODY
        front.faults.append(faults.cut(at=6, match="w.h5", times=1))
        assert ask(storage, address)[2] == BODY[:6]
        assert ask(storage, address)[2] == BODY


def test_a_mistake_in_a_fake_is_raised():
    server = LoopbackServer()
    with pytest.raises(http.client.RemoteDisconnected):
        ask(server)
    with pytest.raises(NotImplementedError):
        server.__exit__(None)
