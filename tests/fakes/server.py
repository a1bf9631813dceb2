"""A real HTTP server on a loopback port: it records requests, serves ranges and can be faulty."""

from __future__ import annotations

import dataclasses
import json
import socket
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

from fakes.answers import PIECE, Answer, Reply, Request, answer_to, bend, can_change
from fakes.content import Content
from fakes.faults import Fault


class LoopbackServer:
    """Serves from construction until `stop()`; subclasses implement `reply_to`.

    `faults` strike this server's own answers. One that names a file strikes that file also where
    a server `behind` this one sends it, so a test need not know which one does.

    Requests in a proxy's form for a server behind are answered as that one would: a client that
    only takes a proxy's address reaches all of them.
    """

    def __init__(self, *, host: str = "127.0.0.1"):
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.errors: list[BaseException] = []
        self.behind: list[LoopbackServer] = []
        self.front: LoopbackServer | None = None
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(self)
        self.url = f"http://{host}:{self._server.server_port}"
        # A short poll, for `stop` waits for the next one.
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error_type: object, *_: object) -> None:
        self.stop()
        # A mistake in a fake must not pass for a fault that a test asked for.
        if self.errors and error_type is None:
            raise self.errors[0]

    def put_behind(self, server: LoopbackServer) -> None:
        """Let a server share this one's faults, errors and end."""
        self.behind.append(server)
        server.front, server.errors = self, self.errors

    def stop(self) -> None:
        """Stop listening and hang up on every client; a second call does nothing."""
        for server in self.behind:
            server.stop()
        if not self.stopped.is_set():
            self.stopped.set()
            self._server.shutdown()
            self._server.server_close()
            self._server.hang_up()
            self._thread.join()

    def reply_to(self, request: Request) -> Reply:
        """Say what to answer, and fill in the request's `api` and `file`."""
        raise NotImplementedError

    def answer(self, request: Request) -> Answer:
        """Record a request and return its answer, bent by the first fault that matches."""
        self.requests.append(request)
        reply = self.reply_to(request)
        answer = answer_to(request, reply)
        # A redirect to a file is not the file: a fault that names it waits for its bytes.
        names = [request.api] if 300 <= reply.status < 400 else [request.api, request.file]
        request.fault = self._take_fault(names, answer, request)
        if request.fault:
            bend(answer, request.fault)
        return answer

    def addressed_by(self, target: str) -> LoopbackServer:
        """Return the server that a request target in a proxy's form is meant for."""
        address = urlsplit(target).netloc
        return next((one for one in self.behind if urlsplit(one.url).netloc == address), self)

    def _take_fault(self, names: list[str], answer: Answer, request: Request) -> Fault | None:
        fault = self._strike(names, answer, request)
        if not fault and self.front and request.file:
            fault = self.front._strike([request.file], answer, request, named=True)
        return fault

    def _strike(
        self, names: list[str], answer: Answer, request: Request, named: bool = False
    ) -> Fault | None:
        with self._lock:
            for index, fault in enumerate(self.faults):
                matches = any(fault.match in name for name in names) and (fault.match or not named)
                if matches and can_change(fault, answer, request):
                    self._use(index, fault)
                    return fault
        return None

    def _use(self, index: int, fault: Fault) -> None:
        if fault.times is None:
            return
        self.faults.remove(fault)
        if fault.times > 1:
            self.faults.insert(index, dataclasses.replace(fault, times=fault.times - 1))


class Storage(LoopbackServer):
    """The other host that hubs redirect to: it has objects under signed addresses."""

    def __init__(self) -> None:
        # Another name for the same address, so that clients see another host.
        super().__init__(host="localhost")
        self._objects: dict[str, tuple[str, Reply]] = {}

    def put(self, folder: str, name: str, reply: Reply) -> str:
        """Keep an object and return its address."""
        # The slash is quoted as well, for clients would resolve the dots of a hostile name.
        path = f"/{quote(folder)}/{quote(name, safe='')}"
        self._objects[unquote(path)] = (name, reply)
        return f"{self.url}{path}?signature=0123"

    def reply_to(self, request: Request) -> Reply:
        path = unquote(urlsplit(request.path).path)
        if request.method not in ("GET", "HEAD") or path not in self._objects:
            return Reply(404, Content(b"<Error><Code>NoSuchKey</Code></Error>"))
        request.file, reply = self._objects[path]
        return reply


def json_reply(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    head = {"Content-Type": "application/json", **(headers or {})}
    return Reply(status, Content(json.dumps(document).encode()), head)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, owner: LoopbackServer):
        self.owner = owner
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        # HTTPServer asks the name service for its own name, which can take seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # its client was faster

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        # An error of a file has a name; one without is of the connection, and clients hang up.
        if error and not (isinstance(error, OSError) and error.filename is None):
            self.owner.errors.append(error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _handle(self) -> None:
        owner = self.server.owner.addressed_by(self.path)
        size = int(self.headers.get("Content-Length", 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, self.rfile.read(size))
        self._send(owner.answer(request))

    do_GET = do_HEAD = do_POST = _handle  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Say nothing: stderr belongs to the program under test."""

    def _send(self, answer: Answer) -> None:
        fault = answer.fault
        if fault and fault.kind == "stall" and fault.at is None:
            self._wait(fault.seconds)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.claimed is not None:
            self.send_header("Content-Length", str(answer.claimed))
        self.end_headers()
        if self.command != "HEAD":
            if fault and fault.kind in ("stall", "slow", "corrupt", "endless"):
                self._send_faulty(answer, fault)
            else:
                self._send_fast(answer)
        self.close_connection = self.close_connection or answer.hang_up

    def _send_fast(self, answer: Answer) -> None:
        if isinstance(answer.content.source, bytes):
            self.connection.sendall(memoryview(answer.content.source)[answer.start : answer.end])
        elif answer.length:
            with answer.content.open() as file:
                self.connection.sendfile(file, answer.start, answer.length)

    def _send_faulty(self, answer: Answer, fault: Fault) -> None:
        for position, size in answer.pieces():
            if fault.kind == "slow":
                self._wait(size / fault.rate)
            if fault.kind == "stall" and fault.at == position - answer.start:
                self._wait(fault.seconds)
            piece = bytearray(answer.content.read(position, size))
            if fault.kind == "corrupt" and position <= (fault.at or 0) < position + size:
                piece[(fault.at or 0) - position] ^= 0xFF
            self._write(piece, fault.chunked)
        while fault.kind == "endless":
            self._write(bytes(PIECE), fault.chunked)

    def _write(self, piece: bytes | bytearray, chunked: bool) -> None:
        self.connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)

    def _wait(self, seconds: float) -> None:
        if self.server.owner.stopped.wait(seconds):
            raise ConnectionAbortedError
