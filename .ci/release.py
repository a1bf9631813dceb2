"""A dry run of a release: everything but the upload. docs/releasing.md says how it is used.

Builds the source archive, and the wheel from it; checks versions, changelog, sizes and metadata;
installs the wheel in an empty environment, uses it as a user would, and takes it away again.
Needs `build` and `twine`, of the extra `release`.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# What both archives may take: the bundled preset is most of it. More is a file too many.
MAX_ARCHIVE_BYTES = 12 * 1024**2
# Where a program may leave files of its own in a user's home: what the XDG rules give it.
XDG_PLACES = (".cache", ".config", ".local/share", ".local/state")
_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)
_FINAL = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")


class RefusedError(Exception):
    """What stands in the way of a release, in a line."""


def check(holds: object, message: str) -> None:
    """Raise RefusedError with the message where something does not hold."""
    if not holds:
        raise RefusedError(message)


def check_changelog(text: str, version: str, *, final: bool) -> None:
    """Require that the changelog says what is new.

    Before a release, that is something under Unreleased; of a final one, a section with the
    version and a date, and nothing that is left under Unreleased.
    """
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    entries = {section.partition("\n")[0]: "\n- " in section for section in sections}
    if not final:
        dated = [title for title in entries if re.match(rf"\[?{re.escape(version)}\]? ", title)]
        check(dated or entries.get("Unreleased"), "CHANGELOG.md: nothing under Unreleased")
        return
    check(_FINAL.fullmatch(version), f"{version} is no version for a release: make it X.Y.Z")
    dated_title = rf"\[?{re.escape(version)}\]? - [0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}"
    check(
        any(re.fullmatch(dated_title, title) and full for title, full in entries.items()),
        f"CHANGELOG.md: no section '## {version} - YYYY-MM-DD' with entries",
    )
    check(not entries.get("Unreleased"), "CHANGELOG.md: entries are left under Unreleased")


def run(*command: object, env: dict[str, str] | None = None, cwd: Path = ROOT) -> str:
    """Run a command and return what it prints; its errors go to the terminal."""
    ran = subprocess.run(
        [str(part) for part in command], env=env, cwd=cwd, stdout=subprocess.PIPE, text=True
    )
    check(ran.returncode == 0, f"ended with {ran.returncode}: {' '.join(map(str, command))}")
    return ran.stdout


def build(version: str, target: Path) -> Path:
    """Build both archives, look at them from outside, and return the wheel's path."""
    run(sys.executable, "-m", "build", "--outdir", target, ROOT)
    sdist, wheel = (
        target / f"fnet_cli-{version}.tar.gz",
        target / f"fnet_cli-{version}-py3-none-any.whl",
    )
    found = sorted(path.name for path in target.iterdir())
    check(found == sorted([sdist.name, wheel.name]), f"built {found}, and not version {version}")
    print(run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel).strip())
    for path in (sdist, wheel):
        size = path.stat().st_size
        print(f"{path.name}: {size / 1024**2:.2f} MiB of {MAX_ARCHIVE_BYTES / 1024**2:.0f}")
        check(size <= MAX_ARCHIVE_BYTES, f"{path.name}: {size:,} bytes, over {MAX_ARCHIVE_BYTES:,}")
    check_content(wheel)
    return wheel


def check_content(wheel: Path) -> None:
    """Require of the wheel the package's files, all of them, and nothing else."""
    tracked = set(run("git", "ls-files", "fnet_cli").split())
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    ours = {name for name in packed if ".dist-info/" not in name}
    check(ours == tracked, f"wheel and repository differ: {sorted(ours ^ tracked)[:5]}")
    for name in ("LICENSE", "NOTICE"):
        check(any(path.endswith(f"licenses/{name}") for path in packed), f"no {name} in the wheel")


def files_below(directory: Path) -> set[str]:
    """Return the files below a directory, but for bytecode, by their paths in it."""
    paths = (path for path in directory.rglob("*") if "__pycache__" not in path.parts)
    return {path.relative_to(directory).as_posix() for path in paths if not path.is_dir()}


