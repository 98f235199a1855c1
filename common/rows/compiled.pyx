# cython: language_level=3, boundscheck=False, wraparound=False, nonecheck=False, embedsignature=True
"""The loops over rows, in C. What each of them does is said, and done without a compiler, by `common/rows/plain.py`."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_Append, PyList_GET_ITEM, PyList_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy

cdef uint32_t[8][256] crc_table


cdef void make_crc_table() noexcept:
    cdef uint32_t value
    cdef int index, bit
    for index in range(256):
        value = index
        for bit in range(8):
            value = value >> 1 ^ (0xEDB88320 if value & 1 else 0)
        crc_table[0][index] = value
    for index in range(256):
        for bit in range(1, 8):
            value = crc_table[bit - 1][index]
            crc_table[bit][index] = value >> 8 ^ crc_table[0][value & 0xFF]


make_crc_table()


cdef uint32_t crc32(const uint8_t* data, Py_ssize_t size) noexcept:
    """CRC-32 as in zlib, eight bytes a step."""
    cdef uint32_t value = 0xFFFFFFFF
    while size >= 8:
        value ^= data[0] | <uint32_t>data[1] << 8 | <uint32_t>data[2] << 16 | <uint32_t>data[3] << 24
        value = (
            crc_table[7][value & 0xFF] ^ crc_table[6][value >> 8 & 0xFF]
            ^ crc_table[5][value >> 16 & 0xFF] ^ crc_table[4][value >> 24]
            ^ crc_table[3][data[4]] ^ crc_table[2][data[5]] ^ crc_table[1][data[6]] ^ crc_table[0][data[7]]
        )
        data += 8
        size -= 8
    if size >= 4:
        value ^= data[0] | <uint32_t>data[1] << 8 | <uint32_t>data[2] << 16 | <uint32_t>data[3] << 24
        value = (
            crc_table[3][value & 0xFF] ^ crc_table[2][value >> 8 & 0xFF]
            ^ crc_table[1][value >> 16 & 0xFF] ^ crc_table[0][value >> 24]
        )
        data += 4
        size -= 4
    while size:
        value = value >> 8 ^ crc_table[0][(value ^ data[0]) & 0xFF]
        data += 1
        size -= 1
    return value ^ 0xFFFFFFFF


def size_of(list rows not None):
    cdef Py_ssize_t index, size = 0
    for index in range(PyList_GET_SIZE(rows)):
        size += len(<bytes?><object>PyList_GET_ITEM(rows, index))
    return size


def sums(list rows not None):
    cdef uint64_t checksum = 0
    cdef Py_ssize_t index, size = 0
    for index in range(PyList_GET_SIZE(rows)):
        row = <bytes?><object>PyList_GET_ITEM(rows, index)
        size += PyBytes_GET_SIZE(row)
        checksum += crc32(<const uint8_t*>PyBytes_AS_STRING(row), PyBytes_GET_SIZE(row))
    return size, checksum


cdef inline Py_ssize_t occurrences(const uint8_t* data, Py_ssize_t size, uint8_t byte) noexcept:
    cdef Py_ssize_t index, found = 0
    for index in range(size):
        found += data[index] == byte
    return found


def split_uniform_lines(
    bytes data not None,
    bytes delimiter not None,
    bytes quote not None,
    bytes eol not None,
    Py_ssize_t columns,
    Py_ssize_t max_row_bytes,
):
    cdef const uint8_t* row = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t left = PyBytes_GET_SIZE(data), size
    cdef Py_ssize_t before_lf = PyBytes_GET_SIZE(eol) - 1
    cdef uint8_t mark = <uint8_t>delimiter[0]
    cdef const uint8_t* lf
    cdef list rows = []
    if quote and memchr(row, <uint8_t>quote[0], left) != NULL:
        return None
    if not before_lf and memchr(row, 13, left) != NULL:
        return None
    while left:
        lf = <const uint8_t*>memchr(row, 10, left)
        if lf == NULL:
            return None
        size = lf - row - before_lf
        if size < 0 or size > max_row_bytes or (before_lf and row[size] != 13):
            return None
        if occurrences(row, size, mark) != columns - 1 or (before_lf and memchr(row, 13, size) != NULL):
            return None
        PyList_Append(rows, PyBytes_FromStringAndSize(<const char*>row, size))
        left -= lf + 1 - row
        row = lf + 1
    return rows


def take_fields(list rows not None, bytes delimiter not None, Py_ssize_t column):
    cdef int mark = <uint8_t>delimiter[0]
    cdef Py_ssize_t index, cut
    cdef const char* at
    cdef const char* end
    cdef const char* stop
    cdef list fields = []
    for index in range(PyList_GET_SIZE(rows)):
        row = <bytes?><object>PyList_GET_ITEM(rows, index)
        at = PyBytes_AS_STRING(row)
        end = at + PyBytes_GET_SIZE(row)
        for cut in range(column):
            at = <const char*>memchr(at, mark, end - at)
            if at == NULL:
                raise IndexError("a row has too few fields")
            at += 1
        stop = <const char*>memchr(at, mark, end - at)
        PyList_Append(fields, PyBytes_FromStringAndSize(at, (end if stop == NULL else stop) - at))
    return fields


def group_rows(list keys not None, list rows not None, dict piles not None):
    cdef Py_ssize_t index
    cdef object pile
    if PyList_GET_SIZE(keys) != PyList_GET_SIZE(rows):
        raise ValueError("not as many keys as rows")
    for index in range(PyList_GET_SIZE(rows)):
        pile = piles[<object>PyList_GET_ITEM(keys, index)]
        PyList_Append(<list?>pile, <object>PyList_GET_ITEM(rows, index))


# JSON

cdef inline const uint8_t* digits_end(const uint8_t* at, const uint8_t* end) noexcept:
    while at < end and 48 <= at[0] <= 57:
        at += 1
    return at


cdef const uint8_t* number_end(const uint8_t* at, const uint8_t* end) noexcept:
    """Where the JSON number that begins here ends; NULL where none does."""
    cdef const uint8_t* stop
    if at < end and at[0] == 45:
        at += 1
    stop = digits_end(at, end)
    if stop == at or (at[0] == 48 and stop - at > 1):
        return NULL
    at = stop
    if at < end and at[0] == 46:
        stop = digits_end(at + 1, end)
        if stop == at + 1:
            return NULL
        at = stop
    if at < end and at[0] | 32 == 101:
        at += 1
        if at < end and (at[0] == 43 or at[0] == 45):
            at += 1
        stop = digits_end(at, end)
        if stop == at:
            return NULL
        at = stop
    return at


cdef const uint8_t* text_end(const uint8_t* at, const uint8_t* end, bint* ascii) noexcept:
    """Where bytes end that mean themselves in a JSON string; `ascii` becomes false where some are above 127."""
    cdef uint8_t seen = 0
    while at < end and at[0] >= 32 and at[0] != 34 and at[0] != 92:
        seen |= at[0]
        at += 1
    if seen & 0x80:
        ascii[0] = False
    return at


cdef bint is_utf8(const uint8_t* data, Py_ssize_t size):
    try:
        PyUnicode_DecodeUTF8(<const char*>data, size, NULL)
    except UnicodeDecodeError:
        return False
    return True


cdef bytes json_row(bytes row, list names, uint8_t mark, int quote, uint8_t* room):
    cdef const uint8_t* begin = <const uint8_t*>PyBytes_AS_STRING(row)
    cdef const uint8_t* end = begin + PyBytes_GET_SIZE(row)
    cdef const uint8_t* at = begin
    cdef const uint8_t* stop
    cdef uint8_t* to = room
    cdef Py_ssize_t index, size, last = PyList_GET_SIZE(names) - 1
    cdef bint ascii = True
    if quote >= 0 and memchr(begin, quote, end - begin) != NULL:
        return None
    for index in range(last + 1):
        name = <bytes>PyList_GET_ITEM(names, index)
        memcpy(to, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        to += PyBytes_GET_SIZE(name)
        stop = <const uint8_t*>memchr(at, mark, end - at)
        if (stop == NULL) != (index == last):
            return None
        if stop == NULL:
            stop = end
        size = stop - at
        if number_end(at, stop) == stop:
            memcpy(to, at, size)
            to += size
        else:
            if text_end(at, stop, &ascii) != stop:
                return None
            to[0] = 34
            memcpy(to + 1, at, size)
            to[size + 1] = 34
            to += size + 2
        at = stop + 1
    to[0] = 125
    if not ascii and not is_utf8(begin, end - begin):
        return None
    return PyBytes_FromStringAndSize(<const char*>room, to + 1 - room)


def json_rows(list rows not None, list names not None, bytes delimiter not None, bytes quote not None):
    cdef Py_ssize_t index, most = 0, names_size = 1
    cdef uint8_t* room
    cdef list values = []
    for name in names:
        names_size += PyBytes_GET_SIZE(<bytes?>name) + 2
    for index in range(PyList_GET_SIZE(rows)):
        most = max(most, len(<bytes?><object>PyList_GET_ITEM(rows, index)))
    room = <uint8_t*>PyMem_Malloc(most + names_size)
    if room == NULL:
        raise MemoryError
    try:
        for index in range(PyList_GET_SIZE(rows)):
            row = <object>PyList_GET_ITEM(rows, index)
            values.append(json_row(row, names, delimiter[0], quote[0] if quote else -1, room))
    finally:
        PyMem_Free(room)
    return values


cdef bint skip_name(const uint8_t** at, const uint8_t* end, object name):
    """Go behind this name, if it stands here."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(name)
    if end - at[0] < size or memcmp(at[0], PyBytes_AS_STRING(name), size):
        return False
    at[0] += size
    return True


