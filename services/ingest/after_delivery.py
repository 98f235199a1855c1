"""Whether AFTER_DELIVERY can be done: asked at the start and by `nacre validate`, without changing anything."""

import os
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from glob import has_magic
from pathlib import Path

from common.errors import ConfigurationError
from services.ingest.files.finding import find_files, is_stream, source_name
from services.ingest.files.leaving import device_of
from services.ingest.files.listing import is_output
from services.ingest.settings import IngestSettings

_KEEP = "or set AFTER_DELIVERY=keep"


def input_root(given: str) -> Path:
    """The folder that holds everything INPUT names: INPUT, its parent, or what precedes a glob's wildcards."""
    path = Path(given).absolute()
    if path.is_dir():
        return path
    if path.exists() or not has_magic(given):
        return path.parent
    while has_magic(os.fspath(path)):
        path = path.parent
    return path


def excluded_name(settings: IngestSettings) -> str:
    """The folder below INPUT that holds no input, written as the names of sources are; "" if there is none."""
    folder, root = settings.delivered_folder, input_root(settings.input)
    if folder is not None:
        # As INPUT's own path leads there.
        with suppress(ValueError):
            return source_name(root / folder.resolve().relative_to(root.resolve()))
    return ""


def find_hindrances(settings: IngestSettings, files: Iterable[Path]) -> list[str]:
    """One line for each reason why these files of INPUT cannot leave it as AFTER_DELIVERY says."""
    if settings.action.keeps:
        return []
    folder = settings.delivered_folder
    what = f"AFTER_DELIVERY={settings.after_delivery}"
    if folder is not None and (misplaced := _find_misplaced(folder, input_root(settings.input))):
        return [f"{what}: {folder} {misplaced}"]
    folders = sorted({path.parent for path in files}) or _folders_to_come(settings.input)
    hindrances = []
    if fixed := list(_fixed(folders)):
        others = f" (and {len(fixed) - 1} more folders)" if len(fixed) > 1 else ""
        hindrances = [f"{fixed[0]}{others} may not be written to, so no file can leave it: permit that, {_KEEP}"]
    if folder is not None:
        hindrances += _find_unreachable(folder, folders)
    return [f"{what}: {hindrance}" for hindrance in hindrances]


def check_input(settings: IngestSettings) -> None:
    """ConfigurationError if INPUT is not there, or if its files cannot leave it as AFTER_DELIVERY says."""
    what = f"AFTER_DELIVERY={settings.after_delivery}"
    if is_stream(settings.input):
        if not settings.action.keeps:
            raise ConfigurationError(f"{what}: INPUT {settings.input} is no file that could leave: {_KEEP}")
        return
    # A single file that is gone may have left, which only the topic `sources` says.
    found = find_files(settings.input, without=settings.delivered_folder, may_be_gone=not settings.action.keeps)
    if hindrances := find_hindrances(settings, found.files.values()):
        raise ConfigurationError("\n".join(hindrances))


def check_gone(settings: IngestSettings, sources: Container[str]) -> None:
    """ConfigurationError if INPUT is a file that is not there, and that no source is named after: it never was."""
    path = Path(settings.input).absolute()
    if not path.exists() and not has_magic(settings.input) and source_name(path) not in sources:
        raise ConfigurationError(f"INPUT {settings.input}: there is no such file or folder")


def check_format(settings: IngestSettings, version: int) -> None:
    """ConfigurationError if a pipeline in this format has no receipts, and AFTER_DELIVERY needs them."""
    if hindrance := find_format_misfit(settings, version):
        raise ConfigurationError(hindrance)


def find_format_misfit(settings: IngestSettings, version: int) -> str:
    """Say in one line that a pipeline in this format has no receipts, if AFTER_DELIVERY needs them; else empty."""
    if version > 1 or settings.action.keeps:
        return ""
    return (
        f"AFTER_DELIVERY={settings.after_delivery}: this pipeline was begun in format {version}, which has no "
        f"receipts: begin again with another TOPIC_PREFIX and another OUTPUT_DIR, {_KEEP}"
    )


def _folders_to_come(given: str) -> list[Path]:
    """The folder in which files of INPUT will be, if that is known before there are any."""
    root = input_root(given)
    return [root] if root in {Path(given).absolute(), Path(given).absolute().parent} else []


def _find_misplaced(folder: Path, root: Path) -> str:
    """Why files cannot be moved to this folder, from this root of INPUT; empty if they can."""
    there, here = folder.resolve(), root.resolve()
    if there == here or here.is_relative_to(there):
        return "holds INPUT itself: name a folder below or beside INPUT"
    if not there.is_relative_to(here.parent):
        return f"is neither below nor beside INPUT ({here}): name a folder that is"
    if folder.exists() and not folder.is_dir():
        return "is no folder: name another"
    if any(is_output(each) for each in (there, *there.parents)):
        return "is in an output folder of sink: name another"
    return ""


def _fixed(folders: Iterable[Path]) -> Iterator[Path]:
    return (folder for folder in folders if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK))


def _find_unreachable(folder: Path, folders: Iterable[Path]) -> Iterator[str]:
    nearest = next(each for each in (folder, *folder.parents) if each.is_dir())
    if next(_fixed([nearest]), None) is not None:
        yield f"{nearest} may not be written to, so no file can be moved to {folder}: permit that, {_KEEP}"
    device = device_of(nearest)
    if elsewhere := [each for each in folders if each.is_dir() and device_of(each) != device]:
        yield f"{folder} is on another file system than {elsewhere[0]}, and files are renamed, not copied: name another"
