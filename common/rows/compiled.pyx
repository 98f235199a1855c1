# cython: language_level=3, boundscheck=False, wraparound=False, nonecheck=False, embedsignature=True
"""The loops over rows, in C.

`common/rows/plain.py` says what each does. Without a compiler it does the same, but leaves JSON to the codec.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_Append, PyList_GET_ITEM, PyList_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset

from common.batches.row_spans import RowSpans

cdef enum:
    LF = 0x0A
    CR = 0x0D
    # JSON strings escape every byte below this one.
    SPACE = 0x20
    QUOTE_MARK = 0x22
    PLUS = 0x2B
    COMMA = 0x2C
    MINUS = 0x2D
    POINT = 0x2E
    ZERO = 0x30
    NINE = 0x39
    BACKSLASH = 0x5C
    SMALL_E = 0x65
    CLOSING_BRACE = 0x7D

    # The bit that makes a capital letter small.
    SMALL = 0x20
    ABOVE_ASCII = 0x80
    # What 32 bits can count.
    MOST_SPANNED = 0x7FFFFFFF
    PLACE_BITS = 9
    # Fewer rows than these cost less as objects.
    FEW_ROWS = 16
    # A large odd number (2**32 divided by the golden ratio).
    HASH_FACTOR = 0x9E3779B1
    # The polynomial of CRC-32C, its lowest term first.
    CASTAGNOLI = 0x82F63B78
    NO_BYTE = -1


# Where a row begins and ends, as RowSpans has it.
cdef struct Span:
    uint32_t begin
    uint32_t end


# Arguments


cdef int byte_of(bytes mark) except -2:
    """The only byte of a delimiter."""
    if PyBytes_GET_SIZE(mark) != 1:
        raise ValueError(f"not a single byte: {mark!r}")
    return <uint8_t>PyBytes_AS_STRING(mark)[0]


cdef int byte_if_any(bytes mark) except -2:
    """The only byte of a quote; NO_BYTE where nothing is quoted."""
    return byte_of(mark) if PyBytes_GET_SIZE(mark) else NO_BYTE


cdef Py_ssize_t total_size(list items) except -1:
    """The sum of the sizes. TypeError unless every item is bytes: the code that reads them relies on it."""
    cdef Py_ssize_t index, size = 0
    for index in range(PyList_GET_SIZE(items)):
        size += len(<bytes?><object>PyList_GET_ITEM(items, index))
    return size


cdef Py_ssize_t largest_size(list items) except -1:
    """The size of the longest item, 0 if there is none. TypeError as in `total_size`."""
    cdef Py_ssize_t index, size = 0
    for index in range(PyList_GET_SIZE(items)):
        size = max(size, len(<bytes?><object>PyList_GET_ITEM(items, index)))
    return size


# Checksums

# The processor's instruction takes 8 bytes in 3 cycles; tables, which other processors get, some 40 cycles.
cdef extern from *:
    """
    #if defined(__x86_64__) && defined(__GNUC__)
    #include <nmmintrin.h>

    static int has_crc_instruction(void) { return __builtin_cpu_supports("sse4.2"); }

    __attribute__((target("sse4.2")))
    static uint32_t crc_by_instruction(const uint8_t *data, Py_ssize_t size) {
        uint64_t value = 0xFFFFFFFF, eight;
        uint32_t four;
        for (; size >= 8; data += 8, size -= 8) {
            memcpy(&eight, data, 8);
            value = _mm_crc32_u64(value, eight);
        }
        if (size >= 4) {
            memcpy(&four, data, 4);
            value = _mm_crc32_u32((uint32_t)value, four);
            data += 4;
            size -= 4;
        }
        for (; size; data++, size--) value = _mm_crc32_u8((uint32_t)value, *data);
        return (uint32_t)value ^ 0xFFFFFFFF;
    }
    #else
    static int has_crc_instruction(void) { return 0; }
    static uint32_t crc_by_instruction(const uint8_t *data, Py_ssize_t size) { return 0; }
    #endif
    """
    bint has_crc_instruction() noexcept
    uint32_t crc_by_instruction(const uint8_t* data, Py_ssize_t size) noexcept

cdef uint32_t[8][256] crc_table


cdef void make_crc_table() noexcept:
    cdef uint32_t value
    cdef int index, bit, _times
    for index in range(256):
        value = index
        for _times in range(8):
            value = value >> 1 ^ (CASTAGNOLI if value & 1 else 0)
        crc_table[0][index] = value
    for index in range(256):
        for bit in range(1, 8):
            value = crc_table[bit - 1][index]
            crc_table[bit][index] = value >> 8 ^ crc_table[0][value & 0xFF]


make_crc_table()


cdef uint32_t crc_by_tables(const uint8_t* data, Py_ssize_t size) noexcept:
    """Eight bytes a step."""
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
    while size:
        value = value >> 8 ^ crc_table[0][(value ^ data[0]) & 0xFF]
        data += 1
        size -= 1
    return value ^ 0xFFFFFFFF


cdef Py_ssize_t size_of_spans(bytes bounds) noexcept:
    cdef const Span* spans = <const Span*>PyBytes_AS_STRING(bounds)
    cdef Py_ssize_t index, size = 0
    for index in range(PyBytes_GET_SIZE(bounds) // <Py_ssize_t>sizeof(Span)):
        size += spans[index].end - spans[index].begin
    return size


def size_of(rows not None):
    return size_of_spans(rows.bounds) if type(rows) is RowSpans else total_size(rows)


cdef uint64_t sum_of_spans(bytes data, bytes bounds, bint by_instruction) noexcept:
    cdef const uint8_t* rows = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef const Span* spans = <const Span*>PyBytes_AS_STRING(bounds)
    cdef uint64_t checksum = 0
    cdef Py_ssize_t index
    cdef Span row
    for index in range(PyBytes_GET_SIZE(bounds) // <Py_ssize_t>sizeof(Span)):
        row = spans[index]
        checksum += (crc_by_instruction if by_instruction else crc_by_tables)(rows + row.begin, row.end - row.begin)
    return checksum


def sums(rows not None, bint by_tables=False):
    cdef bint by_instruction = has_crc_instruction() and not by_tables
    if type(rows) is RowSpans:
        return size_of_spans(rows.bounds), sum_of_spans(rows.data, rows.bounds, by_instruction)
    return sums_of_list(rows, by_instruction)


cdef sums_of_list(list rows, bint by_instruction):
    cdef uint64_t checksum = 0
    cdef Py_ssize_t index, size = 0
    cdef const uint8_t* begin
    for index in range(PyList_GET_SIZE(rows)):
        row = <bytes?><object>PyList_GET_ITEM(rows, index)
        begin = <const uint8_t*>PyBytes_AS_STRING(row)
        size += PyBytes_GET_SIZE(row)
        checksum += (crc_by_instruction if by_instruction else crc_by_tables)(begin, PyBytes_GET_SIZE(row))
    return size, checksum


# Rows


cdef inline Py_ssize_t occurrences(const uint8_t* data, Py_ssize_t size, uint8_t byte) noexcept:
    cdef Py_ssize_t index, found = 0
    cdef uint64_t eight, wanted = <uint64_t>0x0101010101010101 * byte
    # Eight bytes a step: of a byte that is the wanted one, `eight` has the lowest bit in the end, of others none.
    while size >= 8:
        memcpy(&eight, data, 8)
        eight ^= wanted
        eight = ~((eight & <uint64_t>0x7F7F7F7F7F7F7F7F) + <uint64_t>0x7F7F7F7F7F7F7F7F | eight)
        eight = eight >> 7 & <uint64_t>0x0101010101010101
        found += <Py_ssize_t>(eight * <uint64_t>0x0101010101010101 >> 56)
        data += 8
        size -= 8
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
    cdef const uint8_t* begin = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef const uint8_t* row = begin
    cdef Py_ssize_t left = PyBytes_GET_SIZE(data), size, count = 0
    cdef Py_ssize_t before_lf = PyBytes_GET_SIZE(eol) - 1
    cdef uint8_t mark = <uint8_t>byte_of(delimiter)
    cdef int quote_mark = byte_if_any(quote)
    cdef const uint8_t* lf
    cdef bytes bounds
    cdef Span* spans
    if eol != b"\n" and eol != b"\r\n":
        raise ValueError(f"neither LF nor CRLF: {eol!r}")
    if quote_mark != NO_BYTE and memchr(row, quote_mark, left) != NULL:
        return None
    if not before_lf and memchr(row, CR, left) != NULL:
        return None
    if left > MOST_SPANNED or columns < 1:
        return None
    # A row with its line ending has at least so many bytes.
    bounds = PyBytes_FromStringAndSize(NULL, left // (columns + before_lf) * <Py_ssize_t>sizeof(Span))
    spans = <Span*>PyBytes_AS_STRING(bounds)
    while left:
        lf = <const uint8_t*>memchr(row, LF, left)
        if lf == NULL:
            return None
        size = lf - row - before_lf
        if size < 0 or size > max_row_bytes or (before_lf and row[size] != CR):
            return None
        if occurrences(row, size, mark) != columns - 1 or (before_lf and memchr(row, CR, size) != NULL):
            return None
        spans[count].begin = <uint32_t>(row - begin)
        spans[count].end = <uint32_t>(row + size - begin)
        count += 1
        left -= lf + 1 - row
        row = lf + 1
    return RowSpans(data, bounds[:count * <Py_ssize_t>sizeof(Span)])


def take_out(rows not None):
    cdef Py_ssize_t index
    cdef bytes bounds, data
    cdef const Span* spans
    cdef list taken = []
    if type(rows) is not RowSpans:
        return list(rows)
    bounds, data = rows.bounds, rows.data
    spans = <const Span*>PyBytes_AS_STRING(bounds)
    for index in range(PyBytes_GET_SIZE(bounds) // <Py_ssize_t>sizeof(Span)):
        begin = PyBytes_AS_STRING(data) + spans[index].begin
        PyList_Append(taken, PyBytes_FromStringAndSize(begin, spans[index].end - spans[index].begin))
    return taken


def join_rows(rows not None, bytes ending not None):
    cdef Py_ssize_t index, count, ending_size = PyBytes_GET_SIZE(ending)
    cdef bytes bounds, data, joined
    cdef const Span* spans
    cdef uint8_t* to
    if type(rows) is not RowSpans:
        return ending.join(rows) + ending if rows else b""
    bounds, data = rows.bounds, rows.data
    spans = <const Span*>PyBytes_AS_STRING(bounds)
    count = PyBytes_GET_SIZE(bounds) // <Py_ssize_t>sizeof(Span)
    joined = PyBytes_FromStringAndSize(NULL, size_of_spans(bounds) + count * ending_size)
    to = <uint8_t*>PyBytes_AS_STRING(joined)
    for index in range(count):
        memcpy(to, PyBytes_AS_STRING(data) + spans[index].begin, spans[index].end - spans[index].begin)
        to += spans[index].end - spans[index].begin
        memcpy(to, PyBytes_AS_STRING(ending), ending_size)
        to += ending_size
    return joined


cdef inline Span field_at(const char* row, Py_ssize_t size, int mark, Py_ssize_t column) noexcept:
    """Where in a row the field begins and ends; it begins behind its end if there are too few."""
    cdef Span field
    cdef Py_ssize_t at = 0, _passed
    cdef const char* stop
    for _passed in range(column):
        stop = <const char*>memchr(row + at, mark, size - at)
        if stop == NULL:
            field.begin, field.end = 1, 0
            return field
        at = stop + 1 - row
    stop = <const char*>memchr(row + at, mark, size - at)
    field.begin = <uint32_t>at
    field.end = <uint32_t>(size if stop == NULL else stop - row)
    return field


cdef bytes take_field(const char* row, Py_ssize_t size, int mark, Py_ssize_t column):
    cdef Span field = field_at(row, size, mark, column)
    if field.begin > field.end:
        raise IndexError("a row has too few fields")
    return PyBytes_FromStringAndSize(row + field.begin, field.end - field.begin)


def take_fields(rows not None, bytes delimiter not None, Py_ssize_t column):
    cdef int mark = byte_of(delimiter)
    cdef list fields = []
    cdef const Span* spans
    cdef Py_ssize_t index
    cdef bytes row, bounds, data
    if column < 0:
        raise IndexError("columns are counted from 0")
    if type(rows) is RowSpans:
        bounds, data = rows.bounds, rows.data
        spans = <const Span*>PyBytes_AS_STRING(bounds)
        for index in range(PyBytes_GET_SIZE(bounds) // <Py_ssize_t>sizeof(Span)):
            row_size = spans[index].end - spans[index].begin
            PyList_Append(fields, take_field(PyBytes_AS_STRING(data) + spans[index].begin, row_size, mark, column))
        return fields
    for item in rows:
        row = <bytes?>item
        PyList_Append(fields, take_field(PyBytes_AS_STRING(row), PyBytes_GET_SIZE(row), mark, column))
    return fields


# Fields of a call that were seen last, by their hash, so that most rows need no object to know which they have.
cdef struct Known:
    const char* begin
    Py_ssize_t size
    uint32_t number


cdef inline Py_ssize_t place_of(const char* field, Py_ssize_t size) noexcept:
    """By a field's size, its first and its last bytes: fields that share a place only take more time."""
    cdef uint32_t first = 0, last = 0
    memcpy(&first, field, min(size, 4))
    memcpy(&last, field + max(size - 4, 0), min(size, 4))
    return ((first ^ last << 7 ^ <uint32_t>size) * <uint32_t>HASH_FACTOR) >> (32 - PLACE_BITS)


