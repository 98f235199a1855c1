# cython: language_level=3, boundscheck=False, wraparound=False, nonecheck=False, embedsignature=True
"""The loops over record batches, in C. What each of them does is said, and done without a compiler, by `common/batches/plain.py`."""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_Append, PyList_GET_ITEM, PyList_GET_SIZE
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcmp, memcpy

from aiokafka.errors import CorruptRecordException

from common.batches.compression import unpack
from common.batches.record_runs import Record, RecordRun

cdef extern from "Python.h":
    ctypedef struct PyByteArrayObject:
        Py_ssize_t ob_alloc  # bytes there is room for

cdef enum:
    HEADER_SIZE = 61
    ATTRIBUTES_AT = 21
    RECORDS_AT = 57


cdef int64_t read_varint(const uint8_t* data, Py_ssize_t* at, Py_ssize_t end) except? -1:
    """A zigzag varint; `at` moves on behind it."""
    cdef uint64_t value = 0
    cdef int shift = 0
    cdef uint8_t byte
    while shift < 64:
        if at[0] >= end:
            raise CorruptRecordException("a record goes on behind its batch")
        byte = data[at[0]]
        at[0] += 1
        value |= (<uint64_t>(byte & 0x7F)) << shift
        if byte < 0x80:
            return <int64_t>(value >> 1) ^ -<int64_t>(value & 1)
        shift += 7
    raise CorruptRecordException("a number of more than 64 bits")


cdef bytes read_bytes(const uint8_t* data, Py_ssize_t* at, Py_ssize_t end):
    """Bytes behind their length, which is negative for None."""
    cdef int64_t size = read_varint(data, at, end)
    if size < 0:
        return None
    if size > end - at[0]:
        raise CorruptRecordException("a record goes on behind its batch")
    at[0] += size
    return PyBytes_FromStringAndSize(<const char*>data + at[0] - size, size)


cdef inline int64_t big_endian(const uint8_t* data, int size):
    cdef uint64_t value = 0
    cdef int index
    for index in range(size):
        value = value << 8 | data[index]
    return <int64_t>value


def parse_batch(const uint8_t[::1] batch, int64_t start):
    cdef int64_t base_offset, offset, size, headers, next_offset = -1
    cdef Py_ssize_t at, end, record_end, key_at, value_at
    cdef int32_t index, count
    cdef bytes key = None
    cdef list rows = None, runs = []
    cdef const uint8_t* data
    if batch.shape[0] < HEADER_SIZE:
        raise CorruptRecordException("a record batch without its head")
    base_offset = big_endian(&batch[0], 8)
    count = <int32_t>big_endian(&batch[RECORDS_AT], 4)
    cdef const uint8_t[::1] records = batch[HEADER_SIZE:]
    if batch[ATTRIBUTES_AT + 1] & 7:
        records = unpack(batch[ATTRIBUTES_AT + 1] & 7, batch[HEADER_SIZE:])
    end = records.shape[0]
    if count and not end:
        raise CorruptRecordException("a record batch without its records")
    data = &records[0] if end else NULL
    at = 0
    for index in range(count):
        size = read_varint(data, &at, end)
        if size < 1 or size > end - at:
            raise CorruptRecordException("a record goes on behind its batch")
        record_end = at + <Py_ssize_t>size
        at += 1  # attributes, of which there are none
        read_varint(data, &at, record_end)  # the time
        offset = base_offset + read_varint(data, &at, record_end)
        if offset < start:
            at = record_end
            continue
        key_at = at
        size = read_varint(data, &at, record_end)
        if size > record_end - at:
            raise CorruptRecordException("a record goes on behind its batch")
        if (
            rows is not None
            and offset == next_offset
            and (size < 0 if key is None else size == PyBytes_GET_SIZE(key))
            and (size <= 0 or memcmp(data + at, PyBytes_AS_STRING(key), size) == 0)
        ):
            at += size if size > 0 else 0
        else:
            at = key_at
            key = read_bytes(data, &at, record_end)
            rows = None
        value_at = at
        value = read_bytes(data, &at, record_end)
        headers = read_varint(data, &at, record_end)
        if headers:
            runs.append(Record(offset, key, value, read_headers(headers, data, &at, record_end)))
            rows = None
        else:
            if rows is None:
                rows = []
                runs.append(RecordRun(offset, key, rows))
            PyList_Append(rows, value)
            next_offset = offset + 1
        if at != record_end:
            raise CorruptRecordException("a record of another size than it says")
    if at != end:
        raise CorruptRecordException("more in a record batch than its records")
    return runs


