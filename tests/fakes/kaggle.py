"""Kaggle's model service, as kagglehub 1.0.2 speaks to it.

`python -m fakes.kaggle --directory DIR --handle OWNER/MODEL/FRAMEWORK/VARIATION --version 3` serves
a directory as one version: the address is the first line of stdout.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import sys
import tarfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fakes.answers import Reply, Request
from fakes.content import Content, contents, files_under
from fakes.server import LoopbackServer, Storage, json_reply

Files = Mapping[str, bytes | Path]
_SERVICE = "/v1/models.ModelApiService/"
_FRAMEWORK = "MODEL_FRAMEWORK_"
_HOSTILE = Content(b"written where it should not be")
_PAGE_SIZE = 20


class FakeKaggle(LoopbackServer):
    """Models by unversioned handle and version.

    With `redirect`, a download leads to `storage`, a server under another host name; without, the
    bytes come from here. With `token`, a request must bring it as a bearer or as the key of a user.
    `extra_names` are listed in every version and have bytes.
    """

    def __init__(
        self,
        models: Mapping[str, Mapping[int, Files]],
        *,
        redirect: bool = True,
        token: str | None = None,
        extra_names: Sequence[str] = (),
    ):
        self.redirect, self.token, self.extra_names = redirect, token, list(extra_names)
        self._models: dict[str, dict[int, dict[str, Content]]] = {}
        self._archives: dict[tuple[str, int], Content] = {}
        for handle, versions in models.items():
            for version, files in versions.items():
                self.publish(handle, version, files)
        self.storage = Storage()
        super().__init__()
        self.put_behind(self.storage)

    def publish(self, handle: str, version: int, files: Files) -> None:
        """Add a version, or replace one."""
        self._models.setdefault(_key(handle), {})[version] = contents(files)
        self._archives.pop((_key(handle), version), None)

    def compute_digests(self) -> None:
        """Compute the digests of all files, which otherwise the first download waits for."""
        for versions in self._models.values():
            for files in versions.values():
                for content in files.values():
                    _file_headers(content)

    def environment(self) -> dict[str, str]:
        """Return the variables that bring kagglehub here in a process of its own.

        It has no setting for an address, but its LOCALHOST environment follows a proxy.
        """
        bypass = {"no_proxy": "", "NO_PROXY": ""}
        return {"KAGGLE_API_ENVIRONMENT": "LOCALHOST", "http_proxy": self.url, **bypass}

    def reply_to(self, request: Request) -> Reply:
        path = urlsplit(request.path).path.removeprefix("/api")
        if request.method != "POST" or not path.startswith(_SERVICE):
            return _error(404, f"no such address: {path}")
        request.api = path.removeprefix(_SERVICE)
        if not self._admits(request.headers.get("authorization", "")):
            return _error(401, "Unauthenticated")
        asked = json.loads(request.body)
        # The name is recorded also where the answer is an error.
        request.file = asked.get("path", "")
        handle = _asked_handle(asked)
        versions = self._models.get(handle)
        if not versions:
            return _error(404, f"model instance not found: {handle}")
        if request.api == "GetModelInstance":
            return self._instance(asked, max(versions))
        version = asked.get("versionNumber") or max(versions)
        if version not in versions:
            return _error(404, f"version not found: {version}")
        if request.api == "ListModelInstanceVersionFiles":
            return self._listing(asked, versions[version])
        if request.api == "DownloadModelInstanceVersion":
            return self._download(request, handle, version)
        return _error(404, f"no such method: {request.api}")

    def _admits(self, authorization: str) -> bool:
        scheme, _, secret = authorization.partition(" ")
        if scheme == "Basic":
            secret = base64.b64decode(secret).decode().partition(":")[2]
        return self.token is None or secret == self.token

    def _instance(self, asked: dict[str, Any], version: int) -> Reply:
        known = {"slug": asked["instanceSlug"], "framework": asked["framework"]}
        return json_reply({"id": 1, **known, "versionId": 1000 + version, "versionNumber": version})

    def _listing(self, asked: dict[str, Any], files: dict[str, Content]) -> Reply:
        entries = [{"name": name, "size": content.size} for name, content in files.items()]
        entries += [{"name": name, "size": _HOSTILE.size} for name in self.extra_names]
        start = int(asked.get("pageToken") or 0)
        end = start + (asked.get("pageSize") or _PAGE_SIZE)
        token = str(end) if end < len(entries) else ""
        return json_reply({"files": entries[start:end], "nextPageToken": token})

    def _download(self, request: Request, handle: str, version: int) -> Reply:
        files = self._models[handle][version]
        if request.file:
            name, hostile = request.file, request.file in self.extra_names
            content = files.get(name, _HOSTILE if hostile else None)
        else:
            name = request.file = "archive.tar.gz"
            content = self._archive(handle, version, files)
        if not content:
            return _error(404, f"file not found: {name}")
        reply = Reply(200, content, _file_headers(content), ranged=True)
        if not self.redirect:
            return reply
        address = self.storage.put(f"{handle}/{version}", name, reply)
        return Reply(302, headers={"Location": address})

    def _archive(self, handle: str, version: int, files: dict[str, Content]) -> Content:
        if (handle, version) not in self._archives:
            self._archives[handle, version] = _tar(files)
        return self._archives[handle, version]


def _key(handle: str) -> str:
    """Return a handle with its framework as requests spell it: tensorFlow2 is TENSOR_FLOW_2."""
    owner, model, framework, variation = handle.split("/")
    return "/".join((owner, model, framework.replace("_", "").lower(), variation))


def _asked_handle(asked: dict[str, Any]) -> str:
    framework = asked.get("framework", "").removeprefix(_FRAMEWORK)
    slugs = (asked.get("ownerSlug"), asked.get("modelSlug"), framework, asked.get("instanceSlug"))
    return _key("/".join(map(str, slugs)))


def _file_headers(content: Content) -> dict[str, str]:
    return {
        "Content-Type": "application/octet-stream",
        "ETag": f'"{content.md5.hex()}"',
        "x-goog-hash": f"crc32c=AAAAAA==,md5={content.md5_base64}",
    }


def _tar(files: dict[str, Content]) -> Content:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz", compresslevel=1) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = content.size
            with content.open() as file:
                tar.addfile(entry, file)
    return Content(archive.getvalue())


def _error(code: int, message: str) -> Reply:
    return json_reply({"code": code, "message": message}, code)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m fakes.kaggle")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--handle", required=True)
    parser.add_argument("--version", type=int, default=1)
    parser.add_argument("--token")
    parser.add_argument("--no-redirect", action="store_true")
    given = parser.parse_args()
    models = {given.handle: {given.version: files_under(given.directory)}}
    with FakeKaggle(models, redirect=not given.no_redirect, token=given.token) as kaggle:
        kaggle.compute_digests()
        sys.stdout.write(f"{kaggle.url}\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
