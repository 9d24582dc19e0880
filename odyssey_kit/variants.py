r"""LSTM variants as data: what each cell has, what it lacks, and what follows from that.

One frozen dataclass describes a cell; tables name those of the two studies. Equations, kernels,
parameter counts and the book's formulas all read the same fields. May import `errors` only.

The cell, after Greff et al. (2017), section II-A, for N blocks, M inputs::

    z[t] = g(W_z x[t] + R_z y[t-1] + b_z)                      block input
    i[t] = s(W_i x[t] + R_i y[t-1] + p_i * c[t-1] + b_i)       input gate
    f[t] = s(W_f x[t] + R_f y[t-1] + p_f * c[t-1] + b_f)       forget gate
    c[t] = z[t] * i[t] + c[t-1] * f[t]                         cell
    o[t] = s(W_o x[t] + R_o y[t-1] + p_o * c[t]   + b_o)       output gate
    y[t] = h(c[t]) * o[t]                                      block output
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from odyssey_kit.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ACTIVATIONS",
    "BREUEL_VARIANTS",
    "ODYSSEY_VARIANTS",
    "UNPUBLISHED_VARIANTS",
    "VARIANTS",
    "LSTMVariant",
    "list_variants",
    "variant",
]

Activation = Literal["sigmoid", "tanh", "relu", "linear"]
ACTIVATIONS: tuple[str, ...] = ("sigmoid", "tanh", "relu", "linear")

_CHOICES: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "input_gate": (True, False),
        "forget_gate": ("own", "coupled", "none"),
        "output_gate": (True, False),
        "peepholes": (True, False),
        "gate_recurrence": (True, False),
        "gate_activation": ACTIVATIONS,
        "input_activation": ACTIVATIONS,
        "output_activation": ACTIVATIONS,
        "fgr_output_peephole": ("current", "previous"),
    }
)


@dataclass(frozen=True, kw_only=True, repr=False)
class LSTMVariant:
    r"""One LSTM cell, described by what it has.

    Parameters
    ----------
    name : str
        Short name, as the papers print it.
    title : str
        What differs from vanilla, in words.
    input_gate, output_gate : bool
        Without the gate its value is the constant 1.
    forget_gate : {"own", "coupled", "none"}
        ``"coupled"`` sets :math:`f^t = 1 - i^t`; ``"none"`` sets :math:`f^t = 1`.
    peepholes : bool
        Diagonal weights from the cell to every gate that is computed.
    gate_recurrence : bool
        Full gate recurrence: nine matrices from the gates at t-1 to the gates at t.
    gate_activation, input_activation, output_activation : {"sigmoid", "tanh", "relu", "linear"}
        The functions of gates, block input (g) and block output (h).
    fgr_output_peephole : {"current", "previous"}
        Which cell the output peephole sees under full gate recurrence. The paper prints
        :math:`c^{t-1}`; the authors' engine used :math:`c^t`, which is the default here.

    Raises
    ------
    UsageError
        For a value outside the choices, or a combination that has no meaning.

    References
    ----------
    Greff et al. (2017), "LSTM: A Search Space Odyssey", sections II-A and IV-C.
    Breuel (2015), "Benchmarking of LSTM networks", section 5.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> ok.variant("CIFG")
    LSTMVariant(name='CIFG', forget_gate='coupled')
    >>> mine = ok.variant("CIFG").replace(name="CIFG-NP", peepholes=False)
    >>> mine.parameter_count(input_size=88, hidden_size=100)
    56700
    """

    name: str
    title: str = dataclasses.field(default="", compare=False)
    input_gate: bool = True
    forget_gate: Literal["own", "coupled", "none"] = "own"
    output_gate: bool = True
    peepholes: bool = True
    gate_recurrence: bool = False
    gate_activation: Activation = "sigmoid"
    input_activation: Activation = "tanh"
    output_activation: Activation = "tanh"
    fgr_output_peephole: Literal["current", "previous"] = "current"

    def __post_init__(self) -> None:
        for field, choices in _CHOICES.items():
            value = getattr(self, field)
            if not any(value is choice or (isinstance(choice, str) and value == choice) for choice in choices):
                raise UsageError(
                    f"variant {self.name!r}: {field} is {value!r}, expected one of {', '.join(map(repr, choices))}"
                )
        for impossible, reason in (
            (
                self.forget_gate == "coupled" and not self.input_gate,
                'forget_gate="coupled" needs an input gate to be coupled to; set input_gate=True or forget_gate="none"',
            ),
            (
                self.gate_recurrence and not (self.input_gate and self.output_gate and self.forget_gate == "own"),
                "gate_recurrence=True connects all three gates, so each must have weights of its own; "
                'set input_gate=True, forget_gate="own", output_gate=True',
            ),
            (
                self.peepholes and not self.gates,
                "peepholes=True but no gate is left to look at the cell; set peepholes=False",
            ),
            (
                self.fgr_output_peephole == "previous" and not (self.gate_recurrence and self.peepholes),
                'fgr_output_peephole="previous" mirrors a misprint in the equations of full gate recurrence; '
                "it needs gate_recurrence=True and peepholes=True",
            ),
        ):
            if impossible:
                raise UsageError(f"variant {self.name!r}: {reason}")

    # ---- what follows from the fields -------------------------------------------------------

    @property
    def gates(self) -> tuple[str, ...]:
        """Gates with weights of their own, in the order i, f, o."""
        present = {"i": self.input_gate, "f": self.forget_gate == "own", "o": self.output_gate}
        return tuple(letter for letter, there in present.items() if there)

    @property
    def blocks(self) -> tuple[str, ...]:
        """Pre-activations that are computed: the block input z, then the gates."""
        return ("z", *self.gates)

    @property
    def peephole_gates(self) -> tuple[str, ...]:
        """Gates that see the cell."""
        return self.gates if self.peepholes else ()

    def weight_shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Return every weight's name and shape, one direction, without an output layer.

        Parameters
        ----------
        input_size : int
            M, the number of input features.
        hidden_size : int
            N, the number of LSTM blocks.

        Returns
        -------
        dict
            ``W_z`` … of shape (hidden, input), ``R_z`` … (hidden, hidden), ``b_z`` … (hidden,),
            ``p_i`` … (hidden,), and ``R_ii`` … (hidden, hidden), source gate first.

        Examples
        --------
        >>> import odyssey_kit as ok
        >>> ok.variant("NIG").weight_shapes(3, 2)["p_f"]
        (2,)
        """
        shapes: dict[str, tuple[int, ...]] = {}
        shapes |= {f"W_{k}": (hidden_size, input_size) for k in self.blocks}
        shapes |= {f"R_{k}": (hidden_size, hidden_size) for k in self.blocks}
        shapes |= {f"b_{k}": (hidden_size,) for k in self.blocks}
        shapes |= {f"p_{k}": (hidden_size,) for k in self.peephole_gates}
        if self.gate_recurrence:
            shapes |= {f"R_{a}{b}": (hidden_size, hidden_size) for a in self.gates for b in self.gates}
        return shapes

    def parameter_count(
        self,
        *,
        input_size: int,
        hidden_size: int,
        output_size: int = 0,
        bidirectional: bool = False,
    ) -> int:
        r"""Return the number of trainable parameters, an output layer included if it has a size.

        Notes
        -----
        Each direction has :math:`G(NM + N^2 + N) + PN + 9N^2[\mathrm{FGR}]` with G blocks and P
        peephole vectors; both directions feed one output layer of K units.

        Examples
        --------
        >>> import odyssey_kit as ok
        >>> ok.variant("V").parameter_count(input_size=88, hidden_size=100, output_size=88)
        84788
        """
        sizes = (_product(shape) for shape in self.weight_shapes(input_size, hidden_size).values())
        directions = 2 if bidirectional else 1
        return directions * sum(sizes) + output_size * (directions * hidden_size + 1 if output_size else 0)

    def changes_from(self, other: LSTMVariant) -> dict[str, Any]:
        """Return the fields in which this cell differs from another, with this cell's values."""
        return {field: getattr(self, field) for field in _CHOICES if getattr(self, field) != getattr(other, field)}

    def replace(self, **changes: Any) -> LSTMVariant:
        """Return a copy with some fields changed, checked like any other variant.

        Examples
        --------
        >>> import odyssey_kit as ok
        >>> ok.variant("V").replace(name="no-gates-but-forget", input_gate=False, output_gate=False).gates
        ('f',)
        """
        unknown = changes.keys() - {field.name for field in dataclasses.fields(self)}
        if unknown:
            raise UsageError(f"LSTMVariant has no field {sorted(unknown)}; fields: name, title, {', '.join(_CHOICES)}")
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return every field but the title, defaults too: what a stored trial keeps."""
        return {"name": self.name} | {field: getattr(self, field) for field in _CHOICES}

    def latex(self) -> list[str]:
        r"""Return the cell's equations, one LaTeX line each, in the papers' letters.

        Examples
        --------
        >>> import odyssey_kit as ok
        >>> ok.variant("CIFG").latex()[2]
        '\\mathbf{f}^t &= 1 - \\mathbf{i}^t'
        """
        symbol = {"sigmoid": r"\sigma", "tanh": r"\tanh", "relu": r"\mathrm{ReLU}", "linear": ""}

        def vector(letter: str, time: str = "t") -> str:
            return rf"\mathbf{{{letter}}}^{{{time}}}" if len(time) > 1 else rf"\mathbf{{{letter}}}^{time}"

        def apply(function: str, argument: str) -> str:
            return argument if function == "linear" else rf"{symbol[function]}({argument})"

        def net_input(k: str) -> str:
            terms = [rf"\mathbf{{W}}_{k}{vector('x')}", rf"\mathbf{{R}}_{k}{vector('y', 't-1')}"]
            if k in self.peephole_gates:
                seen = "t" if k == "o" and self.fgr_output_peephole == "current" else "t-1"
                terms.append(rf"\mathbf{{p}}_{k}\odot{vector('c', seen)}")
            if self.gate_recurrence and k != "z":
                terms += [rf"\mathbf{{R}}_{{{a}{k}}}{vector(a, 't-1')}" for a in self.gates]
            return " + ".join([*terms, rf"\mathbf{{b}}_{k}"])

        lines = [f"{vector('z')} &= {apply(self.input_activation, net_input('z'))}"]
        if self.input_gate:
            lines.append(f"{vector('i')} &= {apply(self.gate_activation, net_input('i'))}")
        if self.forget_gate == "own":
            lines.append(f"{vector('f')} &= {apply(self.gate_activation, net_input('f'))}")
        elif self.forget_gate == "coupled":
            lines.append(f"{vector('f')} &= 1 - {vector('i')}")
        entering = rf"{vector('z')}\odot{vector('i')}" if self.input_gate else vector("z")
        kept = vector("c", "t-1") if self.forget_gate == "none" else rf"{vector('c', 't-1')}\odot{vector('f')}"
        lines.append(f"{vector('c')} &= {entering} + {kept}")
        if self.output_gate:
            lines.append(f"{vector('o')} &= {apply(self.gate_activation, net_input('o'))}")
        shown = apply(self.output_activation, vector("c"))
        lines.append(f"{vector('y')} &= {shown}" + (rf"\odot{vector('o')}" if self.output_gate else ""))
        return lines

    def __repr__(self) -> str:
        shown = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "title" and (field.name == "name" or getattr(self, field.name) != field.default)
        }
        return f"LSTMVariant({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def _product(shape: tuple[int, ...]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product


def _table(*rows: LSTMVariant) -> Mapping[str, LSTMVariant]:
    return MappingProxyType({row.name: row for row in rows})


# Greff et al. (2017), section IV-C: each differs from V in exactly one field.
ODYSSEY_VARIANTS = _table(
    LSTMVariant(name="V", title="vanilla"),
    LSTMVariant(name="NIG", title="no input gate", input_gate=False),
    LSTMVariant(name="NFG", title="no forget gate", forget_gate="none"),
    LSTMVariant(name="NOG", title="no output gate", output_gate=False),
    LSTMVariant(name="NIAF", title="no input activation function", input_activation="linear"),
    LSTMVariant(name="NOAF", title="no output activation function", output_activation="linear"),
    LSTMVariant(name="CIFG", title="coupled input and forget gate", forget_gate="coupled"),
    LSTMVariant(name="NP", title="no peepholes", peepholes=False),
    LSTMVariant(name="FGR", title="full gate recurrence", gate_recurrence=True),
)

# Breuel (2015), section 5. All but NPLSTM have peepholes; gates are logistic.
BREUEL_VARIANTS = _table(
    LSTMVariant(name="LSTM", title="standard, with peepholes"),
    LSTMVariant(name="NPLSTM", title="standard, no peepholes", peepholes=False),
    LSTMVariant(name="LINLSTM", title="linear output", output_activation="linear"),
    LSTMVariant(
        name="RELULSTM", title="ReLU input, linear output", input_activation="relu", output_activation="linear"
    ),
    LSTMVariant(name="RELU2LSTM", title="ReLU input and output", input_activation="relu", output_activation="relu"),
    LSTMVariant(name="RELUTANHLSTM", title="ReLU input, tanh output", input_activation="relu"),
)

# Run by the first author and never printed (his 2015 analysis notebook lists their results).
UNPUBLISHED_VARIANTS = _table(
    LSTMVariant(name="NIG+NOG", title="no input gate, no output gate", input_gate=False, output_gate=False),
    LSTMVariant(name="NOG+NP", title="no output gate, no peepholes", output_gate=False, peepholes=False),
    LSTMVariant(
        name="CIFG+NIAF", title="coupled gates, linear input", forget_gate="coupled", input_activation="linear"
    ),
    LSTMVariant(
        name="CIFG+NOAF", title="coupled gates, linear output", forget_gate="coupled", output_activation="linear"
    ),
)

VARIANTS: Mapping[str, LSTMVariant] = MappingProxyType({**ODYSSEY_VARIANTS, **BREUEL_VARIANTS, **UNPUBLISHED_VARIANTS})

_FAMILIES = {"odyssey": ODYSSEY_VARIANTS, "breuel": BREUEL_VARIANTS, "unpublished": UNPUBLISHED_VARIANTS}


def variant(name: str | LSTMVariant) -> LSTMVariant:
    """Return the variant of that name; a variant passes through.

    Raises
    ------
    UsageError
        If no table has the name.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> ok.variant("NP").peepholes
    False
    """
    if isinstance(name, LSTMVariant):
        return name
    if name not in VARIANTS:
        raise UsageError(f"no variant is called {name!r}; known: {', '.join(VARIANTS)}. See `odyssey variants`.")
    return VARIANTS[name]


def list_variants(*, input_size: int = 88, hidden_size: int = 100) -> pd.DataFrame:
    """Return all named variants: what each changes and how many parameters a layer of it has.

    Parameters
    ----------
    input_size, hidden_size : int
        Size of the layer whose parameters are counted, without an output layer. Defaults: the 88
        keys of a piano, and the paper's round figure of 100 blocks.

    Returns
    -------
    pandas.DataFrame
        Indexed by name; columns family, title, changes (from vanilla), parameters.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> ok.list_variants().loc["NP", "changes"]
    'peepholes=False'
    """
    import pandas as pd

    vanilla = ODYSSEY_VARIANTS["V"]
    rows = [
        {
            "name": cell.name,
            "family": family,
            "title": cell.title,
            "changes": ", ".join(f"{field}={value}" for field, value in cell.changes_from(vanilla).items()),
            "parameters": cell.parameter_count(input_size=input_size, hidden_size=hidden_size),
        }
        for family, table in _FAMILIES.items()
        for cell in table.values()
    ]
    return pd.DataFrame(rows).set_index("name")
