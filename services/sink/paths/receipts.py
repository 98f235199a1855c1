"""A source's name → the path of its receipt below the output folder. Pure.

`/data/m.csv` has `_receipts/data/m.csv.json`. Names are encoded as those of categories. A folder that would end with
`.json` has that dot escaped: no folder has a file's name. Standard input, which no path names, is below `~`.
"""

from common.protocol.output_folder import RECEIPTS
from services.sink.paths.names import encoded

_SUFFIX = ".json"
_NO_PATH = "~"


def receipt_path(source: str) -> str:
    """The relative path, with `/`, of a source's receipt."""
    *folders, name = source.split("/")
    if folders and not folders[0]:
        folders.pop(0)
    else:
        folders.insert(0, _NO_PATH)
    file = encoded(name + _SUFFIX)
    return "/".join((RECEIPTS, *map(_folder, folders), file if file.endswith(_SUFFIX) else file + _SUFFIX))


def _folder(name: str) -> str:
    if name == _NO_PATH:
        return name
    path = encoded(name)
    return path if not path.lower().endswith(_SUFFIX) else f"{path[: -len(_SUFFIX)]}%2E{path[1 - len(_SUFFIX) :]}"
