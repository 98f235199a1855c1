"""Where a category's files go: PATH_TEMPLATE filled in, for a file that is open and for one that is finished.

Names are encoded as `names` says. If files are rolled, each has a number, `{part}`, counted per category from 1, and is
called `….csv.open` until it is finished, then `….csv`, or with compression `….csv.gz` or `….csv.zst`.
"""

import re

from msgspec import Struct

from common.protocol.category_keys import Category
from common.protocol.output_folder import REJECTED_PATH, is_reserved_folder
from services.sink.paths.names import NAME_LIMIT_BYTES, components, encoded, encoded_part, escaped_first

DEFAULT_TEMPLATE = "{split}/{category}.csv"
_OPEN = ".open"
_SUFFIX = ".csv"
# The category of a split without columns, unless the split's name alone is the path. No text encodes to it.
_WHOLE = "~all"
_NESTED = "{split}/{category}"

_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")
_ALWAYS = frozenset({"split", "category"})
_PLACEHOLDERS = _ALWAYS | {"part", "date"}
_LITERAL = re.compile(r"[A-Za-z0-9 +\-_.,=@()\[\]#&'!/]*")
# What the 255 bytes of a file system leave beside a name of 200, the numbers of schema and part, and the suffixes.
_LITERAL_LIMIT_BYTES = 20


class FilePlace(Struct, frozen=True):
    """The path of a file while rows are appended, and its `final` path once it is finished, "" if it never is."""

    path: str
    final: str = ""


class PathRule(Struct, frozen=True):
    """A template that `path_rule` has checked."""

    template: str = DEFAULT_TEMPLATE
    rolls: bool = False
    packed_suffix: str = ""

    @property
    def name(self) -> str:
        """What an output folder is bound to: another rule would put other files beside those that are there."""
        return f"{self.template}{' (rolled)' if self.rolls else ''}"

    def place(self, split: str, category: Category, schema_number: int, part: int = 0, date: str = "") -> FilePlace:
        """The place of a category's file. Schemas and parts count from 1; `date` is the day on which it was begun."""
        path = _filled(self.template, split, category, schema_number, part, date)
        first, is_folder, _ = path.partition("/")
        if is_reserved_folder(first) if is_folder else path.lower() == REJECTED_PATH:
            path = escaped_first(path)
        return FilePlace(path + _OPEN, path + self.packed_suffix) if self.rolls else FilePlace(path)


DEFAULT_RULE = PathRule()


def path_rule(template: str, *, rolls: bool, packed_suffix: str = "") -> PathRule:
    """Check a template. ValueError if two files could get one path, or a file an impossible one.

    If files are rolled and the template has no `{part}`, `-{part}` is inserted before `.csv`.
    """
    if rolls and "{part}" not in template:
        template = f"{template.removesuffix(_SUFFIX)}-{{part}}{_SUFFIX}"
    problem = _problem(template, rolls=rolls)
    if problem:
        raise ValueError(f"{problem}; the default is {DEFAULT_TEMPLATE}")
    return PathRule(template, rolls, packed_suffix)


def _problem(template: str, *, rolls: bool) -> str:
    names = _PLACEHOLDER.findall(template)
    checks = (
        (not _PLACEHOLDERS.issuperset(names), "there are {split}, {category}, {part} and {date}, and no others"),
        (names.count("split") != 1 or names.count("category") != 1, "it needs {split} and {category}, each once"),
        (
            not rolls and len(names) > len(_ALWAYS),
            "{part} and {date} are for files that are finished: set one of ROLL_*",
        ),
        (len(set(names)) < len(names), "no placeholder may come twice"),
        ("}{" in template, "there must be something between two placeholders"),
        (re.search(r"[0-9]\{part\}|\{part\}[0-9]", template) is not None, "there must be no digit beside {part}"),
        (
            not _LITERAL.fullmatch(_PLACEHOLDER.sub("", template)),
            "it may hold letters, digits, spaces and +-_.,=@()[]#&'!/ beside its placeholders",
        ),
    )
    return next((problem for is_so, problem in checks if is_so), "") or _problem_of_names(template.split("/"))


def _problem_of_names(names: list[str]) -> str:
    *folders, file = names
    if not file.endswith(_SUFFIX):
        return "it must end with .csv"
    for name in names:
        # {date} takes ten bytes.
        if len(re.sub(r"\{(split|category|part)\}", "", name).removesuffix(_SUFFIX)) > _LITERAL_LIMIT_BYTES:
            return f"{name!r} is longer than {_LITERAL_LIMIT_BYTES} bytes beside its placeholders"
        if not name or name[0] in ".- ":
            return "it names files below OUTPUT_DIR: no name in it may be empty or begin with a dot, dash or space"
    if any(name[-1] in ". " or name.lower().endswith(_SUFFIX) for name in folders):
        return "no folder in it may end with a dot, a space or .csv"
    if folders and is_reserved_folder(folders[0]):
        return f"{folders[0]} is where sink keeps what it writes of its own: call the first folder something else"
    return ""


def _filled(template: str, split: str, category: Category, schema_number: int, part: int, date: str) -> str:
    number = f"~{schema_number}" if schema_number > 1 else ""
    shares = any("{split}" in name and "{category}" in name for name in template.split("/"))
    limit = NAME_LIMIT_BYTES // 2 if shares else NAME_LIMIT_BYTES
    if category:
        whole = "/".join(encoded_part(each, limit) for each in category)
    elif _NESTED in template:
        template, whole = template.replace(_NESTED, "{category}"), components(split, ())[0]
    else:
        whole = _WHOLE
    values = {"split": encoded(split, limit), "category": whole + number, "part": f"{part:06}", "date": date}
    return _PLACEHOLDER.sub(lambda found: values[found[1]], template)
