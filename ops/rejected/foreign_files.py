"""Files that another program saved in a format of its own, recognized by their first line. Pure."""

import csv
from collections.abc import Collection

_UTF_16 = ("\xff\xfe", "\xfe\xff")
_ARCHIVE, _OLD_EXCEL = "PK\x03\x04", "\xd0\xcf\x11\xe0"
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "pipes"}
_AS_CSV = 'save it as "CSV UTF-8"'


def explain_foreign(line: str, columns: Collection[str]) -> str:
    """What a file is, in words, if it is not CSV with these columns, else "". `line` is its first line, as latin-1."""
    if line.startswith((_ARCHIVE, _OLD_EXCEL)):
        return f"it is a spreadsheet's own format, not CSV: {_AS_CSV}"
    if line.startswith(_UTF_16) or "\x00" in line:
        return f"it is UTF-16: {_AS_CSV}, or convert it: iconv -f UTF-16 -t UTF-8 FILE > MENDED"
    text = line.removeprefix("\xef\xbb\xbf").strip()
    if text.lower().startswith("sep="):
        return f"its first line is {text[:8]}, which only Excel reads: remove that line, and save it with commas"
    for separator, name in _SEPARATORS.items():
        if separator in text and set(columns) <= set(next(csv.reader([text], delimiter=separator), [])):
            return (
                f"its fields are separated by {name}, as spreadsheets do in some languages: save it with commas (in "
                "LibreOffice: edit filter settings, field delimiter), or mend it in a text editor"
            )
    return ""
