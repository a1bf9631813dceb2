"""Python, the packages, the extras, and the program on the path."""

from __future__ import annotations

import platform
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from fnet_cli.checkup.findings import Finding, Verdict, shown_path
from fnet_cli.checkup.probing import probe
from fnet_cli.checkup.world import World
from fnet_cli.constants import __version__

DISTRIBUTION = "fnet-cli"
_REINSTALL = "install fnet-cli anew, in an environment of its own: python3 -m venv, then pip"
# For developers; nobody who encodes misses them.
_NOT_FOR_USERS = ("test", "lint", "peers", "docs", "frameworks", "training")
# What fsspec needs for the stores that are asked for most.
_STORES = ("s3fs", "gcsfs", "adlfs")
_TOLD = ("keras", "tensorflow", "numpy", "pyarrow", "kagglehub", "huggingface-hub")
# Native code, or a client of a hub: what may be installed and broken. Keras is the backend's.
_IMPORTED = (
    "numpy", "pyarrow", "h5py", "ml_dtypes", "orjson", "sentencepiece", "safetensors",
    "kagglehub", "huggingface_hub",
)  # fmt: skip


def check_python(world: World) -> Iterator[Finding]:
    """Tell the interpreter and the system, and hold the version against what fnet supports."""
    version = platform.python_version()
    details = {
        "version": version,
        "implementation": platform.python_implementation(),
        "executable": shown_path(sys.executable, world.home),
        "system": platform.platform(),
        "fnet": __version__,
    }
    found = f"{version} on {platform.platform()}, fnet {__version__}"
    wanted = _metadata_field("Requires-Python")
    if wanted and not _within(version, wanted):
        hint = f"fnet needs Python {wanted}"
        yield Finding("python", Verdict.PROBLEM, found, hint, details)
    else:
        yield Finding("python", Verdict.OK, found, details=details)


def check_packages(world: World) -> Iterator[Finding]:
    """Hold what is installed against what fnet requires, and import what may be broken."""
    requirements = _requirements()
    if not requirements:
        yield Finding(
            "packages", Verdict.WARNING, "fnet-cli is not installed: it runs from a directory, "
            "and which versions it needs is not known", "pip install . in that directory",
        )  # fmt: skip
    versions = {name: _version(name) for name, _, extra in requirements if not extra}
    wrong = list(_wrong(requirements, versions))
    told = ", ".join(f"{name} {versions[name]}" for name in _TOLD if versions.get(name))
    if requirements and not wrong:
        found = f"{len(versions)} as required: {told}"
        yield Finding("packages", Verdict.OK, found, details=versions)
    elif wrong:
        yield Finding("packages", Verdict.NOTE, told, details=versions)
    yield from wrong
    yield from _broken(world)


def _wrong(
    requirements: Sequence[tuple[str, str, str]], versions: dict[str, str | None]
) -> Iterator[Finding]:
    for name, wanted, extra in requirements:
        if extra:
            continue
        version = versions[name]
        if version is None:
            found = f"{name} is not installed; {wanted or 'any version'} is needed"
            yield Finding("packages", Verdict.PROBLEM, found, f"pip install '{name}{wanted}'")
        elif not _within(version, wanted):
            found = f"{name} {version} is not in the tested range {wanted}"
            yield Finding("packages", Verdict.WARNING, found, f"pip install '{name}{wanted}'")


def _broken(world: World) -> Iterator[Finding]:
    for name, result in probe(_IMPORTED, world).items():
        if "error" in result:
            found = f"{name} cannot be imported: {result['error']}"
            yield Finding("packages", Verdict.PROBLEM, found, _REINSTALL)


def check_extras(world: World) -> Iterator[Finding]:
    """Tell which extras are installed, each by all of its packages."""
    del world
    extras: dict[str, list[str]] = {}
    for name, _, extra in _requirements():
        if extra and extra not in _NOT_FOR_USERS:
            extras.setdefault(extra, []).append(name)
    stores = [f"{name} {version}" for name in _STORES if (version := _version(name))]
    for extra, names in sorted(extras.items()):
        versions = {name: _version(name) for name in names}
        missing = [name for name, version in versions.items() if version is None]
        if missing:
            found = f"{extra} is not installed"
            hint = f"only for what needs it: pip install '{DISTRIBUTION}[{extra}]'"
            yield Finding("extras", Verdict.NOTE, found, hint, versions)
        else:
            told = [f"{name} {version}" for name, version in versions.items()]
            told += stores if extra == "fsspec" else []
            yield Finding("extras", Verdict.OK, f"{extra}: {', '.join(told)}", details=versions)


def check_program(world: World) -> Iterator[Finding]:
    """Tell whether `fnet` in a shell is this installation's."""
    scripts = Path(sysconfig.get_path("scripts"))
    own, first = scripts / "fnet", shutil.which("fnet", path=world.variable("PATH"))
    if first is None:
        found = "fnet is not on the path"
        hint = f"add {shown_path(scripts, world.home)} to PATH, or run python -m fnet_cli"
        yield Finding("program", Verdict.NOTE, found, hint)
    elif own.exists() and own.samefile(first):
        yield Finding("program", Verdict.OK, shown_path(first, world.home))
    else:
        found = f"fnet on the path is another one: {shown_path(first, world.home)}"
        hint = f"this one is in {shown_path(scripts, world.home)}: put it first in PATH"
        yield Finding("program", Verdict.WARNING, found, hint)


def _metadata_field(name: str) -> str:
    try:
        found = metadata.metadata(DISTRIBUTION)
        return str(found[name]) if name in found else ""
    except metadata.PackageNotFoundError:
        return ""


def _requirements() -> list[tuple[str, str, str]]:
    """Return (name, versions, extra) of all that the installed fnet requires on this system."""
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires(DISTRIBUTION) or []
        extras = metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return []
    found = []
    for requirement in map(Requirement, lines):
        marker = requirement.marker
        for extra in ["", *extras]:
            # What holds without any extra is not one's.
            if marker is None or marker.evaluate({"extra": extra}):
                found.append((requirement.name, str(requirement.specifier), extra))
                break
    return found


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _within(version: str, wanted: str) -> bool:
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion

    try:
        # A release candidate that is installed is what its user wants.
        return SpecifierSet(wanted).contains(version, prereleases=True)
    except InvalidVersion:
        return False