def number_fields(rows not None, bytes delimiter not None, Py_ssize_t column):
    cdef int mark = byte_of(delimiter)
    cdef dict numbers = {}
    cdef Known[1 << PLACE_BITS] known
    cdef Py_ssize_t index, size, at, count
    cdef uint32_t number
    cdef bytes bounds, data, field, found
    cdef const Span* spans
    cdef const char* begin
    cdef Span place
    cdef uint32_t* to
    if type(rows) is not RowSpans:
        return number_items(take_fields(rows, delimiter, column))
    if column < 0:
        raise IndexError("columns are counted from 0")
    bounds, data = rows.bounds, rows.data
    spans = <const Span*>PyBytes_AS_STRING(bounds)
    memset(known, 0, sizeof(known))
    count = PyBytes_GET_SIZE(bounds) // <Py_ssize_t>sizeof(Span)
    found = PyBytes_FromStringAndSize(NULL, count * <Py_ssize_t>sizeof(uint32_t))
    to = <uint32_t*>PyBytes_AS_STRING(found)
    for index in range(count):
        begin = PyBytes_AS_STRING(data) + spans[index].begin
        place = field_at(begin, spans[index].end - spans[index].begin, mark, column)
        if place.begin > place.end:
            raise IndexError("a row has too few fields")
        begin += place.begin
        size = place.end - place.begin
        at = place_of(begin, size)
        if known[at].begin == NULL or known[at].size != size or memcmp(known[at].begin, begin, size):
            field = PyBytes_FromStringAndSize(begin, size)
            number = numbers.setdefault(field, <uint32_t>len(numbers))
            known[at].begin, known[at].size, known[at].number = begin, size, number
        to[index] = known[at].number
    return list(numbers), found


