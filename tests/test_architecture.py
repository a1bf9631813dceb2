"""The rules of the house: who may import what, what start-up loads, what is documented."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import clean_env

import fnet_cli

PACKAGE = Path(fnet_cli.__file__).parent
ROOT = Path(__file__).parent.parent
OUR_FILES = sorted([*PACKAGE.rglob("*.py"), *ROOT.glob("tests/**/*.py")])
MODULES = {
    ".".join(("fnet_cli", *path.relative_to(PACKAGE).with_suffix("").parts)): path
    for path in PACKAGE.rglob("*.py")
}
# What each room may import of the package, besides itself; files, locks, outcomes, units are tools.
_BASE = {"constants", "errors", "files", "locks", "memory", "outcomes", "processor", "units"}
_AFAR = {"patience", "stores"}
_MIDDLE = {"backbone", "presets", "tokenizer"}
MAY_IMPORT = {
    "constants": set(), "errors": set(), "files": _BASE, "locks": set(), "outcomes": set(),
    "memory": {"errors"}, "processor": set(), "units": _BASE,
    "config": {"constants", "errors", "files"}, "backbone": {*_BASE, "config"},
    "patience": _BASE, "stores": {*_BASE, "config"}, "tokenizer": {*_BASE, "config"},
    "presets": {*_BASE, *_AFAR, "config", "backbone", "tokenizer"},
    "encoding": {*_BASE, *_AFAR, *_MIDDLE, "config"},
    "checkup": {*_BASE, *_AFAR, "config", "presets"}, "reporting": {*_BASE, "config", "encoding"},
    "cli": {*_BASE, *_AFAR, *_MIDDLE, "checkup", "config", "encoding", "reporting"},
    "__main__": {"cli"}, "__init__": {*_BASE, *_MIDDLE, "config", "encoding"},
}  # fmt: skip
# KerasHub's from_preset and save_to_preset are methods of the model and of the tokenizer, so that
# these reach for the presets; only when they are called.
LAZY = {
    "fnet_cli.backbone.model": {"presets", "config"},
    "fnet_cli.tokenizer.tokenizer": {"presets"},
}
KERAS_ROOMS = (
    "fnet_cli.checkup.probe",  # runs in a process of its own
    "fnet_cli.backbone.embeddings", "fnet_cli.backbone.encoder", "fnet_cli.backbone.fusing",
    "fnet_cli.backbone.mixing", "fnet_cli.backbone.model", "fnet_cli.backbone.normalization",
    "fnet_cli.encoding.engine.compiling", "fnet_cli.encoding.engine.devices",
    "fnet_cli.encoding.engine.floor", "fnet_cli.encoding.engine.importing",
    "fnet_cli.encoding.engine.loading", "fnet_cli.encoding.engine.memory",
    "fnet_cli.presets.loading",
)  # fmt: skip
# Reads a pickle with torch, once the user has allowed it.
TORCH_ROOMS = ("fnet_cli.presets.layouts.torch_pickle",)
FRAMEWORKS = {"keras", "tensorflow", "jax", "torch"}
# Sizes of a model and options of a command are their signatures.
MANY_PARAMETERS = 5
MANY_BY_DESIGN = {
    ("fnet_cli.backbone.encoder", "__init__"), ("fnet_cli.backbone.model", "__init__"),
    ("fnet_cli.cli.bench", "bench"), ("fnet_cli.cli.encode", "encode"),
    ("fnet_cli.cli.report", "report"),
    ("fnet_cli.cli.store", "pull_command"), ("fnet_cli.cli.tokenize", "tokenize"),
    ("fnet_cli.cli.tokenize", "detokenize"),
}  # fmt: skip
HEAVY = FRAMEWORKS | {"pyarrow", "kagglehub", "huggingface_hub"}


def imports(path: Path, *, lazy: bool = True) -> Iterator[str]:
    """Yield every module that a file imports; without `lazy`, not those inside its functions."""
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            # A room may also be imported as a name of the package.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif lazy or not isinstance(node, ast.FunctionDef):
            waiting += ast.iter_child_nodes(node)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def room(module: str) -> str:
    return module.split(".")[1]


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_one_way(module):
    allowed = MAY_IMPORT[room(module)] | {room(module)}
    at_start = set(imports(MODULES[module], lazy=False))
    for name in imports(MODULES[module]):
        if name.startswith("fnet_cli."):
            lazily = set() if name in at_start else LAZY.get(module, set())
            assert room(name) in allowed | lazily, f"{module} imports {name}"


@pytest.mark.parametrize("module", MODULES)
def test_typer_rich_and_keras_stay_in_their_rooms(module):
    roots = {name.split(".")[0] for name in imports(MODULES[module])}
    assert "click" not in roots
    if room(module) != "cli":
        assert not roots & {"typer", "rich"}
    if module not in {*KERAS_ROOMS, *TORCH_ROOMS}:
        assert not roots & FRAMEWORKS


def loaded_by(code: str) -> set[str]:
    """Return the top-level packages that a fresh interpreter has loaded after `code`."""
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint('\\n' + ' '.join(sys.modules))"],
        env=clean_env(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return {name.split(".")[0] for name in ran.stdout.splitlines()[-1].split()}


def loaded_by_command(*arguments: str, code: int = 0) -> set[str]:
    return loaded_by(
        f"from fnet_cli.cli.main import main\nassert main({list(arguments)!r}) == {code}"
    )


@pytest.mark.parametrize(
    "command",
    ["--help", "--version", "encode --help", "presets inspect --help", "summary",
     "summary f_net_large_en", "summary f_net_large_en --format table", "presets list",
     "config show"],
)  # fmt: skip
def test_commands_that_look_load_no_heavy_package(command):
    assert not loaded_by_command(*command.split()) & (HEAVY | {"h5py", "sentencepiece", "numpy"})


def test_a_shell_that_completes_loads_no_heavy_package(tmp_path):
    def loaded_for(*words: str) -> set[str]:
        asked = {"_FNET_COMPLETE": "complete_bash", "COMP_CWORD": str(len(words) - 1)}
        asked["COMP_WORDS"] = "\n".join(words)
        return loaded_by(
            f"import os; os.environ.update({asked!r})\n"
            "from fnet_cli.cli.main import main; assert main([]) == 0"
        )

    assert not loaded_for("fnet", "encode", "--preset", "f") & (HEAVY | {"numpy", "rich"})
    (tmp_path / "t.csv").write_text("a,b\n")
    assert not loaded_for("fnet", "encode", f"{tmp_path}/t.csv", "--columns", "") & HEAVY


def test_convert_loads_no_framework(tmp_path):
    command = ["presets", "convert", "f_net_mini_en", str(tmp_path / "new"), "--to", "transformers"]
    assert not loaded_by_command(*command) & HEAVY


def test_inspect_loads_the_weight_reader_and_no_framework():
    assert not loaded_by_command("presets", "inspect", "f_net_mini_en") & HEAVY


def test_tokenize_and_detokenize_load_no_framework(tmp_path):
    (tmp_path / "t.txt").write_text("the fox\n")
    tokens = str(tmp_path / "tokens.parquet")
    assert not loaded_by_command("tokenize", str(tmp_path / "t.txt"), "-o", tokens) & FRAMEWORKS
    assert not loaded_by_command("detokenize", tokens) & FRAMEWORKS


def test_importing_the_package_loads_nothing_heavy():
    assert not loaded_by("import fnet_cli") & (HEAVY | {"typer", "rich", "h5py", "numpy"})


@pytest.mark.parametrize(
    ("token_ids", "output", "code"), [([1, 99_999_999], "new", 3), ([1], "existing", 7)]
)
def test_a_refused_job_has_not_started_a_framework(tmp_path, token_ids, output, code):
    source = tmp_path / "tokens.jsonl"
    source.write_text(json.dumps({"token_ids": token_ids}) + "\n")
    (tmp_path / "existing.parquet").write_text("precious")
    loaded = loaded_by_command(
        "encode", str(source), "-o", str(tmp_path / f"{output}.parquet"), code=code
    )
    assert not loaded & FRAMEWORKS


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
            overload = "overload" in map(ast.unparse, getattr(item, "decorator_list", []))
            if isinstance(item, kinds) and not item.name.startswith("_") and not overload:
                assert ast.get_docstring(item), f"{module}: {item.name}"


def lines_of(function: ast.FunctionDef) -> int:
    """Count a function's lines; a signature that is a command's options or a model's sizes not."""
    first = function.body[0] if len(function.args.args) > MANY_PARAMETERS else function
    return function.end_lineno - first.lineno + 1


