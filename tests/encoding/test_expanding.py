"""Directories and patterns as inputs: which files they stand for, in order, and their keys."""

from __future__ import annotations

import json
import os
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from jobs import PAD
from jobs import run as run_job
from texts import write_text_preset

from fnet_cli.encoding.options import InputFormat, OnError
from fnet_cli.encoding.readers.expanding import expand
from fnet_cli.encoding.tokenizing import tokenize_files
from fnet_cli.errors import InputDataError, OutputError, UsageError


@pytest.fixture(scope="module")
def preset(tmp_path_factory) -> Path:
    return write_text_preset(tmp_path_factory.mktemp("preset"))


def touch(directory: Path, *names: str) -> None:
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(directory: Path, *inputs: str, forced: InputFormat | None = None) -> list[str]:
    found = expand([str(directory / name) for name in inputs], forced)
    return [str(Path(path).relative_to(directory)) for path in found.files]


# --- Which files ------------------------------------------------------------------------------


def test_a_directory_stands_for_all_files_of_a_format_below_it_by_path(tmp_path):
    touch(tmp_path, "d/b.parquet", "d/a/z.parquet", "d/a.parquet", "d/a/10.pq", "d/a/9.pq")
    touch(tmp_path, "d/_SUCCESS", "d/.b.parquet.crc", "d/_temporary/x.parquet", "d/.x/y.parquet")
    touch(tmp_path, "d/README.md", "d/out.parquet.fnet/x.parquet")
    wanted = ["d/a/10.pq", "d/a/9.pq", "d/a/z.parquet", "d/a.parquet", "d/b.parquet"]
    assert names(tmp_path, "d") == wanted


def test_a_pattern_stands_for_the_files_that_it_matches(tmp_path):
    touch(tmp_path, "p-2.jsonl", "p-10.jsonl", "q.jsonl", "p-3.txt", "p-4.jsonl.gz", "_p-1.jsonl")
    assert names(tmp_path, "p-*.jsonl") == ["p-10.jsonl", "p-2.jsonl"]
    assert names(tmp_path, "[pq]*.jsonl") == ["p-10.jsonl", "p-2.jsonl", "q.jsonl"]
    touch(tmp_path, "x/y/p.jsonl", "x/.z/p.jsonl")
    assert names(tmp_path, "x/**/*.jsonl") == ["x/y/p.jsonl"]


def test_a_file_of_that_very_name_is_no_pattern(tmp_path):
    touch(tmp_path, "a[1].jsonl", "a1.jsonl")
    assert names(tmp_path, "a[1].jsonl") == ["a[1].jsonl"]


def test_a_format_by_force_takes_every_file(tmp_path):
    touch(tmp_path, "d/part-0", "d/part-1.data", "d/_SUCCESS")
    assert names(tmp_path, "d", forced=InputFormat.JSONL) == ["d/part-0", "d/part-1.data"]


def test_inputs_keep_their_order(tmp_path):
    touch(tmp_path, "z.jsonl", "d/b.jsonl", "d/a.jsonl")
    found = expand([str(tmp_path / "z.jsonl"), "-", str(tmp_path / "d")], None).files
    wanted = ["z.jsonl", "-", "d/a.jsonl", "d/b.jsonl"]
    assert list(found) == [name if name == "-" else str(tmp_path / name) for name in wanted]


def test_links_are_followed(tmp_path):
    touch(tmp_path, "real/a.jsonl")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/link").symlink_to(tmp_path / "real")
    assert names(tmp_path, "d") == names(tmp_path, "d/**/*.jsonl") == ["d/link/a.jsonl"]


@pytest.mark.parametrize("name", ["d", "d/**", "d/**/*.jsonl", "d/**/**/a.*"])
def test_links_that_lead_back_repeat_no_file(tmp_path, name):
    touch(tmp_path, "d/x/a.jsonl", "d/y/b.md")
    (tmp_path / "d/self").symlink_to(".")
    (tmp_path / "d/x/up").symlink_to(tmp_path / "d")
    (tmp_path / "d/x/across").symlink_to("../y")
    (tmp_path / "d/y/across").symlink_to("../x")
    wanted = ["d/x/a.jsonl", "d/y/across/a.jsonl"]  # a link to elsewhere is another place
    assert names(tmp_path, name) == wanted