cdef list read_headers(int64_t count, const uint8_t* data, Py_ssize_t* at, Py_ssize_t end):
    cdef list headers = []
    cdef bytes name
    if count < 0:
        raise CorruptRecordException("fewer than no headers")
    while count:
        name = read_bytes(data, at, end)
        if name is None:
            raise CorruptRecordException("a header without a name")
        headers.append((name.decode(), read_bytes(data, at, end)))
        count -= 1
    return headers


cdef inline Py_ssize_t varint_size(uint64_t zigzag):
    cdef Py_ssize_t size = 1
    while zigzag >= 0x80:
        zigzag >>= 7
        size += 1
    return size


cdef inline uint8_t* write_varint(uint8_t* to, uint64_t zigzag):
    while zigzag >= 0x80:
        to[0] = <uint8_t>(zigzag | 0x80)
        to += 1
        zigzag >>= 7
    to[0] = <uint8_t>zigzag
    return to + 1


cdef inline uint64_t zigzagged(int64_t value):
    return (<uint64_t>value << 1) ^ <uint64_t>(value >> 63)


def append_rows(
    bytearray batch not None,
    Py_ssize_t limit,
    int64_t number,
    int64_t later_ms,
    bytes key not None,
    list rows not None,
    Py_ssize_t start,
):
    cdef Py_ssize_t before = len(batch), after = before, index, size, value_size
    cdef Py_ssize_t key_size = PyBytes_GET_SIZE(key), stop = PyList_GET_SIZE(rows)
    cdef uint64_t later = zigzagged(later_ms)
    cdef Py_ssize_t same_size = 1 + varint_size(later) + varint_size(zigzagged(key_size)) + key_size + 1
    cdef int64_t first = number
    cdef uint8_t* to
    # How many find room comes first: the room is made once.
    for index in range(start, stop):
        value_size = len(<bytes?><object>PyList_GET_ITEM(rows, index))
        size = same_size + varint_size(zigzagged(number)) + varint_size(zigzagged(value_size)) + value_size
        size += varint_size(zigzagged(size))
        if after + size > limit and number:
            stop = index
            break
        after += size
        number += 1
    if after >= (<PyByteArrayObject*>batch).ob_alloc:
        # Twice the room: each time that it grows, all that is in it may be copied.
        PyByteArray_Resize(batch, max(after, min(2 * after, limit)))
    PyByteArray_Resize(batch, after)
    to = <uint8_t*>PyByteArray_AS_STRING(batch) + before
    number = first
    for index in range(start, stop):
        row = <object>PyList_GET_ITEM(rows, index)
        value_size = PyBytes_GET_SIZE(row)
        size = same_size + varint_size(zigzagged(number)) + varint_size(zigzagged(value_size)) + value_size
        to = write_varint(to, zigzagged(size))
        to[0] = 0
        to = write_varint(to + 1, later)
        to = write_varint(to, zigzagged(number))
        to = write_varint(to, zigzagged(key_size))
        memcpy(to, PyBytes_AS_STRING(key), key_size)
        to = write_varint(to + key_size, zigzagged(value_size))
        memcpy(to, PyBytes_AS_STRING(row), value_size)
        to[value_size] = 0
        to += value_size + 1
        number += 1
    return stop
