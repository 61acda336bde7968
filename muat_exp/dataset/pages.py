"""The pages of a Parquet file's columns: how much each really holds.

What the file's end says of its columns may be forged, and 0.4 MB of repeated values can decode to
gigabytes. Each page begins with a header that its decoder goes by, so it is read here first. No
library shows these headers: they are Thrift structures in its compact protocol, see `PageHeader` in
Parquet's `parquet.thrift`.
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

_USUAL_HEADER = 2**10  # bytes that nearly all headers have at most
_LONGEST_HEADER = 2**24  # bytes of a header with long texts in its statistics
_DEEPEST = 8  # structures within each other
# Types of values in Thrift's compact protocol.
_WHOLE = (4, 5, 6)  # of 16, 32 and 64 bits
_TRUE_OR_FALSE = (1, 2)  # the type is the value
_FIXED = {3: 1, 7: 8}  # bytes of a byte and of a double
_BINARY = 8
_STRUCTURE = 12
_CODECS = {"LZ4": "lz4_raw"}  # Arrow's names of compressions that it calls otherwise
# Fields of `PageHeader`, and the kinds of pages.
_TYPE, _SIZE, _COMPRESSED, _DATA, _DICTIONARY, _DATA_V2 = 1, 2, 3, 5, 7, 8
_DATA_PAGE, _INDEX_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_V2 = range(4)
_DETAILS = {_DATA_PAGE: _DATA, _DICTIONARY_PAGE: _DICTIONARY, _DATA_PAGE_V2: _DATA_V2}
_VALUES = 1  # field of all details
_ENCODING = {_DATA_PAGE: 2, _DICTIONARY_PAGE: 2, _DATA_PAGE_V2: 4}  # field of the details


class Page(NamedTuple):
    """One page of a column.

    Attributes:
        is_dictionary: whether it holds the values that other pages refer to.
        values: how many it holds.
        size: its bytes once they are decompressed.
        encoding: how its values are written, a code of Parquet's `Encoding`.
        start: where its compressed bytes are in the file.
        compressed: how many these are.
    """

    is_dictionary: bool
    values: int
    size: int
    encoding: int
    start: int
    compressed: int


def column_pages(file: BinaryIO, chunk: pq.ColumnChunkMetaData) -> Iterator[Page]:
    """The pages of one column in one row group.

    Raises:
        ValueError: they are not where the file says, or a header is damaged.
    """
    if not chunk.num_values:
        return  # no page is decoded
    place = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < (chunk.dictionary_page_offset or 0) < place:
        place = chunk.dictionary_page_offset
    end = place + chunk.total_compressed_size
    while place < end:
        header, length = _read_header(file, place)
        start = place + length
        compressed = _count(header, _COMPRESSED)
        if start + compressed > end:
            raise ValueError("a page is larger than its column")
        kind = header.get(_TYPE)
        if kind in _DETAILS:
            details = header.get(_DETAILS[kind])
            if not isinstance(details, dict):
                raise ValueError("a page does not say what it holds")
            values = _count(details, _VALUES)
            encoding = _count(details, _ENCODING[kind])
            size = _count(header, _SIZE)
            yield Page(kind == _DICTIONARY_PAGE, values, size, encoding, start, compressed)
        elif kind != _INDEX_PAGE:
            raise ValueError("a page is of no known kind")
        place = start + compressed


def longest_text(file: BinaryIO, page: Page, compression: str) -> int:
    """Bytes of the longest text in a dictionary of texts.

    Raises:
        ValueError: it can't be decompressed, or is cut off.
    """
    file.seek(page.start)
    content = file.read(page.compressed)
    if compression != "UNCOMPRESSED":
        codec = pa.Codec(_CODECS.get(compression, compression.lower()))
        content = codec.decompress(content, page.size, asbytes=True)
    longest = 0
    place = 0
    for _ in range(page.values):
        length = int.from_bytes(content[place : place + 4], "little")
        place += 4 + length
        longest = max(longest, length)
    if place > len(content):
        raise ValueError("a dictionary of texts is cut off")
    return longest


def _count(fields: dict[int, object], field: int) -> int:
    """A field that is a whole number and not negative."""
    value = fields.get(field)
    if type(value) is not int or value < 0:
        raise ValueError("the header of a page lacks a number")
    return value


def _read_header(file: BinaryIO, place: int) -> tuple[dict[int, object], int]:
    """The header of the page at a place of the file, and the bytes that it takes."""
    for most in (_USUAL_HEADER, _LONGEST_HEADER):
        file.seek(place)
        content = file.read(most)
        try:
            reader = _Compact(content)
            return reader.structure(), reader.place
        except IndexError:
            continue
    raise ValueError("the header of a page is cut off")


class _Compact:
    """Reads Thrift's compact protocol; raises `IndexError` at the end of the bytes."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.place = 0

    def byte(self) -> int:
        """The next byte."""
        value = self.content[self.place]
        self.place += 1
        return value

    def skip(self, count: int) -> None:
        """Passes over some bytes, which must be there."""
        self.place += count
        if self.place > len(self.content):
            raise IndexError

    def unsigned(self) -> int:
        """A whole number, seven bits a byte, the lowest first."""
        value = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise ValueError("a number in the header of a page is too long")

    def signed(self) -> int:
        """A whole number whose lowest bit is its sign."""
        value = self.unsigned()
        return (value >> 1) ^ -(value & 1)

    def structure(self, depth: int = 0) -> dict[int, object]:
        """A structure: its numbers and structures by field; whatever else is None."""
        if depth > _DEEPEST:
            raise ValueError("the header of a page is nested too deeply")
        fields: dict[int, object] = {}
        field = 0
        while head := self.byte():
            step = head >> 4
            field = field + step if step else self.signed()
            fields[field] = self.value(head & 0x0F, depth)
        return fields

    def value(self, kind: int, depth: int) -> object:
        """A field's value; only numbers and structures are kept."""
        if kind in _WHOLE:
            return self.signed()
        if kind == _STRUCTURE:
            return self.structure(depth + 1)
        if kind == _BINARY:
            self.skip(self.unsigned())
        elif kind in _FIXED:
            self.skip(_FIXED[kind])
        elif kind not in _TRUE_OR_FALSE:
            raise ValueError("the header of a page has a field of no known kind")
        return None