def number_items(list items not None):
    cdef dict numbers = {}
    cdef Py_ssize_t index = 0
    cdef bytes found = PyBytes_FromStringAndSize(NULL, PyList_GET_SIZE(items) * <Py_ssize_t>sizeof(uint32_t))
    cdef uint32_t* to = <uint32_t*>PyBytes_AS_STRING(found)
    cdef Py_ssize_t count = PyList_GET_SIZE(items)
    # An item's own `__hash__` may change the list.
    for item in items:
        if index < count:
            to[index] = numbers.setdefault(item, <uint32_t>len(numbers))
        index += 1
    if index != count:
        raise ValueError("the items changed meanwhile")
    return list(numbers), found


def group_rows(rows not None, bytes numbers not None, list targets not None, Py_ssize_t count):
    cdef const uint32_t* number = <const uint32_t*>PyBytes_AS_STRING(numbers)
    cdef Py_ssize_t index, rows_count = len(rows), target, targets_count = PyList_GET_SIZE(targets)
    cdef list groups = [], bounds
    cdef bytes given, data, sizes, room
    cdef const Span* spans
    cdef uint32_t* size
    cdef Span** to
    cdef bytes places
    cdef int32_t* target_of
    if PyBytes_GET_SIZE(numbers) != rows_count * <Py_ssize_t>sizeof(uint32_t):
        raise ValueError("not as many numbers as rows")
    places = PyBytes_FromStringAndSize(NULL, targets_count * <Py_ssize_t>sizeof(int32_t))
    target_of = <int32_t*>PyBytes_AS_STRING(places)
    for index in range(targets_count):
        target = <object>PyList_GET_ITEM(targets, index)
        if not -1 <= target < count:
            raise ValueError("there is no such group")
        target_of[index] = <int32_t>target
    # How many rows each group gets.
    sizes = bytes(count * sizeof(uint32_t))
    size = <uint32_t*>PyBytes_AS_STRING(sizes)
    for index in range(rows_count):
        if number[index] >= <size_t>targets_count:
            raise ValueError("a number without a target")
        if target_of[number[index]] >= 0:
            size[target_of[number[index]]] += 1
    if type(rows) is not RowSpans:
        groups = [[] for _ in range(count)]
        for index in range(rows_count):
            if target_of[number[index]] >= 0:
                groups[target_of[number[index]]].append(rows[index])
        return groups
    given, data = rows.bounds, rows.data
    spans = <const Span*>PyBytes_AS_STRING(given)
    bounds = [PyBytes_FromStringAndSize(NULL, size[index] * <Py_ssize_t>sizeof(Span)) for index in range(count)]
    room = PyBytes_FromStringAndSize(NULL, count * <Py_ssize_t>sizeof(void*))
    to = <Span**>PyBytes_AS_STRING(room)
    for index in range(count):
        to[index] = <Span*>PyBytes_AS_STRING(<bytes>PyList_GET_ITEM(bounds, index))
    for index in range(rows_count):
        target = target_of[number[index]]
        if target >= 0:
            to[target][0] = spans[index]
            to[target] += 1
    for index in range(count):
        group = RowSpans(data, bounds[index])
        groups.append(group if size[index] >= FEW_ROWS else take_out(group))
    return groups


