"""CSV and TSV: every record is a row of the text it holds, and a bad one is named by its line."""

from __future__ import annotations

import csv
import io

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from text_files import numbers, read_all, small_blocks, write_lines

from fnet_cli.encoding.readers.delimited import DelimitedFile, DelimitedStream
from fnet_cli.encoding.readers.opening import open_source
from fnet_cli.errors import InputDataError

PROPERTY = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
FIELDS = st.text(st.sampled_from('a,"\n\r\t é😀\x00\u2028\x85\x0b;'), max_size=8)
CONTENT = st.lists(
    st.sampled_from(["a", ",", '"', "\n", "\r\n", "\r", "é", "\x00", "\u2028"]), max_size=30
).map("".join)


def csv_file(tmp_path, text, name="d.csv"):
    return open_source(write_lines(tmp_path / name, text), None, None)


def rows_of(source, max_rows=1000) -> list[list[str]]:
    return [list(row.values()) for row in read_all(source, source.schema.names, max_rows)]


@pytest.mark.parametrize(
    ("name", "delimiter"), [("d.csv", ","), ("d.csv.gz", ","), ("d.tsv", "\t"), ("d.TSV.zst", "\t")]
)
def test_the_suffix_tells_the_delimiter(tmp_path, name, delimiter):
    source = csv_file(tmp_path, "id|text\n1|one; two\n".replace("|", delimiter), name)
    assert source.rows == 1
    assert read_all(source, ["text", "id"]) == [{"text": "one; two", "id": "1"}]


def test_every_value_stays_the_text_it_is(tmp_path):
    text = "id,when,score,text\n007,2024-01-01,1e5,\n,NULL,true,NaN\n"
    source = csv_file(tmp_path, text)
    assert source.schema == pa.schema([(name, pa.string()) for name in source.schema.names])
    assert rows_of(source) == [["007", "2024-01-01", "1e5", ""], ["", "NULL", "true", "NaN"]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a,b\n"x,y","say ""hi"""\n', [["x,y", 'say "hi"']]),
        ('a,b\r\n"x\r\ny",z\r\n', [["x\r\ny", "z"]]),
        ('a,b\n"x\n\n,y",z\nu,v', [["x\n\n,y", "z"], ["u", "v"]]),
        ('a,b\n"","\r"\n', [["", "\r"]]),
        ('a,b\nsay "hi",5" pipe\n', [['say "hi"', '5" pipe']]),
        ("\ufeffa,b\n x , y \n", [[" x ", " y "]]),
        ("a,b\nx\x00,\u2028\x85\x0b\n", [["x\x00", "\u2028\x85\x0b"]]),
        ('"a","b\nc"\n1,2\n', [["1", "2"]]),
        ("a,b\n\n1,2\n\r\n\n3,4\n\n", [["1", "2"], ["3", "4"]]),
        ('a\n\nx\n""\n', [[""], ["x"], [""]]),
        ("a,b", []),
        ("a,b\n", []),
    ],
)
def test_records_are_read_as_rfc_4180_says(tmp_path, monkeypatch, text, expected):
    for block in (1, 5, 1000):
        small_blocks(monkeypatch, block)
        source = csv_file(tmp_path, text)
        assert source.rows == len(expected)
        assert rows_of(source) == expected
        stream = DelimitedStream(io.BytesIO(text.encode()), ",")
        assert stream.rows is None
        assert rows_of(stream) == expected


def test_a_record_is_numbered_by_the_line_it_starts_on(tmp_path, monkeypatch):
    text = 'a,"b\nc"\n1,2\n"3\n\n",4\r\n\n5,6\n'
    for block in (1, 8, 1000):
        small_blocks(monkeypatch, block)
        source = csv_file(tmp_path, text)
        assert numbers(source, ["a"], max_rows=2) == [3, 4, 8]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no header"),
        ("\n1,2\n", "line 1: the header has no name for column 1"),
        ("a,,c\n", "line 1: the header has no name for column 2"),
        ("a,b,\n", "line 1: the header has no name for column 3"),
        ("a,b,a\n", "line 1: the header names column a 2 times"),
        ('a,b\n1,2\n"3\n4"\n', "line 3: the number of fields is 1, in the header it is 2"),
        ("a,b\n1,2,3\n", "line 2: the number of fields is 3, in the header it is 2"),
        ("a\n1,\n", "line 2: the number of fields is 2, in the header it is 1"),
        ('a,b\n1,2\n3,"x\n4,5\n', "line 3: a quoted field is not closed"),
        ('a,"b\n', "line 1: a quoted field is not closed"),
        ('a,b\n1,"x\n2,"y"\n', "line 2: not valid CSV: ',' expected after '\"'$"),
        ("a,b\n1,2\n3,x\ry\n", "line 3: not valid CSV: new-line character seen in unquoted field$"),
        (b'a,b\n1,2\n"3\n\xff",4\n', "line 4: not valid UTF-8: byte 1 of the line is 0xff"),
        (b"a,\xff\n", "line 1: not valid UTF-8: byte 3 of the line is 0xff"),
    ],
)
def test_a_bad_record_is_named_when_the_file_is_opened(tmp_path, monkeypatch, text, message):
    for block in (1, 6, 1000):
        small_blocks(monkeypatch, block)
        path = write_lines(tmp_path / "d.csv", text)
        with pytest.raises(InputDataError, match=message) as caught:
            DelimitedFile(path, ",")
        assert str(caught.value).startswith(path)


