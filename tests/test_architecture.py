"""The rules of the house: who may import what, what start-up loads, what is documented."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import fnet_cli

PACKAGE = Path(fnet_cli.__file__).parent
MODULES = {
    ".".join(("fnet_cli", *path.relative_to(PACKAGE).with_suffix("").parts)): path
    for path in PACKAGE.rglob("*.py")
}
# Each room may import from rooms of its own level and below.
LEVELS = {
    "constants": 0, "errors": 0, "units": 0, "files": 0, "config": 1,
    "backbone": 2, "tokenizer": 2, "presets": 2, "encoding": 3, "cli": 4,
}  # fmt: skip
KERAS_ROOMS = (
    "fnet_cli.backbone.embeddings", "fnet_cli.backbone.encoder", "fnet_cli.backbone.mixing",
    "fnet_cli.backbone.model", "fnet_cli.encoding.engine", "fnet_cli.presets.loading",
)  # fmt: skip
HEAVY = {"keras", "tensorflow", "jax", "torch", "pyarrow", "kagglehub", "huggingface_hub"}


def imports(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("module", [name for name in MODULES if room(name) in LEVELS])
def test_imports_run_one_way(module):
    for name in imports(MODULES[module]):
        if name.startswith("fnet_cli.") and room(name) in LEVELS:
            assert LEVELS[room(name)] <= LEVELS[room(module)], f"{module} imports {name}"


@pytest.mark.parametrize("module", MODULES)
def test_typer_rich_and_keras_stay_in_their_rooms(module):
    roots = {name.split(".")[0] for name in imports(MODULES[module])}
    assert "click" not in roots
    if room(module) != "cli":
        assert not roots & {"typer", "rich"}
    if module not in KERAS_ROOMS:
        assert not roots & {"keras", "tensorflow", "jax", "torch"}


def loaded_by(code: str) -> set[str]:
    """Return the top-level packages that a fresh interpreter has loaded after `code`."""
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint('\\n' + ' '.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return {name.split(".")[0] for name in ran.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize(
    "command",
    ["--help", "--version", "encode --help", "summary", "summary f_net_large_en", "presets list"],
)
def test_commands_that_look_load_no_heavy_package(command):
    loaded = loaded_by(f"from fnet_cli.cli.main import main\nmain({command.split()!r})")
    assert not loaded & (HEAVY | {"h5py", "sentencepiece", "numpy"})


def test_inspect_loads_the_weight_reader_and_no_framework():
    code = "from fnet_cli.cli.main import main\nmain(['presets', 'inspect', 'f_net_mini_en'])"
    assert not loaded_by(code) & HEAVY


def test_importing_the_package_loads_nothing_heavy():
    assert not loaded_by("import fnet_cli") & (HEAVY | {"typer", "rich", "h5py", "numpy"})


def test_a_refused_job_has_not_started_a_framework(tmp_path):
    (tmp_path / "tokens.jsonl").write_text('{"token_ids": [1, 99999999]}\n')
    arguments = ["encode", str(tmp_path / "tokens.jsonl"), "-o", str(tmp_path / "out.parquet")]
    loaded = loaded_by(f"from fnet_cli.cli.main import main\nassert main({arguments!r}) == 3")
    assert not loaded & {"keras", "tensorflow", "jax", "torch"}


@pytest.mark.parametrize("name", [name for name in fnet_cli.__all__ if name != "__version__"])
def test_every_public_name_can_be_imported_and_is_documented(name):
    assert getattr(fnet_cli, name).__doc__
    assert name in dir(fnet_cli)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = fnet_cli.nope


@pytest.mark.parametrize("module", sorted(MODULES))
def test_everything_public_has_a_docstring(module):
    tree = ast.parse(MODULES[module].read_text())
    assert ast.get_docstring(tree), module
    kinds = (ast.FunctionDef, ast.ClassDef)
    for node in [tree, *[item for item in tree.body if isinstance(item, ast.ClassDef)]]:
        for item in node.body:
            if isinstance(item, kinds) and not item.name.startswith("_"):
                assert ast.get_docstring(item), f"{module}: {item.name}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_files_and_functions_stay_short(module):
    source = MODULES[module].read_text()
    assert source.count("\n") <= 400
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and (module, node.name) not in LONG_FUNCTIONS:
            body = node.end_lineno - node.body[0].lineno + 1
            assert body <= 50, f"{module}: {node.name} has {body} lines"


# A command's options are its signature, and building one value from them takes a line each.
LONG_FUNCTIONS = {("fnet_cli.cli.encode", "encode")}


def test_every_error_has_an_exit_code_of_its_kind():
    errors = importlib.import_module("fnet_cli.errors")
    drawn = errors.__doc__
    for name, item in vars(errors).items():
        if isinstance(item, type) and issubclass(item, errors.FnetError):
            assert item.exit_code in errors.ExitCode
            assert name in drawn