@pytest.mark.parametrize("name", ["empty", "no-*.parquet", "d/*"])
def test_where_there_is_no_file_it_says_what_was_looked_for(tmp_path, name):
    (tmp_path / "empty").mkdir()
    touch(tmp_path, "d/notes.md")
    with pytest.raises(InputDataError, match="there is no file to read") as caught:
        names(tmp_path, name)
    assert ".parquet" in caught.value.hint


def test_a_pattern_of_directories_says_how_to_match_their_files(tmp_path):
    touch(tmp_path, "d/k=1/a.parquet")
    with pytest.raises(InputDataError, match="it matches directories only") as caught:
        names(tmp_path, "d/k=*")
    assert "d/k=*/**'" in caught.value.hint
    assert names(tmp_path, "d/k=*/**") == ["d/k=1/a.parquet"]


def test_any_depth_is_none_too_and_hidden_files_match_nothing(tmp_path):
    touch(tmp_path, "d/a.jsonl", "d/x/y/a.jsonl", "d/x/b.jsonl", "d/.h/a.jsonl", "d/_a.jsonl")
    assert names(tmp_path, "d/**/a.jsonl") == ["d/a.jsonl", "d/x/y/a.jsonl"]
    assert names(tmp_path, "*/**/y/*") == ["d/x/y/a.jsonl"]
    assert names(tmp_path, "d/**") == ["d/a.jsonl", "d/x/b.jsonl", "d/x/y/a.jsonl"]


def test_a_directory_that_cannot_be_read_is_not_passed_over(tmp_path, monkeypatch):
    touch(tmp_path, "d/open/a.parquet", "d/secret/b.parquet")
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "secret":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    for name in ("d", "d/**/*.parquet"):
        with pytest.raises(InputDataError, match=r"d/secret: Permission denied"):
            names(tmp_path, name)


def test_a_name_that_is_too_long_is_one_error(tmp_path):
    for name in ("x" * 5000, "x" * 5000 + "*"):
        with pytest.raises(InputDataError, match="File name too long"):
            names(tmp_path, name)


@pytest.mark.parametrize("name", [b"d/\xff.parquet", b"d/k=\xff/a.parquet"])
def test_a_name_that_is_not_utf8_is_refused(tmp_path, name):
    touch(tmp_path, os.fsdecode(name))
    for given in ("d", "d/**", os.fsdecode(name)):
        with pytest.raises(InputDataError, match=r"\\xff.* is not UTF-8"):
            names(tmp_path, given)


def test_files_of_several_formats_are_refused_with_two_of_them(tmp_path):
    touch(tmp_path, "d/a.parquet", "d/b.jsonl")
    with pytest.raises(InputDataError, match=r"a\.parquet and .*b\.jsonl are of different"):
        names(tmp_path, "d")


# --- Keys -------------------------------------------------------------------------------------


def keys(directory: Path, *inputs: str) -> dict[str, dict]:
    found = expand([str(directory / name) for name in inputs], None)
    return {
        str(Path(path).relative_to(directory)): {key: value.as_py() for key, value in row.items()}
        for path, row in zip(found.files, found.partitions, strict=True)
    }


def test_directories_state_keys_as_integers_or_text(tmp_path):
    touch(
        tmp_path,
        "d/year=2024/lang=en/a.parquet",
        "d/year=2025/lang=de%2FAT/a.parquet",
        "d/year=__HIVE_DEFAULT_PARTITION__/lang=07/a.parquet",
    )
    assert keys(tmp_path, "d") == {
        "d/year=2024/lang=en/a.parquet": {"year": 2024, "lang": "en"},
        "d/year=2025/lang=de%2FAT/a.parquet": {"year": 2025, "lang": "de/AT"},
        "d/year=__HIVE_DEFAULT_PARTITION__/lang=07/a.parquet": {"year": None, "lang": "07"},
    }


@pytest.mark.parametrize(
    "value", ["007", "1.5", "+1", "1e3", str(2**63), str(-(2**63) - 1), "", "-0", "\u0661", "1\n"]
)
def test_what_is_not_plainly_an_integer_is_text(tmp_path, value):
    touch(tmp_path, f"d/k={value}/a.parquet", "d/k=1/a.parquet")
    assert {row["k"] for row in keys(tmp_path, "d").values()} == {value, "1"}


