"""The published schema of a study: one table of trials, one of curves, as data.

Whoever writes a study (`search.export`) and whoever reads one (`analysis.loading`) use the same
columns from here. May import `errors` and `analysis.checks`; needs neither torch nor a data set.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from odyssey_kit.analysis.checks import repeated_column
from odyssey_kit.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "PARAMETER_PREFIX",
    "SCHEMA",
    "STATES",
    "Column",
    "arrow_schema",
    "check_trials",
    "describe_columns",
    "missing_columns",
    "parameter_column",
    "parameter_columns",
    "typed",
    "write_table",
]

Kind = Literal["trials", "curves"]
Dtype = Literal["string", "int", "nullable int", "float", "bool"]
STATES = ("COMPLETE", "DIVERGED", "FAILED")
PARAMETER_PREFIX = "params_"


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: its name, type, unit and meaning.

    Parameters
    ----------
    name : str
        Name in the file.
    dtype : {"string", "int", "nullable int", "float", "bool"}
        Only ``"nullable int"`` and ``"float"`` may have missing values.
    unit, meaning : str
        In words; both go into the metadata of the Parquet file.
    needed : bool
        Whether a table without it cannot be analysed at all.
    """

    name: str
    dtype: Dtype
    meaning: str
    unit: str = ""
    needed: bool = False


def _column(name: str, dtype: Dtype, meaning: str, unit: str = "", *, needed: bool = False) -> Column:
    return Column(name=name, dtype=dtype, meaning=meaning, unit=unit, needed=needed)


_NATS = "nats per frame"

SCHEMA: Mapping[str, tuple[Column, ...]] = MappingProxyType(
    {
        "trials": (
            _column("key", "string", "hash of the trial's specification; the same in curves", needed=True),
            _column("study", "string", "name of the study", needed=True),
            _column("task", "string", "data set the trial was trained on", needed=True),
            _column("variant", "string", "name of the LSTM variant", needed=True),
            _column("index", "int", "number of the draw within (task, variant), from 0", needed=True),
            _column("in_prefix", "bool", "whether all cells have all draws up to this index, in whole blocks"),
            _column("state", "string", "COMPLETE, DIVERGED (a result) or FAILED (an accident)", needed=True),
            _column("params_hidden_size", "int", "LSTM blocks in the hidden layer", "blocks"),
            _column("params_learning_rate", "float", "learning rate as drawn, before any rescaling", "per update"),
            _column("params_momentum", "float", "momentum"),
            _column("params_input_noise_std", "float", "standard deviation of noise added to inputs", "input units"),
            _column("n_parameters", "int", "trained parameters of the whole network", "parameters"),
            _column("metric", "string", "what valid_metric and test_metric measure; lower is better", needed=True),
            _column("best_epoch", "nullable int", "epoch of the lowest valid_metric, from 1", "epochs"),
            _column("epochs", "int", "epochs that were trained", "epochs"),
            _column("updates", "int", "weight updates that were made", "updates"),
            _column("seconds", "float", "processor time of the trial; on a GPU wall time", "s"),
            _column("train_loss", "float", "training loss at best_epoch", "see spec"),
            _column("valid_metric", "float", "metric on the validation split at best_epoch", "see metric", needed=True),
            _column("test_metric", "float", "metric on the test split at best_epoch", "see metric", needed=True),
            _column("valid_nll_sequence_mean", "float", "validation likelihood, mean of the sequences' means", _NATS),
            _column("test_nll_sequence_mean", "float", "test likelihood, mean of the sequences' means", _NATS),
            _column("valid_nll_from_silence", "float", "validation likelihood, first frame predicted too", _NATS),
            _column("test_nll_from_silence", "float", "test likelihood, first frame predicted too", _NATS),
            _column("max_abs_cell", "float", "largest |c| seen"),
            _column("max_abs_output", "float", "largest |y| of the hidden layer seen"),
            _column("gradient_norm_max", "float", "largest Euclidean norm of a gradient"),
            _column("engine", "string", "which implementation trained it"),
            _column("numerics", "int", "raised by hand whenever a change alters a trial's numbers"),
            _column("commit", "string", "source revision that ran"),
            _column("versions", "string", "versions of Python and of the libraries", "JSON"),
            _column("machine", "string", "processor and operating system"),
            _column("finished_at", "string", "when the trial ended, UTC", "ISO 8601"),
            _column("data_sha256", "string", "checksum of the verified source of the data", "hex"),
            _column("spec", "string", "the whole specification, every setting resolved", "JSON"),
            _column("error", "string", "traceback of a FAILED trial, else empty"),
        ),
        "curves": (
            _column("key", "string", "hash of the trial's specification; the same in trials", needed=True),
            _column("epoch", "int", "epoch, from 1", "epochs", needed=True),
            _column("updates", "int", "weight updates so far", "updates"),
            _column("seconds", "float", "time so far, as in trials", "s"),
            _column("train_loss", "float", "mean training loss of the epoch", "see spec"),
            _column("valid_metric", "float", "metric on the validation split", "see metric", needed=True),
            _column("test_metric", "float", "metric on the test split", "see metric"),
            _column("max_abs_cell", "float", "largest |c| in the epoch"),
            _column("max_abs_output", "float", "largest |y| of the hidden layer in the epoch"),
            _column("gradient_norm_mean", "float", "mean norm of the gradients"),
            _column("gradient_norm_max", "float", "largest norm of a gradient"),
            _column("saturated_gates", "float", "share of the gates' values within 0.01 of 0 or 1 in training"),
            _column("is_best", "bool", "whether this is the trial's best_epoch"),
        ),
    }
)
_ORDER = MappingProxyType({"trials": ["task", "variant", "index"], "curves": ["key", "epoch"]})
_PANDAS_TYPES: Mapping[str, Any] = MappingProxyType(
    {"int": "int64", "nullable int": "Int64", "float": "float64", "bool": "bool"}
)