def test_a_stream_gives_the_good_records_before_the_bad_one(monkeypatch):
    small_blocks(monkeypatch, 4)
    rows = DelimitedStream(io.BytesIO(b"a,b\n1,2\n3\n"), ",").batches(["b"], 10)
    assert next(rows).batch.to_pylist() == [{"b": "2"}]
    with pytest.raises(InputDataError, match="<stdin>: line 3: the number of fields is 1"):
        next(rows)


def test_records_of_a_stream_come_before_the_next_are_there():
    parts = iter([b"a,b\n", b'1,2\n3,"', b'x"\n', b"5,6\n", b""])

    class Slow(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return next(parts)

    rows = DelimitedStream(Slow(), ",").batches(["a"], 10)
    assert next(rows).batch.to_pylist() == [{"a": "1"}]
    assert next(rows).batch.to_pylist() == [{"a": "3"}]
    assert next(parts) == b"5,6\n"


def test_records_that_run_over_the_ends_of_blocks_do_not_pile_up(tmp_path, monkeypatch):
    small_blocks(monkeypatch, 11)
    source = csv_file(tmp_path, "a\n" + '"x\ny\nz"\n' * 100)
    sizes = [len(rows.numbers) for rows in source.batches(["a"], 1000)]
    assert sum(sizes) == 100
    assert max(sizes) <= 3


def test_many_short_records_come_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("fnet_cli.encoding.readers.delimited.MAX_RECORDS_PARSED", 10)
    source = csv_file(tmp_path, "a\n" + "x\n" * 95)
    assert {len(rows.numbers) for rows in source.batches(["a"], 1000)} <= set(range(1, 12))
    assert len(rows_of(source)) == 95


def test_a_long_field_is_read(tmp_path):
    long = "word " * 100_000
    assert rows_of(csv_file(tmp_path, f"a,b\n1,{long}\n")) == [["1", long]]


def test_a_record_without_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("fnet_cli.encoding.readers.delimited.MAX_RECORD_BYTES", 200)
    small_blocks(monkeypatch, 20)
    path = write_lines(tmp_path / "d.csv", 'a,b\n1,2\n3,"x\n' + "4,y\n" * 200)
    with pytest.raises(InputDataError, match="line 3: a record is longer than 200 bytes") as caught:
        DelimitedFile(path, ",")
    assert "quotes" in caught.value.hint
    write_lines(tmp_path / "d.csv", 'a,b\n1,2\n3,"x\n' + "4,y\n" * 40 + '"\n' + "4,y\n" * 200)
    assert DelimitedFile(path, ",").rows == 202


def test_a_header_that_changes_while_the_file_is_read_is_refused(tmp_path):
    source = csv_file(tmp_path, "a,b\n1,2\n")
    write_lines(tmp_path / "d.csv", "b,a\n1,2\n")
    with pytest.raises(InputDataError, match=r"d\.csv: it changed while it was read"):
        next(source.batches(["a"], 10))


@PROPERTY
@given(st.integers(1, 4), st.data(), st.sampled_from(",\t"), st.booleans())
def test_what_the_csv_module_writes_is_read_back(tmp_path, width, data, delimiter, is_unix):
    rows = data.draw(st.lists(st.lists(FIELDS, min_size=width, max_size=width), max_size=8))
    names = data.draw(st.lists(FIELDS.filter(bool), min_size=width, max_size=width, unique=True))
    written = io.StringIO()
    # Before 3.13 the writer left a carriage return unquoted where no line ends in one.
    quoting = csv.QUOTE_ALL if is_unix else csv.QUOTE_MINIMAL
    end = "\n" if is_unix else "\r\n"
    writer = csv.writer(written, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerows([names, *rows])
    path = write_lines(tmp_path / "d.csv", written.getvalue())
    with pytest.MonkeyPatch.context() as patch:
        small_blocks(patch, data.draw(st.integers(1, 30)))
        source = DelimitedFile(path, delimiter)
        assert source.schema.names == names
        assert source.rows == len(rows)
        assert rows_of(source, data.draw(st.integers(1, 4))) == rows


@PROPERTY
@given(CONTENT, st.integers(1, 20))
def test_any_text_is_what_the_csv_module_makes_of_it_or_an_error(tmp_path, text, block):
    path = write_lines(tmp_path / "d.csv", "a,b\n" + text)
    try:
        lines = io.StringIO(text, newline="\n")
        expected = [row for row in csv.reader(lines, strict=True) if row]
    except csv.Error:
        expected = [[]]  # of no width
    with pytest.MonkeyPatch.context() as patch:
        small_blocks(patch, block)
        try:
            source = DelimitedFile(path, ",")
        except InputDataError as error:
            assert f"{path}: line " in str(error)
            assert any(len(row) != 2 for row in expected)
        else:
            assert rows_of(source) == expected