# JSON


cdef inline const uint8_t* digits_end(const uint8_t* at, const uint8_t* end) noexcept:
    while at < end and ZERO <= at[0] <= NINE:
        at += 1
    return at


cdef const uint8_t* number_end(const uint8_t* at, const uint8_t* end) noexcept:
    """Where the JSON number that begins here ends; NULL where none does."""
    cdef const uint8_t* stop
    if at < end and at[0] == MINUS:
        at += 1
    stop = digits_end(at, end)
    if stop == at or (at[0] == ZERO and stop - at > 1):
        return NULL
    at = stop
    if at < end and at[0] == POINT:
        stop = digits_end(at + 1, end)
        if stop == at + 1:
            return NULL
        at = stop
    if at < end and at[0] | SMALL == SMALL_E:
        at += 1
        if at < end and (at[0] == PLUS or at[0] == MINUS):
            at += 1
        stop = digits_end(at, end)
        if stop == at:
            return NULL
        at = stop
    return at


cdef const uint8_t* text_end(const uint8_t* at, const uint8_t* end, bint* ascii) noexcept:
    """Where the bytes end that a JSON string need not escape; `ascii` becomes false if some are not ASCII."""
    cdef uint8_t seen = 0
    while at < end and at[0] >= SPACE and at[0] != QUOTE_MARK and at[0] != BACKSLASH:
        seen |= at[0]
        at += 1
    if seen & ABOVE_ASCII:
        ascii[0] = False
    return at