cdef bint take_value(const uint8_t** at, const uint8_t* end, const uint8_t** begin, Py_ssize_t* size, bint* ascii):
    """Go behind the text or number that stands here; `begin` and `size` are its bytes."""
    cdef const uint8_t* stop
    if at[0] < end and at[0][0] == 34:
        begin[0] = at[0] + 1
        stop = text_end(begin[0], end, ascii)
        if stop == end or stop[0] != 34:
            return False
        at[0] = stop + 1
    else:
        begin[0] = at[0]
        stop = number_end(at[0], end)
        if stop == NULL:
            return False
        at[0] = stop
    size[0] = stop - begin[0]
    return at[0] < end and (at[0][0] == 44 or at[0][0] == 125)


cdef bytes csv_row(bytes value, list names, uint8_t mark, int quote, uint8_t* room):
    cdef const uint8_t* at = <const uint8_t*>PyBytes_AS_STRING(value)
    cdef const uint8_t* end = at + PyBytes_GET_SIZE(value)
    cdef const uint8_t* begin = NULL
    cdef uint8_t* to = room
    cdef Py_ssize_t index, size = 0
    cdef bint ascii = True
    for index in range(PyList_GET_SIZE(names)):
        if not skip_name(&at, end, <object>PyList_GET_ITEM(names, index)):
            return None
        if not take_value(&at, end, &begin, &size, &ascii) or memchr(begin, mark, size) != NULL:
            return None
        if index:
            to[0] = mark
            to += 1
        memcpy(to, begin, size)
        to += size
    if end - at != 1 or at[0] != 125:
        return None
    size = to - room
    if quote >= 0 and memchr(room, quote, size) != NULL:
        return None
    if not ascii and not is_utf8(room, size):
        return None
    return PyBytes_FromStringAndSize(<const char*>room, size)


