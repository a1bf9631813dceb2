"""The Hugging Face hub's model repositories, as huggingface_hub 2.4 speaks to it, without Xet.

`python -m fakes.huggingface --directory DIR --repo OWNER/NAME` serves a directory as the only
commit of a repository: the address is the first line of stdout.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from fakes.answers import Reply, Request
from fakes.content import Content, files_under
from fakes.server import LoopbackServer, Storage, json_reply

Files = Mapping[str, bytes | Path]
_LFS_ENDINGS = (".safetensors", ".h5", ".bin", ".spm", ".model")
_LFS_SIZE = 1 << 20
_HOSTILE = Content(b"written where it should not be")
_REPO, _REVISION = r"(?P<repo>[^/]+/[^/]+)", r"(?P<revision>[^/]+)"
_ROUTES = {
    "info": re.compile(rf"/api/models/{_REPO}(?:/revision/{_REVISION})?"),
    "tree": re.compile(rf"/api/models/{_REPO}/tree/{_REVISION}"),
    "resolve": re.compile(rf"/{_REPO}/resolve/{_REVISION}/(?P<file>.+)"),
}


def commit_of(files: Files) -> str:
    """Return a commit hash that is the same for the same files."""
    lines = [f"{Content(files[name]).git_oid} {name}\n" for name in sorted(files)]
    return hashlib.sha1("".join(lines).encode()).hexdigest()


@dataclass
class Repo:
    """Commits by hash, and branches and tags by name; both may change while the hub serves.

    A `private` repository is unknown to who lacks the hub's token, a `gated` one is listed to them
    and keeps its files.
    """

    commits: dict[str, Files]
    refs: dict[str, str] = field(default_factory=dict)
    private: bool = False
    gated: bool = False

    @classmethod
    def of(cls, files: Files, *, private: bool = False, gated: bool = False) -> Self:
        """Return a repository with one commit, on main."""
        repo = cls({}, private=private, gated=gated)
        repo.commit(files)
        return repo

    def commit(self, files: Files, ref: str = "main") -> str:
        """Add a commit, move a branch or tag to it and return its hash."""
        sha = commit_of(files)
        self.commits[sha], self.refs[ref] = files, sha
        return sha


class FakeHub(LoopbackServer):
    """Model repositories by id.

    With `redirect`, a large file leads to `storage`, a server under another host name. `token` is
    what private and gated repositories ask for. `extra_names` are in every tree and have bytes.
    API methods are "info", "tree" and "resolve".
    """

    def __init__(
        self,
        repos: Mapping[str, Repo],
        *,
        redirect: bool = True,
        token: str | None = None,
        extra_names: Sequence[str] = (),
    ):
        self.repos, self.redirect, self.token = dict(repos), redirect, token
        self.extra_names = list(extra_names)
        self._contents: dict[tuple[str, str, str], Content] = {}
        self.storage = Storage()
        super().__init__()
        self.put_behind(self.storage)

    def environment(self) -> dict[str, str]:
        """Return the variables that bring huggingface_hub here in a process of its own."""
        return {"HF_ENDPOINT": self.url}

    def files_of(self, repo_id: str, sha: str) -> dict[str, Content]:
        """Return a commit's files with the digests known so far."""
        files = self.repos[repo_id].commits[sha]
        known = self._contents
        return {
            name: known.setdefault((repo_id, sha, name), Content(source))
            for name, source in files.items()
        }

    def reply_to(self, request: Request) -> Reply:
        path = urlsplit(request.path).path
        found = {api: match for api, route in _ROUTES.items() if (match := route.fullmatch(path))}
        if request.method not in ("GET", "HEAD") or not found:
            return _error(404, "", f"no such address: {path}")
        request.api, match = next(iter(found.items()))
        asked = {name: unquote(value) for name, value in match.groupdict("main").items()}
        request.file = asked.get("file", "")
        repo = self.repos.get(asked["repo"])
        if refusal := self._refusal(repo, request):
            return refusal
        sha = repo.refs.get(asked["revision"], asked["revision"])
        if sha not in repo.commits:
            return _error(404, "RevisionNotFound", "Invalid rev id")
        files = self.files_of(asked["repo"], sha)
        listed = {**files, **dict.fromkeys(self.extra_names, _HOSTILE)}
        query = parse_qs(urlsplit(request.path).query)
        if request.api == "info":
            blobs = "blobs" in query
            return json_reply(_info(asked["repo"], repo, sha, listed, blobs=blobs))
        if request.api == "tree":
            return json_reply(_tree(listed, query.get("recursive", [""])[0].lower() == "true"))
        return self._resolve(f"{asked['repo']}/{sha}", sha, request.file, listed)

    def _refusal(self, repo: Repo | None, request: Request) -> Reply | None:
        if not repo:
            return _error(404, "RepoNotFound", "Repository not found")
        authorization = request.headers.get("authorization")
        if self.token and authorization == f"Bearer {self.token}":
            return None
        if repo.private:
            # As the hub does, for a 403 would give away that there is such a repository.
            return _error(401, "RepoNotFound", "Invalid username or password.")
        if repo.gated and request.api == "resolve":
            return _error(403 if authorization else 401, "GatedRepo", "Access is restricted.")
        return None

    def _resolve(self, folder: str, sha: str, name: str, files: dict[str, Content]) -> Reply:
        commit = {"X-Repo-Commit": sha}
        if name not in files:
            return _error(404, "EntryNotFound", "Entry not found", commit)
        content = files[name]
        oid = content.sha256 if _is_lfs(name, content) else content.git_oid
        kind = {"Content-Type": "application/octet-stream", "ETag": f'"{oid}"'}
        if not (self.redirect and _is_lfs(name, content)):
            return Reply(200, content, {**kind, **commit}, ranged=True)
        address = self.storage.put(folder, name, Reply(200, content, kind, ranged=True))
        linked = {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(content.size)}
        return Reply(302, headers={"Location": address, **linked, **commit})


