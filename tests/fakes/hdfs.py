"""HDFS as Arrow reaches it: a library with Hadoop's C interface over a directory (libhdfs.c)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def hdfs_over(root: Path, build: Path) -> dict[str, str]:
    """Compile the library into `build`; return the variables of who finds `root` in hdfs://name.

    Arrow loads a Java machine's library before it, which is not needed then, and is empty here.
    Without a C compiler the test is skipped.
    """
    compiler = shutil.which("cc") or pytest.skip("no C compiler, which makes the library")
    machine = build / "java/lib/server/libjvm.so"
    machine.parent.mkdir(parents=True)
    shared = [compiler, "-shared", "-fPIC", "-o"]
    source = Path(__file__).with_name("libhdfs.c")
    subprocess.run([*shared, build / "libhdfs.so", source], check=True, timeout=60)
    empty = subprocess.run([*shared, machine, "-x", "c", "-"], input=b"int none;\n", timeout=60)
    assert empty.returncode == 0
    return {
        "JAVA_HOME": str(build / "java"),
        "ARROW_LIBHDFS_DIR": str(build),
        "CLASSPATH": str(build),
        "FAKE_HDFS_ROOT": str(root),
    }