def _columns(kind: str) -> tuple[Column, ...]:
    if kind not in SCHEMA:
        raise UsageError(f"no table of kind {kind!r}; expected one of {', '.join(map(repr, SCHEMA))}")
    return SCHEMA[kind]


def describe_columns(kind: Kind = "trials") -> pd.DataFrame:
    """Return the schema for reading: indexed by name; columns dtype, meaning, unit, needed.

    Examples
    --------
    >>> from odyssey_kit.analysis import describe_columns
    >>> describe_columns("curves").loc["epoch", "meaning"]
    'epoch, from 1'
    """
    return pd.DataFrame([asdict(column) for column in _columns(kind)]).set_index("name")


def missing_columns(frame: pd.DataFrame) -> tuple[str, ...]:
    """Return the needed columns that a table of trials does not have."""
    return tuple(column.name for column in SCHEMA["trials"] if column.needed and column.name not in frame)


def parameter_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns of a table that hold hyperparameters.

    Examples
    --------
    >>> parameter_columns(pd.DataFrame(columns=["key", "params_momentum"]))
    ['params_momentum']
    """
    return [str(name) for name in frame.columns if str(name).startswith(PARAMETER_PREFIX)]


def parameter_column(frame: pd.DataFrame, name: str) -> str | None:
    """Return the column of a hyperparameter, with ``params_`` before its name or without, or None."""
    name = name.removeprefix(PARAMETER_PREFIX)
    return next((column for column in (PARAMETER_PREFIX + name, name) if column in frame), None)


# ---- checking -------------------------------------------------------------------------------


def _wrong_type(values: pd.Series, dtype: str) -> str | None:
    """Say what is wrong with the values of a column, or None."""
    kinds = pd.api.types
    missing = int(values.isna().sum())
    if dtype in ("string", "int", "bool") and missing:
        return f"{missing} of {len(values)} values are missing"
    if dtype == "string":
        fits = kinds.is_string_dtype(values) or bool(values.map(lambda value: isinstance(value, str)).all())
    elif dtype == "bool":
        fits = kinds.is_bool_dtype(values)
    elif not kinds.is_numeric_dtype(values) or kinds.is_bool_dtype(values):
        # An object column that holds only None is a nullable number that nobody has set.
        fits = dtype in ("nullable int", "float") and missing == len(values)
    elif dtype in ("int", "nullable int"):
        present = values.dropna()
        fits = kinds.is_integer_dtype(values) or bool((present == present.round()).all())
    else:
        fits = True
    return None if fits else f"holds {values.dtype}, expected {dtype}"


def _problems(frame: pd.DataFrame, kind: str, *, complete: bool) -> list[str]:
    if repeated := repeated_column(frame):
        return [repeated]
    found = []
    for column in _columns(kind):
        parameter = column.name.startswith(PARAMETER_PREFIX)
        if column.name not in frame:
            if column.needed or (complete and not parameter):
                found.append(f"column {column.name!r} ({column.meaning}) is missing")
        elif wrong := _wrong_type(frame[column.name], column.dtype):
            found.append(f"column {column.name!r}: {wrong}")
    if found or kind != "trials":
        return found
    if unknown := sorted(set(frame["state"]) - set(STATES)):
        found.append(f"column 'state' holds {', '.join(map(repr, unknown))}, expected {', '.join(STATES)}")
    if repeated := sorted(frame.loc[frame["key"].duplicated(), "key"].unique()):
        found.append(f"column 'key': {len(repeated)} keys occur more than once, the first is {repeated[0]!r}")
    if complete and not any(str(name).startswith(PARAMETER_PREFIX) for name in frame):
        found.append(f"no column begins with {PARAMETER_PREFIX!r}: at least one searched hyperparameter is expected")
    return found


def check_trials(frame: pd.DataFrame, *, kind: Kind = "trials", complete: bool = False) -> None:
    """Check a table against the schema and say everything that is wrong with it at once.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table. Columns that the schema does not know are welcome.
    kind : {"trials", "curves"}
        Which table it is.
    complete : bool
        Ask for every column, as a published table must have; otherwise only for the needed ones.

    Raises
    ------
    UsageError
        Naming every column that is missing or of another type.

    Examples
    --------
    >>> import pandas as pd
    >>> from odyssey_kit.analysis import check_trials
    >>> check_trials(pd.DataFrame({"key": ["a"], "epoch": [0.5], "valid_metric": [9.1]}), kind="curves")
    Traceback (most recent call last):
    odyssey_kit.errors.UsageError: table of curves: column 'epoch': holds float64, expected int
    """
    if found := _problems(frame, kind, complete=complete):
        raise UsageError(f"table of {kind}: {'; '.join(found)}")


def typed(frame: pd.DataFrame, kind: Kind) -> pd.DataFrame:
    """Return a checked table with the schema's types and the order of its columns; others keep theirs, at the end.

    Hyperparameters that the schema does not list stand together with those that it does.
    """
    columns = _columns(kind)
    known = [column.name for column in columns]
    extra = [str(name) for name in frame if name not in known]
    # Hyperparameters go behind the last one that is listed, or behind `state`; a curve has none.
    last = max((i for i, name in enumerate(known) if name.startswith(PARAMETER_PREFIX)), default=len(known) - 1)
    searched = [name for name in extra if name.startswith(PARAMETER_PREFIX)]
    order = [*known[: last + 1], *searched, *known[last + 1 :], *(name for name in extra if name not in searched)]
    frame = frame[[name for name in order if name in frame]].copy()
    for column in columns:
        if column.name not in frame or column.dtype == "string":
            continue
        # An object column of None becomes missing numbers by way of float.
        values = frame[column.name].astype("float64") if column.dtype == "nullable int" else frame[column.name]
        frame[column.name] = values.astype(_PANDAS_TYPES[column.dtype])
    return frame


# ---- Parquet --------------------------------------------------------------------------------


def arrow_schema(kind: Kind = "trials", frame: pd.DataFrame | None = None) -> pa.Schema:
    """Return the schema for pyarrow; every field carries its unit and meaning as metadata.

    Parameters
    ----------
    kind : {"trials", "curves"}
        Which table.
    frame : pandas.DataFrame, optional
        Restrict the schema to the columns of this table, in their order; columns that the published
        schema does not know get the type that pyarrow finds in them.

    Examples
    --------
    >>> from odyssey_kit.analysis import arrow_schema
    >>> field = arrow_schema("curves").field("seconds")
    >>> field.type, field.metadata[b"unit"]
    (DataType(double), b's')
    """
    import pyarrow as pa

    types = {
        "string": pa.string(),
        "int": pa.int64(),
        "nullable int": pa.int64(),
        "float": pa.float64(),
        "bool": pa.bool_(),
    }
    known = {}
    for column in _columns(kind):
        metadata = {"description": column.meaning, "unit": column.unit}
        nullable = column.dtype in ("nullable int", "float")
        known[column.name] = pa.field(column.name, types[column.dtype], nullable=nullable, metadata=metadata)
    if frame is None:
        return pa.schema(list(known.values()))
    return pa.schema(
        [known.get(str(name)) or pa.field(str(name), pa.array(frame[name], from_pandas=True).type) for name in frame]
    )


def write_table(frame: pd.DataFrame, path: str | os.PathLike[str], kind: Kind = "trials") -> str:
    """Write a complete table as typed, sorted Parquet; the same table gives the same bytes.

    The file appears under its name only when it is whole: it is written beside it and then moved.

    Parameters
    ----------
    frame : pandas.DataFrame
        A table with every column of the schema; rows and columns in any order.
    path : str or path
        Where to; missing folders are made, an older file is replaced.
    kind : {"trials", "curves"}
        Which table it is.

    Returns
    -------
    str
        The sha256 of the file, for study.json.

    Raises
    ------
    UsageError
        If the table does not fit the schema. Nothing is written then.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_trials(frame, kind=kind, complete=True)
    frame = typed(frame.sort_values(_ORDER[kind], kind="stable", ignore_index=True), kind)
    # Without pandas' own metadata, which would put library versions into the bytes.
    table = pa.Table.from_pandas(frame, schema=arrow_schema(kind, frame), preserve_index=False).replace_schema_metadata(
        {"odyssey_kit": f"table of {kind}, schema 1"}
    )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        pq.write_table(table, partial, compression="zstd", write_page_checksum=True)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)  # noqa: PTH105
    finally:
        partial.unlink(missing_ok=True)
    return hashlib.sha256(path.read_bytes()).hexdigest()