def csv_rows(list values not None, list names not None, bytes delimiter not None, bytes quote not None):
    cdef Py_ssize_t index, most = 1
    cdef uint8_t* room
    cdef list rows = []
    for index in range(PyList_GET_SIZE(values)):
        most = max(most, len(<bytes?><object>PyList_GET_ITEM(values, index)))
    room = <uint8_t*>PyMem_Malloc(most)
    if room == NULL:
        raise MemoryError
    try:
        for index in range(PyList_GET_SIZE(values)):
            value = <object>PyList_GET_ITEM(values, index)
            rows.append(csv_row(value, names, delimiter[0], quote[0] if quote else -1, room))
    finally:
        PyMem_Free(room)
    return rows


def take_json_fields(list values not None, list names not None, Py_ssize_t column):
    cdef const uint8_t* at
    cdef const uint8_t* end
    cdef const uint8_t* begin = NULL
    cdef Py_ssize_t index, number, size = 0
    cdef bint ascii = True, usual
    cdef list fields = []
    for index in range(PyList_GET_SIZE(values)):
        value = <bytes?><object>PyList_GET_ITEM(values, index)
        at = <const uint8_t*>PyBytes_AS_STRING(value)
        end = at + PyBytes_GET_SIZE(value)
        usual = True
        for number in range(column + 1):
            usual = skip_name(&at, end, <object>PyList_GET_ITEM(names, number)) and take_value(
                &at, end, &begin, &size, &ascii
            )
            if not usual:
                break
        fields.append(PyBytes_FromStringAndSize(<const char*>begin, size) if usual else None)
    return fields