@pytest.mark.parametrize("path", OUR_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_short(path):
    source = path.read_text()
    assert source.count("\n") <= 400
    for function in functions(ast.parse(source)):
        assert lines_of(function) <= 45, f"{path}: {function.name}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_many_parameters_are_one_value(module):
    for function in functions(ast.parse(MODULES[module].read_text())):
        arguments = [*function.args.args, *function.args.kwonlyargs]
        names = [argument.arg for argument in arguments if argument.arg not in ("self", "cls")]
        if (module, function.name) not in MANY_BY_DESIGN:
            assert len(names) <= MANY_PARAMETERS, f"{module}: {function.name}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_who_catches_everything_raises_it_again(module):
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.ExceptHandler):
            caught = {item.id for item in ast.walk(node.type or node) if isinstance(item, ast.Name)}
            if node.type is None or caught & {"Exception", "BaseException"}:
                assert any(isinstance(item, ast.Raise) and not item.exc for item in node.body)


@pytest.mark.parametrize("module", [name for name in MODULES if room(name) != "cli"])
def test_the_library_prints_nothing_and_never_writes_to_standard_error(module):
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        assert not (isinstance(node, ast.Name) and node.id == "print")
        assert not (isinstance(node, ast.Attribute) and node.attr == "stderr")


@pytest.mark.parametrize("module", sorted(MODULES))
def test_the_environment_is_not_read_at_import(module):
    waiting: list[ast.AST] = [ast.parse(MODULES[module].read_text())]
    while waiting:
        node = waiting.pop()
        assert not (isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv"))
        if not isinstance(node, (ast.FunctionDef, ast.Lambda)):
            waiting += ast.iter_child_nodes(node)


def test_every_error_has_an_exit_code_of_its_kind():
    errors = importlib.import_module("fnet_cli.errors")
    for name, item in vars(errors).items():
        if isinstance(item, type) and issubclass(item, errors.FnetError):
            assert item.exit_code in errors.ExitCode
            # The tree at the top of the module, and its number.
            assert re.search(rf"\b{name} +{int(item.exit_code)} ", errors.__doc__), name
