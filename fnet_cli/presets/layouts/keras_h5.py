"""KerasHub's weight files: HDF5, one file or sharded, in every layout they were written in.

Reading opens the file without following anything it points to. Only the datasets that the
config implies are looked at; each must be plain storage of the implied shape and a float dtype,
with all its bytes present, before memory for it is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.backbone.parameters import LayerParameters, layer_table
from fnet_cli.constants import SHARDED_WEIGHTS_FILE, WEIGHTS_FILE
from fnet_cli.errors import PresetError, UnsafePresetError
from fnet_cli.presets.layouts.hdf5_heaps import check_heaps
from fnet_cli.presets.layouts.keras import KERAS_FILES
from fnet_cli.presets.layouts.naming import weight_files, weight_map

# Top groups, newest first: Keras 3, then what Keras 2.13 and 2.14 wrote.
_TOP_GROUPS = ("layers", "_layer_checkpoint_dependencies")
# The group of each layer under a top group: the names that Keras derives from class names.
_GROUP_NAMES: Mapping[str, str] = {
    "token_embedding": "reversible_embedding",
    "position_embedding": "position_embedding",
    "segment_embedding": "embedding",
    "embeddings_layer_norm": "layer_normalization",
    "embedding_projection": "dense",
    "pooled_dense": "dense_1",
}
# Files from before August 2023 have two plain embeddings, the token table first, so `embedding`
# has two meanings. `embedding_1` exists only there, and is looked for first; `embedding` is
# taken for the token table only where nothing else can be.
_BEST_GROUP_NAMES: Mapping[str, str] = {"segment_embedding": "embedding_1"}
_LAST_GROUP_NAMES: Mapping[str, str] = {"token_embedding": "embedding"}
_ENCODER_GROUP = "f_net_encoder"
_ATTRIBUTE_ENCODERS = "transformer_layers"
_BFLOAT16_ATTRIBUTE = "dtype"
# What h5py raises, here and there, where a file's bytes are not what HDF5 says they must be.
_DAMAGE = (OSError, KeyError, RuntimeError, ValueError, TypeError)


def group_of(path: str, top: str = _TOP_GROUPS[0]) -> str:
    """Return the HDF5 group that Keras 3 writes the layer of Keras path `path` to."""
    layer, _, inner = path.partition("/")
    if not inner:
        return f"{top}/{_GROUP_NAMES[layer]}"
    index = int(layer.rpartition("_")[2])
    return f"{top}/{_ENCODER_GROUP}{f'_{index}' if index else ''}/_{inner}"


def group_candidates(path: str) -> list[str]:
    """List the groups that may hold the layer of Keras path `path`, best first.

    After the groups of layers come attribute paths: what some Keras versions wrote, and for
    encoder layers cannot themselves read back.
    """
    if "/" in path:
        return [group_of(path, top) for top in (*_TOP_GROUPS, _ATTRIBUTE_ENCODERS)]
    early, late = _BEST_GROUP_NAMES.get(path), _LAST_GROUP_NAMES.get(path)
    return [
        *(f"{top}/{early}" for top in _TOP_GROUPS if early),
        *(group_of(path, top) for top in _TOP_GROUPS),
        path,
        *(f"{top}/{late}" for top in _TOP_GROUPS if late),
    ]


def write_weights(path: Path, config: BackboneConfig, tensors: Mapping[str, Any]) -> None:
    """Write `tensors`, by parameter path such as `pooled_dense/bias`, in Keras 3's layout."""
    with h5py.File(path, "w") as file:
        for layer in layer_table(config):
            group = file.create_group(f"{group_of(layer.path)}/vars")
            group.attrs["name"] = layer.path.rpartition("/")[2]
            for index, parameter in enumerate(layer.parameters):
                tensor = np.asarray(tensors[f"{layer.path}/{parameter.name}"])
                dataset = group.create_dataset(str(index), data=tensor)
                if tensor.dtype.name == "bfloat16":  # how Keras marks HDF5's opaque two bytes
                    dataset.attrs[_BFLOAT16_ATTRIBUTE] = "bfloat16"


class WeightReader:
    """The tensors of a preset directory, checked on opening and read one at a time.

    A context manager. Raises PresetError for a file that is missing, damaged or of other
    shapes than `config` implies, and UnsafePresetError for links, external or virtual storage
    and compressed datasets.
    """

    def __init__(self, directory: Path, config: BackboneConfig) -> None:
        self._stack = ExitStack()
        try:
            shards = _Shards(directory, self._stack)
            self._datasets = {
                name: dataset
                for layer in layer_table(config)
                for name, dataset in _layer_datasets(shards, layer)
            }
            _check_total(shards, self._datasets.values())
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> WeightReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def tensors(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield (parameter path, array) in the order of `layer_table`, in the stored dtype."""
        for name, dataset in self._datasets.items():
            array = np.empty(dataset.shape, dataset.dtype)
            with _reading(f"{dataset.file.filename}: {name}"):
                if dataset.size:
                    dataset.read_direct(array)
            yield name, _as_float(array, dataset)

    def dtypes(self) -> set[str]:
        """Return the names of the dtypes the tensors are stored in."""
        return {_dtype_name(dataset) or "?" for dataset in self._datasets.values()}


class _Shards:
    """The open weight files of a preset, asked for groups by path."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.files = {
            path.name: _open(path, stack) for path in weight_files(directory, KERAS_FILES)
        }
        self.where = str(directory)
        self._map = (
            {}
            if WEIGHTS_FILE in self.files
            else weight_map(directory / SHARDED_WEIGHTS_FILE, KERAS_FILES)
        )

    def groups(self, path: str) -> list[h5py.Group]:
        """Return the groups at `path`: none, one, or one from each shard that has a part."""
        names = self._map.get(path, ()) if self._map else tuple(self.files)
        found = (_hard(self.files[name], path) for name in names)
        return [group for group in found if isinstance(group, h5py.Group)]