def test_integers_are_as_large_as_an_int64_may_be(tmp_path):
    values = {2**63 - 1, -(2**63), 0, -7}
    touch(tmp_path, *(f"d/k={value}/a.parquet" for value in values))
    assert {row["k"] for row in keys(tmp_path, "d").values()} == values


def test_a_value_that_decodes_to_no_text_is_refused(tmp_path):
    touch(tmp_path, "d/k=%FF/a.parquet", "d/k=%FE/a.parquet")
    with pytest.raises(InputDataError, match="what its path states is not UTF-8"):
        expand([str(tmp_path / "d")], None)


def test_each_input_states_its_own_keys(tmp_path):
    touch(tmp_path, "d/k=1/a.parquet", "e/j=1/a.parquet")
    given = [str(tmp_path / name) for name in ("d", "d/k=1", "d/k=1/a.parquet", "e")]
    found = expand(given, None)
    assert len(set(found.files)) == 2
    assert [list(values) for values in found.partitions] == [["k"], [], [], ["j"]]


def test_a_pattern_states_the_keys_behind_its_wildcard(tmp_path):
    touch(tmp_path, "v=1/lang=en/a.parquet", "v=1/lang=de/a.parquet")
    assert keys(tmp_path, "v=1/*/a.parquet") == {
        "v=1/lang=de/a.parquet": {"lang": "de"},
        "v=1/lang=en/a.parquet": {"lang": "en"},
    }


def test_files_that_state_other_keys_are_refused(tmp_path):
    touch(tmp_path, "d/k=1/a.parquet", "d/b.parquet")
    with pytest.raises(InputDataError, match="its path states"):
        expand([str(tmp_path / "d")], None)


def test_a_key_that_is_stated_twice_is_refused(tmp_path):
    touch(tmp_path, "d/k=1/k=2/a.parquet")
    with pytest.raises(InputDataError, match="states a key twice"):
        expand([str(tmp_path / "d")], None)


# --- Jobs -------------------------------------------------------------------------------------


@pytest.fixture
def dataset(tmp_path) -> Path:
    """Return a partitioned directory of 6 files with 3 rows each."""
    number = 0
    for year in (2024, 2025):
        for lang in ("de", "en", "fr"):
            directory = tmp_path / f"data/year={year}/lang={lang}"
            directory.mkdir(parents=True)
            ids = list(range(number, number + 3))
            table = pa.table({"id": ids, "token_ids": [[row % 60, 1] for row in ids]})
            pq.write_table(table, directory / "part.parquet")
            number += 3
    return tmp_path / "data"


def test_a_partitioned_directory_keeps_its_keys_as_other_readers_see_them(
    preset, dataset, tmp_path
):
    report, table = run_job(preset, dataset, tmp_path / "out.parquet")
    assert report.rows_out == 18
    assert table.schema.names == ["id", "year", "lang", "embedding"]
    assert table.schema.field("year").type == pa.int64()
    other = ds.dataset(dataset, partitioning="hive").to_table(columns=["id", "year", "lang"])
    assert table.select(["id", "year", "lang"]).to_pylist() == other.to_pylist()
    pattern = f"{dataset}/**/*.parquet"
    query = f"SELECT id, year, lang FROM read_parquet('{pattern}', hive_partitioning = true)"
    assert sorted(duckdb.sql(query).fetchall()) == [
        tuple(row.values()) for row in table.select(["id", "year", "lang"]).to_pylist()
    ]


def test_only_keys_may_be_kept(preset, dataset, tmp_path):
    _, table = run_job(preset, dataset, tmp_path / "out.parquet", columns=("lang",))
    assert table["lang"].to_pylist() == [lang for lang in ("de", "en", "fr") for _ in range(3)] * 2


def test_a_column_with_the_name_of_a_key_is_refused(preset, tmp_path):
    (tmp_path / "d/id=3").mkdir(parents=True)
    table = pa.table({"id": [1], "token_ids": [[1]]})
    pq.write_table(table, tmp_path / "d/id=3/a.parquet")
    with pytest.raises(InputDataError, match="there is a column id, and the path states id=3"):
        run_job(preset, tmp_path / "d", tmp_path / "out.parquet")


