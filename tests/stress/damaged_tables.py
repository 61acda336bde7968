"""Damages of Parquet files: of their columns, rows and values, and of their bytes."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stress.damage import Draw, Unfit, damage, pick_shard

_NUMBERS = (float("nan"), float("inf"), float("-inf"), 1e38, -1.0, 0.0, -5.0, 1e9, 2.0**31 - 1)
_TEXTS = ("", "swish", "no such pattern", "Palindrome", "é", "x" * 300, "{}", "[", "null", "\x00")
_BOMB = 2**26  # numbers in one list, 256 MiB


def _change(
    draw: Draw, dataset: Path, change: Callable[[pa.Table], tuple[pa.Table, str]], part: str = ""
) -> str:
    """Rewrites one file of a dataset with a table that is made from its own."""
    path = pick_shard(draw, dataset, part)
    table, what = change(pq.ParquetFile(path).read())
    pq.write_table(table, path, compression="zstd")
    return f"{path.relative_to(dataset)}: {what}"


def _pick_column(draw: Draw, table: pa.Table, fits: Callable[[Any], bool] = bool) -> str:
    """The name of a column whose type fits."""
    names = [item.name for item in table.schema if fits(item.type)]
    if not names:
        raise Unfit
    return draw.choice(names)


def _pick_row(draw: Draw, table: pa.Table) -> int:
    """The number of a row."""
    if not table.num_rows:
        raise Unfit
    return draw.randrange(table.num_rows)


def _is_number(kind: Any) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def _is_numbers(kind: Any) -> bool:
    return pa.types.is_list(kind) and pa.types.is_floating(kind.value_type)


def _is_text(kind: Any) -> bool:
    return pa.types.is_string(kind)


def _with(table: pa.Table, name: str, values: list[Any], kind: Any = None) -> pa.Table:
    """A table with other values of a column."""
    at = table.schema.get_field_index(name)
    kind = kind or table.schema.field(name).type
    return table.set_column(at, pa.field(name, kind), pa.array(values, kind))


@damage()
def a_column_is_missing(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        name = _pick_column(draw, table)
        return table.drop_columns([name]), f"without {name}"

    return _change(draw, dataset, change)


@damage()
def a_column_is_doubled(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        name = _pick_column(draw, table)
        place = draw.randrange(table.num_columns + 1)
        return table.add_column(place, name, table[name]), f"{name} twice"

    return _change(draw, dataset, change)


@damage()
def a_column_has_another_name(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        name = _pick_column(draw, table)
        new = draw.choice([name.upper(), f"{name} ", "", "é", f"{name}.x", table.column_names[-1]])
        names = [new if item == name else item for item in table.column_names]
        return table.rename_columns(names), f"{name} is called {new!r}"

    return _change(draw, dataset, change)


@damage()
def a_further_column(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        values = pa.array([None] * table.num_rows, draw.choice([pa.null(), pa.int8()]))
        return table.append_column("further", values), "a column further"

    return _change(draw, dataset, change)


@damage()
def columns_in_another_order(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        names = table.column_names
        first = names[0]
        return table.select([*names[1:], first]), f"{first} comes last"

    return _change(draw, dataset, change)


@damage()
def a_column_has_another_type(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        name = _pick_column(draw, table)
        kind = table.schema.field(name).type
        kinds = [other for other in _other_types(kind) if other != kind]
        new = draw.choice(kinds)
        at = table.schema.get_field_index(name)
        values = _retyped(table[name], new)
        return table.set_column(at, pa.field(name, new), values), f"{name}: {kind} -> {new}"

    return _change(draw, dataset, change)


def _other_types(kind: Any) -> list[Any]:
    """Types near to one, and some far from it."""
    if pa.types.is_list(kind):
        return [pa.list_(pa.float64()), pa.list_(pa.int32()), pa.list_(pa.string()), pa.float32()]
    if pa.types.is_struct(kind):
        return [pa.string(), pa.float32(), pa.list_(pa.float32())]
    if _is_text(kind):
        return [pa.large_string(), pa.binary(), pa.int64(), pa.list_(pa.string()), pa.bool_()]
    return [
        pa.int8(),
        pa.int64(),
        pa.uint64(),
        pa.float16(),
        pa.float64(),
        pa.string(),
        pa.date32(),
    ]


def _retyped(column: Any, kind: Any) -> Any:
    """A column in another type: its values where they can be read so, else nulls."""
    try:
        return column.cast(kind)
    except pa.ArrowException:
        return pa.nulls(len(column), kind)


@damage()
def a_null(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        name = _pick_column(draw, table)
        row = _pick_row(draw, table)
        values = table[name].to_pylist()
        values[row] = None
        return _with(table, name, values), f"{name} is null in row {row}"

    return _change(draw, dataset, change)


@damage()
def a_column_of_nulls(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        name = _pick_column(draw, table)
        return _with(table, name, [None] * table.num_rows), f"{name} is null"

    return _change(draw, dataset, change)


@damage()
def a_null_within(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        name = _pick_column(draw, table, pa.types.is_nested)
        row = _pick_row(draw, table)
        values = table[name].to_pylist()
        if isinstance(values[row], dict):
            told = [key for key, value in values[row].items() if value is not None]
            values[row][draw.choice(sorted(told))] = None
        else:
            values[row][draw.randrange(len(values[row]))] = None
        return _with(table, name, values), f"{name} has a null within row {row}"

    return _change(draw, dataset, change, "subjects")


@damage()
def a_list_of_another_length(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        name = _pick_column(draw, table, pa.types.is_list)
        row = _pick_row(draw, table)
        values = table[name].to_pylist()
        was = values[row]
        values[row] = draw.choice([[], was[:-1], [*was, was[-1]], was * 2, was[:1], was * 50])
        return _with(table, name, values), f"{name} of row {row} has {len(values[row])} values"

    return _change(draw, dataset, change, "subjects")


@damage()
def a_list_gives_values_to_the_next(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        name = _pick_column(draw, table, _is_numbers)
        values = table[name].to_pylist()
        if len(values) < 2:
            raise Unfit
        values[1].insert(0, values[0].pop())
        return _with(table, name, values), f"{name}: one value moved from row 0 to row 1"

    return _change(draw, dataset, change, "subjects")


@damage()
def a_number_that_cannot_be(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        name = _pick_column(draw, table, _is_number)
        row = _pick_row(draw, table)
        values = table[name].to_pylist()
        is_whole = pa.types.is_integer(table.schema.field(name).type)
        new = draw.choice([-1, -(2**31), 2**31 - 1, 10**6] if is_whole else _NUMBERS)
        if values[row] == new:
            raise Unfit
        values[row] = new
        return _with(table, name, values), f"{name} of row {row} is {new}"

    return _change(draw, dataset, change, "subjects")


@damage()
def a_number_somewhat_off(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        name = _pick_column(draw, table, _is_number)
        row = _pick_row(draw, table)
        values = table[name].to_pylist()
        is_whole = pa.types.is_integer(table.schema.field(name).type)
        was = values[row]
        values[row] = was + draw.choice([-1, 1]) if is_whole else was + 0.02
        return _with(table, name, values), f"{name} of row {row} is {values[row]}, was {was}"

    return _change(draw, dataset, change, "subjects")


@damage()
def a_list_with_another_number(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        name = _pick_column(draw, table, _is_numbers)
        row = _pick_row(draw, table)
        values = table[name].to_pylist()
        place = draw.randrange(len(values[row]))
        was = values[row][place]
        new = draw.choice([*_NUMBERS, was + 0.1, was * 1.001 + 1e-6, -was - 1e-3])
        if np.float32(was) == np.float32(new):
            raise Unfit
        values[row][place] = new
        return _with(table, name, values), f"{name} of row {row} at {place} is {new}, was {was}"

    return _change(draw, dataset, change, "subjects")


@damage()
def a_list_of_all_the_same(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        name = _pick_column(draw, table, _is_numbers)
        value = draw.choice([*_NUMBERS, 0.0])
        values = [[value] * len(item) for item in table[name].to_pylist()]
        return _with(table, name, values), f"{name} is {value} everywhere"

    return _change(draw, dataset, change, "subjects")


@damage()
def a_response_that_cannot_be(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        if "response" not in table.column_names:
            raise Unfit
        row = _pick_row(draw, table)
        values = table["response"].to_pylist()
        field = draw.choice([name for name, value in values[row].items() if value is not None])
        values[row][field] = draw.choice([-0.5, 1.5, float("nan"), float("inf"), 0.123])
        return _with(table, "response", values), f"response.{field}={values[row][field]}"

    return _change(draw, dataset, change, "subjects")


@damage()
def a_structure_of_other_fields(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        if "response" not in table.column_names:
            raise Unfit
        kind = table.schema.field("response").type
        fields = list(kind)
        which = draw.choice(["without one", "one more", "one is text", "another order"])
        if which == "without one":
            fields = fields[1:]
        elif which == "one more":
            fields = [*fields, pa.field("new", pa.float32())]
        elif which == "one is text":
            fields = [pa.field(fields[0].name, pa.string()), *fields[1:]]
        else:
            fields = fields[::-1]
        names = {field.name: field.type for field in fields}
        rows = []
        for row in table["response"].to_pylist():
            kept = {name: row.get(name) for name in names}
            rows.append({n: str(v) if names[n] == pa.string() else v for n, v in kept.items()})
        return _with(table, "response", rows, pa.struct(fields)), f"response {which}"

    return _change(draw, dataset, change, "subjects")


@damage()
def another_text(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        name = _pick_column(draw, table, _is_text)
        row = _pick_row(draw, table)
        values = table[name].to_pylist()
        was = values[row]
        new = draw.choice([*_TEXTS, f"{was} ", was[:-1], was[: len(was) // 2], was + was])
        if new == was:
            raise Unfit
        values[row] = new
        return _with(table, name, values), f"{name} of row {row} is {new[:40]!r}"

    return _change(draw, dataset, change)


@damage()
def a_text_of_many_megabytes(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        name = _pick_column(draw, table, _is_text)
        row = _pick_row(draw, table)
        values = table[name].to_pylist()
        unit = draw.choice(["a", "[", "{", "0, ", "\n"])
        values[row] = unit * (70 * 2**20 // len(unit))
        return _with(table, name, values), f"{name} of row {row} is 70 MiB of {unit!r}"

    return _change(draw, dataset, change)


@damage()
def numbers_of_a_text(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        name = _pick_column(draw, table, _is_text)
        row = _pick_row(draw, table)
        values = table[name].to_pylist()
        digits = [at for at, letter in enumerate(values[row]) if letter.isdigit()]
        if not digits:
            raise Unfit
        at = draw.choice(digits)
        digit = (int(values[row][at]) + draw.randrange(1, 10)) % 10
        values[row] = f"{values[row][:at]}{digit}{values[row][at + 1 :]}"
        return _with(table, name, values), f"{name} of row {row}: another digit at {at}"

    return _change(draw, dataset, change, "prompts")


@damage()
def a_list_that_fills_the_memory(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        name = _pick_column(draw, table, _is_numbers)
        lists = table[name].to_pylist()
        row = _pick_row(draw, table)
        value = draw.choice([0.0, 1.0, float("nan")])
        flat = [np.array(item, np.float32) for item in lists]
        flat[row] = np.full(_BOMB, value, np.float32)
        ends = np.cumsum([0, *map(len, flat)]).astype(np.int32)
        bomb = pa.ListArray.from_arrays(pa.array(ends), pa.array(np.concatenate(flat)))
        at = table.schema.get_field_index(name)
        made = table.set_column(at, pa.field(name, pa.list_(pa.float32())), bomb)
        return made, f"{name} of row {row} has {_BOMB} times {value}"

    return _change(draw, dataset, change, "subjects")


@damage()
def lists_that_fill_the_memory_together(draw: Draw, dataset: Path) -> str:
    path = pick_shard(draw, dataset, "subjects")
    table = pq.ParquetFile(path).read()
    name = _pick_column(draw, table, _is_numbers)
    groups = draw.choice([8, 24])
    at = table.schema.get_field_index(name)
    zeros = pa.ListArray.from_arrays(
        pa.array(np.array([0, _BOMB], np.int32)), pa.array(np.zeros(_BOMB, np.float32))
    )
    row = table.slice(0, 1)
    row = row.set_column(at, pa.field(name, pa.list_(pa.float32())), zeros)
    with pq.ParquetWriter(path, row.schema, compression="zstd") as writer:
        for _ in range(groups):
            writer.write_table(row)
    return f"{path.name}: {name} in {groups} rows of {_BOMB} zeros each"


@damage()
def a_row_is_missing(draw: Draw, dataset: Path) -> str:
    return _change(draw, dataset, lambda table: (table.slice(1), "without its first row"))


@damage()
def a_row_is_doubled(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        return pa.concat_tables([table, table.slice(0, 1)]), "its first row twice"

    return _change(draw, dataset, change)


@damage()
def rows_in_another_order(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        if table.num_rows < 2:
            raise Unfit
        order = list(range(table.num_rows))
        return table.take(order[::-1]), "rows from the last to the first"

    return _change(draw, dataset, change)


@damage()
def no_rows(draw: Draw, dataset: Path) -> str:
    return _change(draw, dataset, lambda table: (table.slice(0, 0), "no rows"))


@damage()
def no_columns(draw: Draw, dataset: Path) -> str:
    return _change(draw, dataset, lambda table: (table.select([]), "no columns"))


@damage()
def the_same_number_twice(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        values = table["example_id"].to_pylist()
        row = _pick_row(draw, table)
        new = draw.choice([values[0], values[-1], -1, 2**62, values[row] + 1000])
        if new == values[row]:
            raise Unfit
        values[row] = new
        return _with(table, "example_id", values), f"example_id of row {row} is {new}"

    return _change(draw, dataset, change)


@damage()
def networks_change_places(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        name = _pick_column(draw, table, _is_numbers)
        values = table[name].to_pylist()
        if len(values) < 2:
            raise Unfit
        values[0], values[-1] = values[-1], values[0]
        return _with(table, name, values), f"{name} of the first and last row change places"

    return _change(draw, dataset, change, "subjects")


@damage(sound=True)
def the_same_in_other_pages(draw: Draw, dataset: Path) -> str:
    path = pick_shard(draw, dataset)
    table = pq.ParquetFile(path).read()
    packing = draw.choice(["none", "snappy", "gzip", "zstd"])
    rows = draw.choice([1, 3, 1000])
    pq.write_table(table, path, compression=packing, row_group_size=rows, use_dictionary=False)
    return f"{path.name} written anew: {packing}, groups of {rows}"


@damage(sound=None)
def notes_in_the_schema(draw: Draw, dataset: Path) -> str:
    def change(table: pa.Table) -> tuple[pa.Table, str]:
        return table.replace_schema_metadata({"pandas": "{", "note": "x" * 10_000}), "with notes"

    return _change(draw, dataset, change)


@damage()
def a_file_is_cut(draw: Draw, dataset: Path) -> str:
    path = pick_shard(draw, dataset)
    content = path.read_bytes()
    kept = draw.choice([0, 1, 4, 8, len(content) // 2, len(content) - 1, len(content) - 8])
    path.write_bytes(content[:kept])
    return f"{path.relative_to(dataset)}: {kept} of {len(content)} bytes"


@damage(sound=None)
def a_file_has_more_bytes(draw: Draw, dataset: Path) -> str:
    path = pick_shard(draw, dataset)
    content = path.read_bytes()
    more = draw.choice([b"\x00", b"PAR1", b"x" * 5000, content])
    path.write_bytes(draw.choice([content + more, more + content]))
    return f"{path.relative_to(dataset)}: {len(more)} bytes more"


@damage(sound=None)
def flipped_bits(draw: Draw, dataset: Path) -> str:
    path = pick_shard(draw, dataset)
    content = bytearray(path.read_bytes())
    places = [draw.randrange(len(content)) for _ in range(draw.choice([1, 1, 5, 100]))]
    for place in places:
        content[place] ^= 1 << draw.randrange(8)
    path.write_bytes(content)
    return f"{path.relative_to(dataset)}: bits flipped at {places[:5]}"


@damage(sound=None)
def flipped_bits_of_the_footer(draw: Draw, dataset: Path) -> str:
    path = pick_shard(draw, dataset)
    content = bytearray(path.read_bytes())
    length = int.from_bytes(content[-8:-4], "little")
    places = [
        len(content) - 8 - draw.randrange(1, length) for _ in range(draw.choice([1, 1, 2, 4, 20]))
    ]
    for place in places:
        content[place] ^= 1 << draw.randrange(8)
    path.write_bytes(content)
    return f"{path.relative_to(dataset)}: bits of the footer flipped at {places[:5]}"


@damage()
def a_footer_that_says_it_is_longer(draw: Draw, dataset: Path) -> str:
    path = pick_shard(draw, dataset)
    content = path.read_bytes()
    length = draw.choice([0, 1, 2**31 - 1, 2**32 - 1, len(content)])
    mark = draw.choice([b"PAR1", b"PARE", b"PAR2"])
    path.write_bytes(content[:-8] + length.to_bytes(4, "little") + mark)
    return f"{path.relative_to(dataset)}: a footer of {length} bytes, {mark!r}"


@damage()
def another_format(draw: Draw, dataset: Path) -> str:
    path = pick_shard(draw, dataset)
    content = draw.choice(
        [b"{}", b"a,b\n1,2\n", b"\x89PNG\r\n", b"PK\x03\x04", b"version https://git-lfs"]
    )
    path.write_bytes(content)
    return f"{path.relative_to(dataset)} holds {content!r}"


@damage()
def parts_change_places(draw: Draw, dataset: Path) -> str:
    path = pick_shard(draw, dataset, "subjects")
    other = dataset / "prompts" / path.name
    held = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(held)
    return f"subjects/{path.name} and prompts/{path.name} change places"


@damage()
def shards_change_places(draw: Draw, dataset: Path) -> str:
    part = draw.choice(["subjects", "prompts"])
    found = sorted(dataset.glob(f"{part}/*.parquet"))
    if len(found) < 2:
        raise Unfit
    first, second = draw.sample(found, 2)
    held = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(held)
    return f"{part}: {first.name} and {second.name} change places"


@damage()
def a_shard_is_missing(draw: Draw, dataset: Path) -> str:
    path = pick_shard(draw, dataset)
    path.unlink()
    return f"{path.relative_to(dataset)} is missing"


@damage()
def a_shard_under_another_name(draw: Draw, dataset: Path) -> str:
    path = pick_shard(draw, dataset)
    names = [
        path.name.replace("of-", "of-9"),
        path.name.replace("train", "dev"),
        "train-٣-of-٣.parquet",
        "train.parquet",
        "data\n.parquet",
        "train-99999999999999999999-of-99999999999999999999.parquet",
        path.name.upper(),
    ]
    name = draw.choice([name for name in names if name != path.name])
    path.rename(path.with_name(name))
    return f"{path.relative_to(dataset)} is called {name!r}"


@damage()
def a_shard_twice(draw: Draw, dataset: Path) -> str:
    path = pick_shard(draw, dataset)
    new = path.with_name(draw.choice(["copy.parquet", "train-00009-of-00010.parquet"]))
    shutil.copy(path, new)
    return f"{path.relative_to(dataset)} again as {new.name}"