def _open(path: Path, stack: ExitStack) -> h5py.File:
    if not path.is_file():
        raise PresetError(f"{path}: missing")
    with _reading(f"{path}: not a readable HDF5 file"):
        check_heaps(path)
        # Unlocked: presets lie in read-only and network directories, where locks fail.
        return stack.enter_context(h5py.File(path, "r", locking=False))


@contextmanager
def _reading(where: str) -> Iterator[None]:
    """Turn what h5py raises on damaged bytes into a PresetError of one line."""
    try:
        yield
    except _DAMAGE as error:
        raise PresetError(f"{where}: damaged ({' '.join(str(error).split())})") from error


def _hard(start: h5py.Group, path: str) -> h5py.Group | h5py.Dataset | None:
    """Return the object at `path`, or None; UnsafePresetError where a step is not a hard link."""
    node: Any = start
    filename = start.file.filename
    for step in path.split("/"):
        if not isinstance(node, h5py.Group):
            return None
        with _reading(f"{filename}: {path}"):
            link = node.get(step, getlink=True)
            if link is None:
                return None
            if not isinstance(link, h5py.HardLink):
                raise UnsafePresetError(
                    f"{filename}: {str(node.name).rstrip('/')}/{step} is a link to another place"
                )
            node = node[step]
    return node


def _layer_datasets(shards: _Shards, layer: LayerParameters) -> Iterator[tuple[str, h5py.Dataset]]:
    candidates = [f"{path}/vars" for path in group_candidates(layer.path)]
    groups = next((found for path in candidates if (found := shards.groups(path))), None)
    if groups is None:
        raise PresetError(f"{shards.where}: no weights for {layer.path}")
    with _reading(f"{groups[0].file.filename}: {layer.path}"):
        stored = sorted(name for group in groups for name in group)
    wanted = [str(index) for index in range(len(layer.parameters))]
    if stored != wanted:
        raise PresetError(
            f"{groups[0].file.filename}: {layer.path} holds {len(stored)} variables, "
            f"not {len(wanted)}"
        )
    for index, parameter in zip(wanted, layer.parameters, strict=True):
        name = f"{layer.path}/{parameter.name}"
        pairs = ((group, _hard(group, index)) for group in groups)
        group, dataset = next((pair for pair in pairs if pair[1] is not None), (groups[0], None))
        where = f"{group.file.filename}: {name}"
        with _reading(where):
            _check(dataset, parameter.shape, where)
        yield name, dataset


def _check(dataset: object, shape: tuple[int, ...], where: str) -> None:
    """Refuse what is not plain storage of `shape`, complete, in a float dtype."""
    if not isinstance(dataset, h5py.Dataset):
        raise PresetError(f"{where} is not a dataset")
    plist = dataset.id.get_create_plist()
    if plist.get_external_count() or plist.get_layout() == h5py.h5d.VIRTUAL:
        raise UnsafePresetError(f"{where} is stored in another file")
    if plist.get_nfilters():
        raise UnsafePresetError(f"{where} is compressed or filtered")
    if dataset.shape != shape:
        raise PresetError(f"{where} has shape {dataset.shape}, the config implies {shape}")
    if _dtype_name(dataset) is None:
        raise PresetError(f"{where} is stored as {dataset.dtype}, not as a float")
    if dataset.id.get_storage_size() != dataset.nbytes:
        raise PresetError(
            f"{where} has {dataset.id.get_storage_size():,} bytes of its {dataset.nbytes:,}"
        )


def _check_total(shards: _Shards, datasets: Iterable[h5py.Dataset]) -> None:
    """Refuse a claim to more bytes than the files have: chunks may all lie in one place."""
    claimed = sum(dataset.nbytes for dataset in datasets)
    present = sum(Path(file.filename).stat().st_size for file in shards.files.values())
    if claimed > present:
        raise UnsafePresetError(
            f"{shards.where}: the weights claim {claimed:,} bytes, the files have {present:,}"
        )


def _dtype_name(dataset: h5py.Dataset) -> str | None:
    dtype = dataset.dtype
    if dtype.kind == "f" and dtype.itemsize in (2, 4, 8):
        return f"float{8 * dtype.itemsize}"
    # Keras stores bfloat16 as two opaque bytes and says so in an attribute.
    if dtype.kind == "V" and dtype.itemsize == 2 and dtype.fields is None:
        mark = dataset.attrs.get(_BFLOAT16_ATTRIBUTE)
        return "bfloat16" if mark == "bfloat16" else None
    return None


def _as_float(array: np.ndarray, dataset: h5py.Dataset) -> np.ndarray:
    if _dtype_name(dataset) != "bfloat16":
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    import ml_dtypes

    return array.view(ml_dtypes.bfloat16)