def test_texts_of_a_directory_are_read_with_their_keys(preset, tmp_path):
    from fnet_cli.config import Settings
    from fnet_cli.encoding.context import JobContext
    from fnet_cli.encoding.options import EncodeOptions

    for lang in ("de", "en"):
        (tmp_path / f"d/lang={lang}").mkdir(parents=True)
        (tmp_path / f"d/lang={lang}/a.txt").write_text("the fox\nlazy dog\n")
    _, encoded = run_job(preset, tmp_path / "d", tmp_path / "out.parquet", columns=("lang",))
    options = EncodeOptions(
        (str(tmp_path / "d"),), str(tmp_path / "t.parquet"), preset=str(preset), pad_id=PAD
    )
    tokenize_files(options, JobContext(settings=Settings()))
    tokens = pq.read_table(tmp_path / "t.parquet")
    assert tokens.schema.names == ["text", "lang", "token_ids", "segment_ids"]
    assert encoded["lang"].to_pylist() == tokens["lang"].to_pylist() == ["de", "de", "en", "en"]


def test_an_output_in_the_directory_is_not_read(preset, dataset):
    output = dataset / "year=2024/lang=de/part.parquet"
    with pytest.raises(UsageError, match="is an input and the output"):
        run_job(preset, dataset, output, overwrite=True)
    run_job(preset, dataset, dataset / "out.parquet")
    for name in (dataset, f"{dataset}/**"):
        with pytest.raises(UsageError, match="is an input and the output"):
            run_job(preset, name, dataset / "out.parquet", overwrite=True)


def test_the_file_of_rejected_rows_is_no_input(preset, tmp_path):
    rejected = tmp_path / "d/out.parquet.rejected.jsonl"
    touch(tmp_path, "d/out.parquet.rejected.jsonl")
    rejected.write_text('{"token_ids": [1]}\n')
    with pytest.raises(UsageError, match=r"rejected\.jsonl is an input and the output"):
        run_job(
            preset,
            tmp_path / "d",
            tmp_path / "d/out.parquet",
            on_error=OnError.QUARANTINE,
            overwrite=True,
        )


def test_a_file_that_was_added_is_noticed_where_a_job_goes_on(preset, dataset, tmp_path):
    output = tmp_path / "out.parquet"
    bad = dataset / "year=2025/lang=fr/part.parquet"
    pq.write_table(pa.table({"id": [1], "token_ids": [[99]]}), bad)
    with pytest.raises(InputDataError, match="id 99"):
        run_job(preset, dataset, output)
    report, _ = run_job(preset, dataset, output, resume=True, on_error=OnError.SKIP)
    assert report.rows_resumed > 0
    assert (report.rows_out, report.rows_rejected) == (15, 1)
    with pytest.raises(InputDataError, match="id 99"):
        run_job(preset, dataset, output, overwrite=True)
    pq.write_table(pa.table({"id": [1], "token_ids": [[9]]}), bad.with_name("zz.parquet"))
    with pytest.raises(OutputError, match=r"zz\.parquet was not among the inputs"):
        run_job(preset, dataset, output, resume=True, on_error=OnError.SKIP)
    bad.with_name("zz.parquet").unlink()
    bad.unlink()
    with pytest.raises(OutputError, match=r"fr/part\.parquet is no longer among the inputs"):
        run_job(preset, dataset, output, resume=True, on_error=OnError.SKIP)


def test_more_files_than_may_be_open_at_once(preset, tmp_path):
    import resource

    (tmp_path / "d").mkdir()
    table = pa.table({"id": [1, 2], "token_ids": [[1], [2, 3]]})
    pq.write_table(table, tmp_path / "d/0.parquet")
    data = (tmp_path / "d/0.parquet").read_bytes()
    for number in range(1, 400):
        (tmp_path / f"d/{number}.parquet").write_bytes(data)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(map(int, os.listdir("/proc/self/fd")))  # noqa: PTH208 - it lists itself
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 100, before[1]))
    try:
        report, _ = run_job(preset, tmp_path / "d", tmp_path / "out.parquet")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert report.rows_out == 800


def test_json_lines_of_a_directory(preset, tmp_path):
    for name in ("b", "a"):
        touch(tmp_path, f"d/{name}.jsonl")
        line = json.dumps({"id": name, "token_ids": [1]})
        (tmp_path / f"d/{name}.jsonl").write_text(line + "\n")
    _, table = run_job(preset, tmp_path / "d", tmp_path / "out.parquet")
    assert table["id"].to_pylist() == ["a", "b"]