def install(wheel: Path, environment: Path) -> Path:
    """Make an empty environment with the wheel and what it depends on; return its programs."""
    run(sys.executable, "-m", "venv", environment)
    run(environment / "bin/pip", "install", "-q", "--disable-pip-version-check", wheel)
    return environment / "bin"


def use(programs: Path, version: str, outside: Path) -> None:
    """Use the program in a directory and a home of its own; require that it leaves no litter."""
    places = {name: outside / name.lower() for name in ("HOME", "TMPDIR", "work")}
    for place in places.values():
        place.mkdir()
    env = {"PATH": f"{programs}:{os.environ['PATH']}"}
    env |= {name: str(places[name]) for name in ("HOME", "TMPDIR")}
    work = places["work"]
    shutil.copy(ROOT / "docs/examples/sentences.txt", work)

    def fnet(*arguments: str) -> str:
        return run(programs / "fnet", *arguments, env=env, cwd=work)

    check(fnet("--version").split()[-1] == version, "fnet --version is another one")
    fnet("presets", "inspect", "f_net_mini_en")
    fnet("presets", "use", "f_net_mini_en")
    print(fnet("encode", "sentences.txt", "-o", "embeddings.parquet", "--json").strip())
    compare = (
        "import pyarrow.parquet as pq; table = pq.read_table('embeddings.parquet'); "
        "assert table['text'].to_pylist() == open('sentences.txt').read().splitlines(); "
        "assert table.schema.field('embedding').type.list_size == 256"
    )
    run(programs / "python", "-c", compare, env=env, cwd=work)
    check(files_below(work) == {"sentences.txt", "embeddings.parquet"}, "litter in the directory")
    check(not files_below(places["TMPDIR"]), "litter among the temporary files")
    kept = files_below(places["HOME"])
    print(f"files in the home: {', '.join(sorted(kept)) or 'none'}")
    elsewhere = [name for name in kept if not name.startswith(tuple(f"{at}/" for at in XDG_PLACES))]
    check(not elsewhere, f"files outside the XDG directories: {elsewhere}")


def uninstall(programs: Path) -> None:
    """Take the package away, and require that nothing of it is left."""
    environment = programs.parent
    (record,) = environment.glob("lib/*/site-packages/fnet_cli-*.dist-info/RECORD")
    ours = set(_recorded(record, environment))
    before = files_below(environment)
    check("bin/fnet" in ours and len(ours) > 100, "the wheel's record is not what it should be")
    run(programs / "pip", "uninstall", "-q", "--yes", "fnet-cli")
    left = files_below(environment) - (before - ours)
    check(not left, f"left after the uninstallation: {sorted(left)[:5]}")
    directories = [path for path in environment.rglob("fnet_cli*") if path.is_dir()]
    check(not directories, f"left after the uninstallation: {directories}")


def _recorded(record: Path, environment: Path) -> Iterable[str]:
    """Yield the files of an installed package, by their paths in the environment."""
    packages = record.parent.parent
    for name, *_ in csv.reader(record.read_text().splitlines()):
        path = Path(os.path.normpath(packages / name))
        if "__pycache__" not in path.parts:
            yield path.relative_to(environment).as_posix()


def main() -> int:
    """Run every check; 0, or 1 with a line that says what stands in the way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--final", action="store_true", help="demand a dated section of this version"
    )
    parser.add_argument("--keep", metavar="DIR", type=Path, help="leave the archives in DIR")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="fnet-release-") as outside:
            dry_run(Path(outside), options.keep, final=options.final)
    except RefusedError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


def dry_run(outside: Path, keep: Path | None, *, final: bool) -> None:
    """Raise RefusedError with the first thing that stands in the way."""
    (version,) = _VERSION.findall((ROOT / "fnet_cli/constants.py").read_text())
    check_changelog((ROOT / "CHANGELOG.md").read_text(), version, final=final)
    wheel = build(version, outside / "dist")
    programs = install(wheel, outside / "environment")
    use(programs, version, outside)
    uninstall(programs)
    if keep:
        shutil.copytree(outside / "dist", keep, dirs_exist_ok=True)
    print(f"version {version}: ready" if final else f"version {version}: the dry run has passed")


if __name__ == "__main__":
    sys.exit(main())
