"""Keras imported in a program of our own: without what it can do without, and no more changed."""

from __future__ import annotations

import json
import subprocess
import sys

from running import clean_env

from fnet_cli.encoding.engine.importing import import_backend

OPTIONAL = ("matplotlib", "sklearn")


def after_import(only_model: bool) -> dict:
    """Import the backend in a new process; return what is loaded there, and what can be."""
    program = (
        "import gc, importlib, json, sys\n"
        "from fnet_cli.encoding.engine.importing import import_backend\n"
        f"backend = import_backend(only_model={only_model})\n"
        f"loaded = [name for name in {OPTIONAL} if name in sys.modules]\n"
        f"found = [importlib.import_module(name).__name__ for name in {OPTIONAL}]\n"
        "print(json.dumps([backend, loaded, found, gc.isenabled()]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], env=clean_env(), capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    names = ("backend", "loaded", "found", "collecting")
    return dict(zip(names, json.loads(ran.stdout.splitlines()[-1]), strict=True))


def test_a_program_of_ours_imports_no_package_that_keras_can_do_without():
    assert after_import(only_model=True) == {
        "backend": "tensorflow", "loaded": [], "found": list(OPTIONAL), "collecting": True,
    }  # fmt: skip


def test_a_users_process_gets_keras_as_keras_is():
    # Else what is left out would no longer be there to leave out.
    assert after_import(only_model=False)["loaded"] == list(OPTIONAL)


def test_packages_that_are_there_already_stay():
    import matplotlib

    assert import_backend(only_model=True) == "tensorflow"
    assert sys.modules["matplotlib"] is matplotlib


def test_after_a_failed_import_everything_can_be_imported_again():
    program = (
        "import gc, os, sys\n"
        "sys.modules['keras'] = None\n"
        "from fnet_cli.encoding.engine.importing import import_backend\n"
        "from fnet_cli.errors import UsageError\n"
        "try:\n    import_backend(only_model=True)\n"
        "except UsageError as error:\n    print(error)\n"
        "import matplotlib, sklearn\n"
        "print(gc.isenabled())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], env=clean_env(), capture_output=True, text=True
    )
    lines = ran.stdout.splitlines()
    assert "cannot be imported" in lines[0], ran.stderr
    assert lines[1] == "True"