cdef bint is_utf8(const uint8_t* data, Py_ssize_t size) except -1:
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
            to[0] = QUOTE_MARK
            memcpy(to + 1, at, size)
            to[size + 1] = QUOTE_MARK
            to += size + 2
        at = stop + 1
    to[0] = CLOSING_BRACE
    if not ascii and not is_utf8(begin, end - begin):
        return None
    return PyBytes_FromStringAndSize(<const char*>room, to + 1 - room)


def json_rows(list rows not None, list names not None, bytes delimiter not None, bytes quote not None):
    cdef uint8_t mark = <uint8_t>byte_of(delimiter)
    cdef int quote_mark = byte_if_any(quote)
    cdef Py_ssize_t index
    cdef uint8_t* room
    cdef list values = []
    # The names, a row, two quotes around each of its fields, and the brace behind it.
    room = <uint8_t*>PyMem_Malloc(total_size(names) + largest_size(rows) + 2 * PyList_GET_SIZE(names) + 1)
    if room == NULL:
        raise MemoryError
    try:
        for index in range(PyList_GET_SIZE(rows)):
            values.append(json_row(<bytes>PyList_GET_ITEM(rows, index), names, mark, quote_mark, room))
    finally:
        PyMem_Free(room)
    return values


cdef bint skip_name(const uint8_t** at, const uint8_t* end, bytes name) noexcept:
    """Move `at` behind this name if it is there; return whether it is."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(name)
    if end - at[0] < size or memcmp(at[0], PyBytes_AS_STRING(name), size):
        return False
    at[0] += size
    return True


cdef bint take_value(
    const uint8_t** at, const uint8_t* end, const uint8_t** begin, Py_ssize_t* size, bint* ascii
) noexcept:
    """Move `at` behind the text or number there; `begin` and `size` are its bytes. False where neither is there."""
    cdef const uint8_t* stop
    if at[0] < end and at[0][0] == QUOTE_MARK:
        begin[0] = at[0] + 1
        stop = text_end(begin[0], end, ascii)
        if stop == end or stop[0] != QUOTE_MARK:
            return False
        at[0] = stop + 1
    else:
        begin[0] = at[0]
        stop = number_end(at[0], end)
        if stop == NULL:
            return False
        at[0] = stop
    size[0] = stop - begin[0]
    return at[0] < end and (at[0][0] == COMMA or at[0][0] == CLOSING_BRACE)


cdef bytes csv_row(bytes value, list names, uint8_t mark, int quote, uint8_t* room):
    cdef const uint8_t* at = <const uint8_t*>PyBytes_AS_STRING(value)
    cdef const uint8_t* end = at + PyBytes_GET_SIZE(value)
    cdef const uint8_t* begin = NULL
    cdef uint8_t* to = room
    cdef Py_ssize_t index, size = 0
    cdef bint ascii = True
    for index in range(PyList_GET_SIZE(names)):
        if not skip_name(&at, end, <bytes>PyList_GET_ITEM(names, index)):
            return None
        if not take_value(&at, end, &begin, &size, &ascii) or memchr(begin, mark, size) != NULL:
            return None
        if index:
            to[0] = mark
            to += 1
        memcpy(to, begin, size)
        to += size
    if end - at != 1 or at[0] != CLOSING_BRACE:
        return None
    size = to - room
    if quote >= 0 and memchr(room, quote, size) != NULL:
        return None
    if not ascii and not is_utf8(room, size):
        return None
    return PyBytes_FromStringAndSize(<const char*>room, size)


def csv_rows(list values not None, list names not None, bytes delimiter not None, bytes quote not None):
    cdef uint8_t mark = <uint8_t>byte_of(delimiter)
    cdef int quote_mark = byte_if_any(quote)
    cdef Py_ssize_t index
    cdef uint8_t* room
    cdef list rows = []
    total_size(names)
    # A row is never longer than its object, which has a name before each field.
    room = <uint8_t*>PyMem_Malloc(largest_size(values) + 1)
    if room == NULL:
        raise MemoryError
    try:
        for index in range(PyList_GET_SIZE(values)):
            rows.append(csv_row(<bytes>PyList_GET_ITEM(values, index), names, mark, quote_mark, room))
    finally:
        PyMem_Free(room)
    return rows


cdef bytes json_field(bytes value, list names, Py_ssize_t column):
    cdef const uint8_t* at = <const uint8_t*>PyBytes_AS_STRING(value)
    cdef const uint8_t* end = at + PyBytes_GET_SIZE(value)
    cdef const uint8_t* begin = NULL
    cdef Py_ssize_t index, size = 0
    cdef bint ascii = True
    for index in range(column + 1):
        if not skip_name(&at, end, <bytes>PyList_GET_ITEM(names, index)):
            return None
        if not take_value(&at, end, &begin, &size, &ascii):
            return None
    return PyBytes_FromStringAndSize(<const char*>begin, size)


def take_json_fields(list values not None, list names not None, Py_ssize_t column):
    cdef Py_ssize_t index
    cdef list fields = []
    total_size(names)
    if column < 0 or column >= PyList_GET_SIZE(names):
        raise IndexError("there is no such column")
    for index in range(PyList_GET_SIZE(values)):
        fields.append(json_field(<bytes?><object>PyList_GET_ITEM(values, index), names, column))
    return fields
