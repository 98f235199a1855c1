"""Pieces of CSV, well-formed and not, for tests that join them at random."""

PIECES = [
    b'"',
    b'"',
    b'""',
    b",",
    b",",
    b"\n",
    b"\n",
    b"\r",
    b"\r\n",
    b"a",
    b"b\xff",
    b"\0",
    b'"a"',
    b"a,b\n",
    b'"\n",',
]
