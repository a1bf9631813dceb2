"""A fake of Google Cloud Storage: what its JSON API says to a client that reads."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from fakes.answers import Reply, Request
from fakes.content import Content, contents
from fakes.faults import Fault
from fakes.server import LoopbackServer, json_reply

REFRESH_TOKEN = "r3fr3sh-t0k3n"
ACCESS_TOKEN = "4cc3ss-t0k3n"
CLIENT_SECRET = "cl13nt-s3cr3t"
SECRETS = (REFRESH_TOKEN, ACCESS_TOKEN, CLIENT_SECRET)
_BUCKETS = "/storage/v1/b/"
_TIME = "2026-01-01T00:00:00Z"
_GENERATION = "1"


class FakeGoogle:
    """One bucket, on a loopback server in a process of its own until `stop()`.

    Not in a thread: Arrow's client may hold the interpreter's lock while it waits for an answer,
    so that a server that needs the same lock would never give it.

    Requests for an object have its name as their `file`, once they are for its bytes; the API
    methods are `token`, `list`, `about` (an object or a bucket) and `media`.
    """

    def __init__(self, bucket: str, objects: Mapping[str, bytes | Path]):
        spawn = multiprocessing.get_context("spawn")
        self._pipe, other = spawn.Pipe()
        self._process = spawn.Process(
            target=_serve, args=(other, bucket, dict(objects)), daemon=True
        )
        self._process.start()
        other.close()
        self.url: str = self._receive()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def variables(self, directory: Path) -> dict[str, str]:
        """Return the variables that lead Google's client here, with credentials in a file."""
        path = directory / "google-credentials.json"
        document = {
            "type": "authorized_user",
            "client_id": "someone",
            "client_secret": CLIENT_SECRET,
            "refresh_token": REFRESH_TOKEN,
            "token_uri": f"{self.url}/token",
        }
        path.write_text(json.dumps(document))
        return {
            "CLOUD_STORAGE_EMULATOR_ENDPOINT": self.url,
            "GOOGLE_APPLICATION_CREDENTIALS": str(path),
        }

    def requests(self, api: str = "") -> list[Request]:
        """Return what was asked so far, or what of one API method was."""
        asked = self._ask("requests")
        return [request for request in asked if api in ("", request.api)]

    def forget(self) -> None:
        """Empty the log of requests."""
        self._ask("forget")

    def set_faults(self, *faults: Fault) -> None:
        """Let these faults, and no others, strike from now on."""
        self._ask("faults", list(faults))

    def stop(self) -> None:
        """End the server; a second call does nothing."""
        if self._process.is_alive():
            errors = self._ask("stop")
            self._process.join(10)
            self._process.kill()
            # A mistake in a fake must not pass for a fault that a test asked for.
            assert not errors, errors
        self._process.join()
        self._pipe.close()

    def _ask(self, what: str, value: Any = None) -> Any:
        self._pipe.send((what, value))
        return self._receive()

    def _receive(self) -> Any:
        assert self._pipe.poll(60), "the fake of Google says nothing"
        return self._pipe.recv()


@dataclass(frozen=True)
class _Asked:
    """What the address of a request names."""

    bucket: str
    name: str
    query: Mapping[str, str]


class _Api(LoopbackServer):
    def __init__(self, bucket: str, objects: Mapping[str, bytes | Path]):
        self._bucket, self._objects = bucket, contents(objects)
        super().__init__()

    def reply_to(self, request: Request) -> Reply:
        address = urlsplit(request.path)
        if address.path == "/token":
            return self._token(request)
        query = {name: values[-1] for name, values in parse_qs(address.query).items()}
        bucket, _, rest = address.path.removeprefix(_BUCKETS).partition("/")
        asked = _Asked(unquote(bucket), unquote(rest.removeprefix("o").removeprefix("/")), query)
        if rest == "o":
            request.api = "list"
        else:
            request.api = "media" if query.get("alt") == "media" else "about"
        if request.headers.get("authorization") != f"Bearer {ACCESS_TOKEN}":
            return _refusal(401, "Invalid Credentials")
        if asked.bucket != self._bucket or request.method != "GET":
            return _refusal(404, "The specified bucket does not exist.")
        return self._listing(asked) if rest == "o" else self._object(request, asked)

    def _token(self, request: Request) -> Reply:
        request.api = "token"
        if REFRESH_TOKEN not in request.body.decode():
            return json_reply({"error": "invalid_grant"}, 400)
        return json_reply(
            {
                "access_token": ACCESS_TOKEN,
                "expires_in": 3600,
                "token_type": "Bearer",
                "id_token": "x",
            }
        )

    def _listing(self, asked: _Asked) -> Reply:
        prefix = asked.query.get("prefix", "")
        found = [
            self._facts(name, content)
            for name, content in sorted(self._objects.items())
            if name.startswith(prefix)
        ]
        return json_reply({"kind": "storage#objects", **({"items": found} if found else {})})

    def _object(self, request: Request, asked: _Asked) -> Reply:
        if not asked.name:
            return json_reply({"kind": "storage#bucket", "name": asked.bucket})
        content = self._objects.get(asked.name)
        if content is None or asked.query.get("generation", _GENERATION) != _GENERATION:
            return _refusal(404, f"No such object: {asked.bucket}/{asked.name}")
        if request.api == "about":
            return json_reply(self._facts(asked.name, content))
        request.file = asked.name
        headers = {
            "Content-Type": "application/octet-stream",
            "X-Goog-Generation": _GENERATION,
            "X-Goog-Storage-Class": "STANDARD",
        }
        return Reply(200, content, headers, ranged=True)

    def _facts(self, name: str, content: Content) -> dict[str, str]:
        return {
            "kind": "storage#object",
            "name": name,
            "bucket": self._bucket,
            "size": str(content.size),
            "generation": _GENERATION,
            "md5Hash": content.md5_base64,
            "timeCreated": _TIME,
            "updated": _TIME,
        }


def _refusal(status: int, message: str) -> Reply:
    return json_reply({"error": {"code": status, "message": message}}, status)


def _serve(pipe: Connection, bucket: str, objects: Mapping[str, bytes | Path]) -> None:
    """Serve until the other end of the pipe says stop, or is gone."""
    server = _Api(bucket, objects)
    pipe.send(server.url)
    try:
        what = ""
        while what != "stop":
            what, value = pipe.recv()
            if what == "faults":
                server.faults[:] = value
            elif what == "forget":
                server.requests.clear()
            asked = list(server.requests) if what == "requests" else None
            pipe.send([repr(error) for error in server.errors] if what == "stop" else asked)
    except EOFError:
        pass  # the tests were killed
    finally:
        server.stop()
