# cython: language_level=3, boundscheck=False, wraparound=False, nonecheck=False, embedsignature=True
"""The loops over record batches, in C.

`common/batches/plain.py` says what each does, and does the same without a compiler.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_Append, PyList_GET_ITEM
from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from aiokafka.errors import CorruptRecordException

from common.batches.compression import decompress
from common.batches.record_runs import Record, RecordRun
from common.batches.row_spans import RowSpans

cdef extern from "Python.h":
    ctypedef struct PyByteArrayObject:
        Py_ssize_t ob_alloc  # bytes there is room for

# A record batch of Kafka's format 2 (https://kafka.apache.org/documentation/#recordbatch). The numbers of its head are
# big-endian:
#
#   at  bytes
#    0  8      base offset: that of the first record
#    8  4      size of all that follows
#   12  4      epoch of the partition's leader
#   16  1      format: 2
#   17  4      CRC-32C of all that follows
#   21  2      attributes: bits 0-2 the codec (see compression.py), 3 times by the broker, 4 in a transaction, 5 control
#   23  4      offset of the last record - base offset
#   27  8      time of the first record, ms since 1970
#   35  8      latest time
#   43  8      producer's id
#   51  2      producer's epoch
#   53  4      sequence number of the first record
#   57  4      number of records
#   61         the records, packed as one where there is a codec
#
# A record. Its numbers are varints: zigzag (0, -1, 1, -2, 2, …), seven bits a byte, the lowest first, and every byte
# but the last has its highest bit set:
#
#   size of all that follows
#   attributes: one byte, unused
#   time - time of the first record
#   offset - base offset
#   size of the key (-1: none), key
#   size of the value (-1: none), value
#   number of headers, and for each: size of its name, name in UTF-8, size of its value (-1: none), value

cdef enum:
    BASE_OFFSET_AT = 0
    # Of the attributes' two bytes, the one with the codec.
    CODEC_AT = 22
    COUNT_AT = 57
    HEAD_SIZE = 61

    CODEC_BITS = 0x07

    VARINT_BITS = 7
    VARINT_MASK = 0x7F
    VARINT_GOES_ON = 0x80

    ATTRIBUTES_SIZE = 1
    NO_ATTRIBUTES = 0
    # A varint of one byte.
    NO_HEADERS = 0
    # The size of a key or value that is null.
    NOT_THERE = -1
    # A record's size, attributes, time, offset, sizes of key and value, and number of headers.
    LEAST_RECORD_SIZE = 7
    # Fewer rows than these cost less as objects.
    FEW_ROWS = 16
    # What 32 bits can count.
    MOST_SPANNED = 0x7FFFFFFF


# Where a row begins and ends, as RowSpans has it.
cdef struct Span:
    uint32_t begin
    uint32_t end


# Reading


cdef inline int64_t big_endian(const uint8_t* data, int size) noexcept:
    cdef uint64_t value = 0
    cdef int index
    for index in range(size):
        value = value << 8 | data[index]
    return <int64_t>value


cdef int64_t read_long_varint(const uint8_t** at, const uint8_t* end) except? -1:
    cdef uint64_t zigzag = 0
    cdef int shift = 0
    cdef uint8_t byte
    while shift < 64:
        if at[0] >= end:
            raise CorruptRecordException("a record goes on behind its batch")
        byte = at[0][0]
        at[0] += 1
        zigzag |= <uint64_t>(byte & VARINT_MASK) << shift
        if byte < VARINT_GOES_ON:
            return <int64_t>(zigzag >> 1 ^ -(zigzag & 1))
        shift += VARINT_BITS
    raise CorruptRecordException("a number of more than 64 bits")


cdef inline int64_t read_varint(const uint8_t** at, const uint8_t* end) except? -1:
    """Read a varint, and move `at` behind it."""
    cdef uint64_t zigzag
    # Most are one byte.
    if at[0] < end and at[0][0] < VARINT_GOES_ON:
        zigzag = at[0][0]
        at[0] += 1
        return <int64_t>(zigzag >> 1 ^ -(zigzag & 1))
    return read_long_varint(at, end)


cdef inline int64_t read_size(const uint8_t** at, const uint8_t* end) except? -1:
    """Read a size, negative for what is absent; CorruptRecordException where less than that follows."""
    cdef int64_t size = read_varint(at, end)
    if size > end - at[0]:
        raise CorruptRecordException("a record goes on behind its batch")
    return size


cdef inline bytes read_bytes(const uint8_t** at, const uint8_t* end):
    """Read a size and so many bytes; None where they are absent."""
    cdef int64_t size = read_size(at, end)
    if size < 0:
        return None
    at[0] += size
    return PyBytes_FromStringAndSize(<const char*>at[0] - size, size)


cdef inline bint skip_key(const uint8_t** at, const uint8_t* end, bytes key) except -1:
    """Move `at` behind the key there if it is this one; return whether it is."""
    cdef const uint8_t* begin = at[0]
    cdef int64_t size = read_size(&begin, end)
    if size < 0:
        if key is not None:
            return False
        size = 0
    elif key is None or size != PyBytes_GET_SIZE(key) or memcmp(begin, PyBytes_AS_STRING(key), size):
        return False
    at[0] = begin + size
    return True


cdef list read_headers(int64_t count, const uint8_t** at, const uint8_t* end):
    cdef list headers = []
    cdef bytes name
    if count < 0:
        raise CorruptRecordException("fewer than no headers")
    while count:
        name = read_bytes(at, end)
        if name is None:
            raise CorruptRecordException("a header without a name")
        try:
            headers.append((name.decode(), read_bytes(at, end)))
        except UnicodeDecodeError:
            raise CorruptRecordException("a header's name that is not UTF-8") from None
        count -= 1
    return headers


cdef bint are_spanned(const Span* spans, Py_ssize_t count) noexcept:
    """Whether the values of a run stay where they are: not if they are few, nor if one is absent."""
    cdef Py_ssize_t index
    for index in range(count):
        if spans[index].begin > spans[index].end:
            return False
    return count >= FEW_ROWS


cdef list take_out(const char* begin, const Span* spans, Py_ssize_t count):
    """The values of a run as objects."""
    cdef Py_ssize_t index
    cdef list rows = []
    for index in range(count):
        if spans[index].begin > spans[index].end:
            PyList_Append(rows, None)
        else:
            PyList_Append(
                rows, PyBytes_FromStringAndSize(begin + spans[index].begin, spans[index].end - spans[index].begin)
            )
    return rows


cdef bytes add_run(
    list runs,
    int64_t first,
    bytes key,
    const uint8_t* begin,
    const uint8_t* end,
    bytes data,
    const Span* spans,
    Py_ssize_t count,
):
    """Add a run; return `data`, the records in bytes of their own, once there are any: spanned rows stay there."""
    if not are_spanned(spans, count):
        runs.append(RecordRun(first, key, take_out(<const char*>begin, spans, count)))
        return data
    # A copy, so that the response with its other batches can be freed.
    if data is None:
        data = PyBytes_FromStringAndSize(<const char*>begin, end - begin)
    bounds = PyBytes_FromStringAndSize(<const char*>spans, count * <Py_ssize_t>sizeof(Span))
    runs.append(RecordRun(first, key, RowSpans(data, bounds)))
    return data


cdef list parse_records(
    const uint8_t* begin, const uint8_t* end, int32_t count, int64_t base_offset, int64_t start
):
    cdef const uint8_t* at = begin
    cdef int64_t size, offset, headers, first = 0, next_offset = -1
    cdef const uint8_t* record_end
    cdef const uint8_t* value
    cdef int32_t _number
    cdef bytes key = None, data = None
    cdef list runs = []
    # The rows of the present run: so many, and room for as many as there can be records.
    cdef Py_ssize_t rows = 0, most = max(0, min(<Py_ssize_t>count, (end - at) // LEAST_RECORD_SIZE + 1))
    cdef bytes room = PyBytes_FromStringAndSize(NULL, most * <Py_ssize_t>sizeof(Span))
    cdef Span* spans = <Span*>PyBytes_AS_STRING(room)
    for _number in range(count):
        size = read_size(&at, end)
        if size < ATTRIBUTES_SIZE:
            raise CorruptRecordException("a record of no size")
        record_end = at + size
        at += ATTRIBUTES_SIZE
        read_varint(&at, record_end)  # its time
        # Unsigned, because damaged numbers may add up to more than 63 bits.
        offset = <int64_t>(<uint64_t>base_offset + <uint64_t>read_varint(&at, record_end))
        if offset < start:
            at = record_end
            continue
        if not rows or offset != next_offset or not skip_key(&at, record_end, key):
            if rows:
                data = add_run(runs, first, key, begin, end, data, spans, rows)
                rows = 0
            key = read_bytes(&at, record_end)
        size = read_size(&at, record_end)
        value = at
        at += max(size, 0)
        headers = read_varint(&at, record_end)
        if headers:
            if rows:
                data = add_run(runs, first, key, begin, end, data, spans, rows)
                rows = 0
            content = None if size < 0 else PyBytes_FromStringAndSize(<const char*>value, size)
            runs.append(Record(offset, key, content, read_headers(headers, &at, record_end)))
        else:
            if not rows:
                first = offset
            spans[rows].begin = <uint32_t>(value - begin) if size >= 0 else 1
            spans[rows].end = <uint32_t>(value - begin + size) if size >= 0 else 0
            rows += 1
            next_offset = <int64_t>(<uint64_t>offset + 1)
        if at != record_end:
            raise CorruptRecordException("a record of another size than it says")
    if at != end:
        raise CorruptRecordException("more in a record batch than its records")
    if rows:
        add_run(runs, first, key, begin, end, data, spans, rows)
    return runs


def parse_batch(const uint8_t[::1] batch not None, int64_t start):
    cdef int32_t count
    cdef int codec
    cdef Py_ssize_t size
    if batch.shape[0] < HEAD_SIZE:
        raise CorruptRecordException("a record batch without its head")
    count = <int32_t>big_endian(&batch[COUNT_AT], 4)
    codec = batch[CODEC_AT] & CODEC_BITS
    cdef const uint8_t[::1] records = batch[HEAD_SIZE:]
    if codec:
        records = decompress(codec, records)
    size = records.shape[0]
    if not size:
        if count:
            raise CorruptRecordException("a record batch without its records")
        return []
    if size > MOST_SPANNED:
        raise CorruptRecordException("a record batch of more than 2 GiB")
    return parse_records(&records[0], &records[0] + size, count, big_endian(&batch[BASE_OFFSET_AT], 8), start)


# Writing


cdef inline uint64_t zigzag_of(int64_t value) noexcept:
    return <uint64_t>value << 1 ^ <uint64_t>(value >> 63)


cdef inline Py_ssize_t varint_size(uint64_t zigzag) noexcept:
    cdef Py_ssize_t size = 1
    while zigzag >= VARINT_GOES_ON:
        zigzag >>= VARINT_BITS
        size += 1
    return size


cdef inline uint8_t* write_varint(uint8_t* to, uint64_t zigzag) noexcept:
    while zigzag >= VARINT_GOES_ON:
        to[0] = <uint8_t>(zigzag | VARINT_GOES_ON)
        to += 1
        zigzag >>= VARINT_BITS
    to[0] = <uint8_t>zigzag
    return to + 1


cdef inline uint8_t* write_bytes(uint8_t* to, bytes content) noexcept:
    cdef Py_ssize_t size
    if content is None:
        return write_varint(to, zigzag_of(NOT_THERE))
    size = PyBytes_GET_SIZE(content)
    to = write_varint(to, zigzag_of(size))
    memcpy(to, PyBytes_AS_STRING(content), size)
    return to + size


cdef inline Py_ssize_t record_size(Py_ssize_t same_size, int64_t number, Py_ssize_t value_size) noexcept:
    """The size to write before a record; `same_size` is the size of what all records of one call have in common."""
    return same_size + varint_size(zigzag_of(number)) + varint_size(zigzag_of(value_size)) + value_size


cdef struct Row:
    const uint8_t* begin
    Py_ssize_t size


cdef struct Rows:
    # Either a list's objects, or the bytes of RowSpans.
    PyObject* items
    const uint8_t* data
    const Span* spans


cdef inline Row row_at(const Rows* rows, Py_ssize_t index) noexcept:
    cdef Row row
    if rows.items != NULL:
        item = <bytes>PyList_GET_ITEM(<list>rows.items, index)
        row.begin = <const uint8_t*>PyBytes_AS_STRING(item)
        row.size = PyBytes_GET_SIZE(item)
    else:
        row.begin = rows.data + rows.spans[index].begin
        row.size = rows.spans[index].end - rows.spans[index].begin
    return row


cdef uint8_t* write_records(
    uint8_t* to,
    Py_ssize_t same_size,
    int64_t number,
    uint64_t later,
    bytes key,
    const Rows* rows,
    Py_ssize_t start,
    Py_ssize_t stop,
) noexcept:
    cdef Py_ssize_t index
    cdef Row row
    for index in range(start, stop):
        row = row_at(rows, index)
        to = write_varint(to, zigzag_of(record_size(same_size, number, row.size)))
        to[0] = NO_ATTRIBUTES
        to = write_varint(to + ATTRIBUTES_SIZE, later)
        to = write_varint(to, zigzag_of(number))
        to = write_bytes(to, key)
        to = write_varint(to, zigzag_of(row.size))
        memcpy(to, row.begin, row.size)
        to += row.size
        to[0] = NO_HEADERS
        to += 1
        number += 1
    return to


def append_rows(
    bytearray batch not None,
    Py_ssize_t limit,
    int64_t number,
    int64_t later_ms,
    bytes key,
    rows not None,
    Py_ssize_t start,
):
    cdef bytes data, bounds
    cdef list items
    cdef Rows these
    if type(rows) is RowSpans:
        data, bounds = rows.data, rows.bounds
        these.items = NULL
        these.data = <const uint8_t*>PyBytes_AS_STRING(data)
        these.spans = <const Span*>PyBytes_AS_STRING(bounds)
    else:
        items = rows
        these.items = <PyObject*>items
    cdef Py_ssize_t before = len(batch), after = before, index, size, stop = len(rows)
    cdef Py_ssize_t key_size = NOT_THERE if key is None else PyBytes_GET_SIZE(key)
    cdef uint64_t later = zigzag_of(later_ms)
    cdef Py_ssize_t same_size = (
        ATTRIBUTES_SIZE
        + varint_size(later)
        + varint_size(zigzag_of(key_size))
        + max(key_size, 0)
        + varint_size(NO_HEADERS)
    )
    cdef int64_t first = number
    if start < 0:
        raise IndexError("rows are counted from 0")
    # Count first how many rows fit, so that the batch is resized once.
    for index in range(start, stop):
        if these.items != NULL:
            # TypeError unless it is bytes: `row_at` relies on it.
            <bytes?><object>PyList_GET_ITEM(items, index)
        size = record_size(same_size, number, row_at(&these, index).size)
        size += varint_size(zigzag_of(size))
        if after + size > limit and number:
            stop = index
            break
        after += size
        number += 1
    if after >= (<PyByteArrayObject*>batch).ob_alloc:
        # Double the room: each time the batch grows, all of it may be copied.
        PyByteArray_Resize(batch, max(after, min(2 * after, limit)))
    PyByteArray_Resize(batch, after)
    write_records(<uint8_t*>PyByteArray_AS_STRING(batch) + before, same_size, first, later, key, &these, start, stop)
    return stop
