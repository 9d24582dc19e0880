"""The `odyssey` command: what the package does, from a terminal.

Results go to standard output, progress to standard error. Exit codes: 0 done, 1 a check failed,
2 usage, 3 data missing or damaged, 130 interrupted. May import public names, `search` and `data`.
"""

from __future__ import annotations

import signal
import sys
import warnings
from typing import Any

import typer

from odyssey_kit.cli import analysis, claims, data, study, upkeep
from odyssey_kit.errors import OdysseyError

__all__ = ["app", "main"]

_TRAINING = ("numba", "llvmlite", "torch")

# Commands in the order in which --help lists them.
_COMMANDS = {
    "variants": study.list_variants,
    "studies": study.list_studies,
    "plan": study.plan,
    "run": study.run,
    "status": study.status,
    "export": study.export,
    "analyze": analysis.analyze,
    "claims": claims.check,
    "import": upkeep.import_,
    "doctor": upkeep.doctor,
    "audit": upkeep.audit,
}
_DATA_COMMANDS = {
    "list": data.list_,
    "fetch": data.fetch,
    "verify": data.verify,
    "describe": data.describe,
    "example": data.example,
}

app = typer.Typer(
    name="odyssey",
    help="Which parts of an LSTM matter, which hyperparameters matter, and how sure that is.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text, which reads the same in a log
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
data_app = typer.Typer(help="List, get and check data sets.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data_app, name="data")
for _name, _function in _COMMANDS.items():
    app.command(_name)(_function)
for _name, _function in _DATA_COMMANDS.items():
    data_app.command(_name)(_function)


def _usage(error: Any) -> str:
    """Return one line for what the command line does not take, and the help where nothing was asked for."""
    context, text = getattr(error, "ctx", None), error.format_message().rstrip()
    if type(error).__name__ == "NoArgsIsHelpError":
        return text
    command = context.command_path if context else "odyssey"
    return f"{command}: {' '.join(text.split()).rstrip('.')}. See `{command} --help`."


def _interrupt_once() -> None:
    """Let Ctrl-C interrupt once: a second one finds a command that is ending already, in good order."""

    def once(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, once)


def _interrupt_no_more() -> None:
    """Ignore Ctrl-C from here on: at its very end the interpreter would let it kill the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _told(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any) -> None:
    """Tell a warning of ours in one line, as errors are; a library's says where it comes from."""
    ours = category is UserWarning
    words = f"odyssey: {message}\n" if ours else warnings.formatwarning(message, category, filename, lineno)
    sys.stderr.write(words)


def main() -> None:
    """Run the command line; an error of ours is one line on standard error and an exit code."""
    _interrupt_once()
    message = ""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _told
            code = app(prog_name="odyssey", standalone_mode=False) or 0
    except OdysseyError as error:
        code, message = error.exit_code, f"odyssey: {error}"
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] not in _TRAINING:
            raise
        remedy = "run `make test`, or pip install -c constraints.txt -e '.[train]'"
        code, message = 2, f"odyssey: {error.name}, which training needs, is not here: {remedy}"
    except Exception as error:
        if not hasattr(error, "format_message"):  # typer's own have it, whose class moved between its versions
            raise
        code, message = getattr(error, "exit_code", 2), _usage(error)
    if code == 130:
        _interrupt_no_more()
        message = "odyssey: interrupted; everything that was finished is kept"
    if message:
        sys.stderr.write(f"{message}\n")
    sys.exit(code)