def _is_lfs(name: str, content: Content) -> bool:
    return content.size > _LFS_SIZE or name.endswith(_LFS_ENDINGS)


def _info(
    repo_id: str, repo: Repo, sha: str, files: dict[str, Content], *, blobs: bool
) -> dict[str, Any]:
    return {
        "_id": sha[:24],
        "id": repo_id,
        "modelId": repo_id,
        "author": repo_id.partition("/")[0],
        "sha": sha,
        "private": repo.private,
        "gated": "manual" if repo.gated else False,
        "disabled": False,
        "tags": [],
        "siblings": [
            _blob(name, content) if blobs else {"rfilename": name}
            for name, content in files.items()
        ],
    }


def _blob(name: str, content: Content) -> dict[str, Any]:
    entry = _entry(name, content)
    blob = {"rfilename": name, "blobId": entry["oid"], "size": entry["size"]}
    if "lfs" in entry:
        lfs = entry["lfs"]
        blob["lfs"] = {"sha256": lfs["oid"], **{k: lfs[k] for k in ("size", "pointerSize")}}
    return blob


def _tree(files: dict[str, Content], recursive: bool) -> list[dict[str, Any]]:
    parents = {str(parent) for name in files for parent in Path(name).parents}
    folders = [
        {
            "type": "directory",
            "oid": hashlib.sha1(name.encode()).hexdigest(),
            "size": 0,
            "path": name,
        }
        for name in sorted(parents - {".", "..", "/"})
    ]
    entries = folders + [_entry(name, content) for name, content in files.items()]
    return [entry for entry in entries if recursive or "/" not in entry["path"]]


def _entry(name: str, content: Content) -> dict[str, Any]:
    entry = {"type": "file", "oid": content.git_oid, "size": content.size, "path": name}
    if not _is_lfs(name, content):
        return entry
    pointer = Content(
        b"version https://git-lfs.github.com/spec/v1\n"
        b"oid sha256:%b\nsize %d\n" % (content.sha256.encode(), content.size)
    )
    lfs = {"oid": content.sha256, "size": content.size, "pointerSize": pointer.size}
    return {**entry, "oid": pointer.git_oid, "lfs": lfs}


def _error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Reply:
    named = {"X-Error-Code": code} if code else {}
    return json_reply(
        {"error": message}, status, {**named, "X-Error-Message": message, **(headers or {})}
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m fakes.huggingface")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--repo", required=True)
    parser.add_argument("--token")
    parser.add_argument("--no-redirect", action="store_true")
    given = parser.parse_args()
    repo = Repo.of(files_under(given.directory), private=given.token is not None)
    with FakeHub({given.repo: repo}, redirect=not given.no_redirect, token=given.token) as hub:
        # Digests of large files take a while, and a benchmark must not wait for them.
        _tree(hub.files_of(given.repo, repo.refs["main"]), recursive=True)
        sys.stdout.write(f"{hub.url}\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
