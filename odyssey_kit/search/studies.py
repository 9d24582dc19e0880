"""The named studies, as data: the Odyssey, its arms, and Breuel's.

Where a paper leaves a setting unsaid, what is taken stands here with its reason. May import `study`, `space`,
`training` and `variants`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from odyssey_kit.search.study import StudySpec
from odyssey_kit.space import ODYSSEY_SPACE, Categorical, Distribution, LogUniform, OneMinusLogUniform, SearchSpace
from odyssey_kit.training import Protocol
from odyssey_kit.variants import BREUEL_VARIANTS, ODYSSEY_VARIANTS, UNPUBLISHED_VARIANTS, LSTMVariant

__all__ = ["STUDIES"]

_NINE = tuple(ODYSSEY_VARIANTS.values())
_JSB = ("jsb-chorales",)


def _cells(*names: str) -> tuple[LSTMVariant, ...]:
    return tuple(ODYSSEY_VARIANTS[name] for name in names)


def _by_name(cells: Mapping[LSTMVariant, Mapping[str, object]]) -> dict[str, Mapping[str, object]]:
    return {cell.name: settings for cell, settings in cells.items()}


# ---- the Odyssey: Greff et al. (2017), section IV ------------------------------------------------

# Section IV-D and its footnotes: both were searched on TIMIT only.
_CLIP_AND_NESTEROV = SearchSpace(
    {
        **ODYSSEY_SPACE,
        "clip": Categorical(choices=(0.0, 1.0)),
        "momentum_type": Categorical(choices=("nesterov", "heavy-ball")),
    }
)
_WIDE = SearchSpace({**ODYSSEY_SPACE, "learning_rate": LogUniform(low=1e-6, high=1.0)})
_BIDIRECTIONAL = Protocol(bidirectional=True)


def _column(name: str, task: str, title: str, **settings: object) -> StudySpec:
    """Return nine variants × 200 on one data set."""
    return StudySpec(name=name, title=title, tasks=(task,), variants=_NINE, n_trials=200, **settings)  # pyright: ignore[reportArgumentType]


_ODYSSEY = (
    StudySpec(
        name="first-light",
        title="Nine variants, 20 draws each, three epochs: a first look that decides no claim.",
        tasks=_JSB,
        variants=_NINE,
        n_trials=20,
        protocol=Protocol(max_epochs=3),
    ),
    _column(
        "odyssey-jsb",
        "jsb-chorales",
        "The Odyssey's JSB Chorales column under its own protocol: nine variants, 200 draws each.",
    ),
    _column(
        "odyssey-timit",
        "timit",
        "The Odyssey's TIMIT column: bidirectional, frame-wise phones; clipping and Nesterov are drawn too.",
        space=_CLIP_AND_NESTEROV,
        protocol=_BIDIRECTIONAL,
    ),
    _column(
        "odyssey-iam",
        "iam-ondb",
        "The Odyssey's IAM-OnDB column: bidirectional, pen strokes to text with CTC.",
        protocol=_BIDIRECTIONAL,
    ),
    _column(
        "odyssey-bach",
        "bach-chorales",
        "A stand-in for odyssey-jsb on bach-chorales, for a machine that reaches only the package index.",
    ),
    _column(
        "odyssey-spoken-digits",
        "spoken-digits",
        "A stand-in for odyssey-timit on spoken-digits, whose phone labels are a machine's.",
        space=_CLIP_AND_NESTEROV,
        protocol=_BIDIRECTIONAL,
    ),
    _column(
        "odyssey-unipen",
        "unipen-lines",
        "A stand-in for odyssey-iam on unipen-lines.",
        protocol=_BIDIRECTIONAL,
    ),
)

# ---- the arms that the authors could not afford, or ran and did not print ------------------------

_CAROUSEL = ODYSSEY_VARIANTS["V"].replace(name="V+carousel", title="vanilla, truncated gradient of 1997")

# At rates below 1e-4 the paper's networks learnt more than ours. It gives weights a "standard deviation of 0.1"; a
# variance of 0.1 would be one of 0.316. It stops after 150 epochs; twice as many would learn more.
_FASTER = {
    ODYSSEY_VARIANTS["V"].replace(name="V+variance", title="vanilla, initial weights of variance 0.1"): {
        "initial_weight_std": 0.316
    },
    ODYSSEY_VARIANTS["V"].replace(name="V+epochs", title="vanilla, at most 300 epochs"): {"max_epochs": 300},
}

_ARMS = (
    StudySpec(
        name="odyssey-jsb-raw",
        title="Vanilla with the learning rate taken as it is: does momentum matter once it is not rescaled?",
        tasks=_JSB,
        variants=_cells("V"),
        n_trials=200,
        protocol=Protocol(lr_mode="raw"),
    ),
    StudySpec(
        name="odyssey-jsb-wide",
        title="Learning rates up to 1.0, for the optimum lies at the edge of the paper's box.",
        tasks=_JSB,
        variants=_cells("V", "CIFG", "NFG", "NOAF"),
        n_trials=100,
        space=_WIDE,
    ),
    StudySpec(
        name="odyssey-jsb-paired",
        title="Nine variants on the same draws and seeds.",
        tasks=_JSB,
        variants=_NINE,
        n_trials=100,
        paired=True,
    ),
    StudySpec(
        name="odyssey-jsb-unpublished",
        title="What the first author ran and did not print: four combinations, and the truncated gradient of 1997.",
        tasks=_JSB,
        variants=(*UNPUBLISHED_VARIANTS.values(), _CAROUSEL),
        n_trials=100,
        cell_settings={_CAROUSEL.name: {"gradient": "carousel"}},
    ),
    StudySpec(
        name="odyssey-jsb-low-rates",
        title="Vanilla at learning rates below 1e-4: as it is, with larger initial weights, and with more epochs.",
        tasks=_JSB,
        variants=(*_cells("V"), *_FASTER),
        n_trials=40,
        space=SearchSpace({**ODYSSEY_SPACE, "learning_rate": LogUniform(low=1e-6, high=1e-4)}),
        paired=True,
        cell_settings=_by_name(_FASTER),
    ),
    StudySpec(
        name="odyssey-jsb-clipping",
        title="Vanilla with clipping to [-1, 1] and Nesterov's momentum drawn as booleans.",
        tasks=_JSB,
        variants=_cells("V"),
        n_trials=200,
        space=_CLIP_AND_NESTEROV,
    ),
)

# ---- Breuel (2015) -------------------------------------------------------------------------------

# As his engine did it: heavy-ball momentum, the rate as it is, gradients summed, all weights in ±0.01. He
# trained 10^6 samples: about 20 epochs of the 50,000 that are left of MNIST's digits beside a validation set.
_BREUEL = Protocol(
    momentum_type="heavy-ball",
    lr_mode="raw",
    loss="cross-entropy",
    placement="last",
    initial_weight_bound=0.01,
    max_epochs=20,
    patience=20,
)
_RATE = LogUniform(low=1e-6, high=1e-1)
_STATES = LogUniform(low=50, high=500, integer=True)
# Defaults of his engine where a section does not say what it varied.
_USUAL = {"hidden_size": Categorical(choices=(100,)), "momentum": Categorical(choices=(0.9,))}
_PLAIN = BREUEL_VARIANTS["NPLSTM"]  # the one that he calls standard


def _renamed(cell: LSTMVariant, suffix: str, words: str) -> LSTMVariant:
    return cell.replace(name=f"{cell.name}+{suffix}", title=f"{cell.title}, {words}")


_OUTPUTS = {"softmax": "cross-entropy", "logistic": "logistic-squares"}
_TYPES = {
    _renamed(cell, output, f"{output} output"): {"loss": loss}
    for cell in BREUEL_VARIANTS.values()
    for output, loss in _OUTPUTS.items()
}
# Section 7. His CTC is the aligner; Graves' stands beside it.
_TARGETS = {
    "center": {"placement": "middle"},
    "end": {"placement": "last"},
    "aligner": {"loss": "clstm-ctc"},
    "ctc": {"loss": "ctc"},
}
_CONDITIONS = {
    _PLAIN.replace(name=f"{layers}+{target}", title=f"{words}, {target}"): {"bidirectional": both, **settings}
    for layers, words, both in (("LSTM1", "one direction", False), ("BIDI", "both directions", True))
    for target, settings in _TARGETS.items()
}


def _of_cells(
    name: str,
    task: str,
    title: str,
    cells: Mapping[LSTMVariant, Mapping[str, object]],
    *,
    n_trials: int,
    hidden_size: Distribution = _USUAL["hidden_size"],
    protocol: Protocol = _BREUEL,
) -> StudySpec:
    """Return cells with settings of their own; the learning rate is searched, and the size where it is given."""
    return StudySpec(
        name=name,
        title=title,
        tasks=(task,),
        variants=tuple(cells),
        n_trials=n_trials,
        space=SearchSpace({**_USUAL, "learning_rate": _RATE, "hidden_size": hidden_size}),
        protocol=protocol,
        cell_settings=_by_name(cells),
    )


def _long(name: str, task: str, title: str, *, n_trials: int, max_epochs: int) -> StudySpec:
    """Return runs at constant rates that nothing stops before 3·10^6 lines."""
    return StudySpec(
        name=name,
        title=title,
        tasks=(task,),
        variants=(_PLAIN,),
        n_trials=n_trials,
        space=SearchSpace({**_USUAL, "learning_rate": _RATE, "hidden_size": _STATES}),
        protocol=replace(_BREUEL, loss="clstm-ctc", max_epochs=max_epochs, patience=max_epochs),
    )


# Section 6, what the engine has of it: the aligner knows a softmax only. Section 7's two directions with Graves' CTC
# stand beside it. The report does not say how large its networks were; from 20 to 200 is what the rule of B20 asks for.
_SMALL = LogUniform(low=20, high=200, integer=True)
_DIRECTIONS = {cell: settings for cell, settings in _CONDITIONS.items() if not cell.name.endswith("+aligner")}
_DIRECTIONS_LINES = {cell: settings for cell, settings in _CONDITIONS.items() if cell.name.endswith("+ctc")}
_LINES = {
    **{
        _renamed(BREUEL_VARIANTS[name], "softmax", "softmax output"): {"loss": "clstm-ctc"}
        for name in ("LINLSTM", "LSTM", "NPLSTM")
    },
    **_DIRECTIONS_LINES,
}
_LINES_PROTOCOL = replace(_BREUEL, max_epochs=300, patience=300)  # 10^6 lines, as for MNIST

_STATES_STUDY = StudySpec(
    name="breuel-states",
    title="Breuel, section 3: learning rate × number of states on MNIST.",
    tasks=("mnist",),
    variants=(_PLAIN,),
    n_trials=660,
    space=SearchSpace({**_USUAL, "learning_rate": _RATE, "hidden_size": _STATES}),
    protocol=_BREUEL,
)
_REPEATED = tuple(_STATES_STUDY.trial("mnist", _PLAIN, index).params for index in range(50))

_BREUELS = (
    _STATES_STUDY,
    replace(
        _STATES_STUDY,
        name="breuel-seeds",
        title="Breuel, section 9: the first fifty settings of breuel-states, five more seeds each.",
        n_trials=5 * len(_REPEATED),
        seed=2016,  # that of breuel-states would repeat its seeds
        given={_PLAIN.name: _REPEATED},
    ),
    _of_cells(
        "breuel-lines",
        "archiscribe-lines",
        "Breuel, sections 6 and 7, on archiscribe-lines: three cells with softmax; one and both directions.",
        _LINES,
        n_trials=100,
        hidden_size=_SMALL,
        protocol=_LINES_PROTOCOL,
    ),
    # The report trained 427. A bin of B5 and B6 needs a hundred; that of momenta below 0.5 gets a seventh of all.
    StudySpec(
        name="breuel-momentum",
        title="Breuel, section 4: batch size × momentum × learning rate on MNIST.",
        tasks=("mnist",),
        variants=(_PLAIN,),
        n_trials=800,
        space=SearchSpace(
            {
                "hidden_size": Categorical(choices=(100,)),
                "learning_rate": LogUniform(low=1e-5, high=1e-1),
                "momentum": OneMinusLogUniform(low=0.01, high=1.0),
                "batch_size": LogUniform(low=20, high=2000, integer=True),
            }
        ),
        protocol=_BREUEL,
    ),
    _of_cells(
        "breuel-types", "mnist", "Breuel, section 5: six types of LSTM × two outputs on MNIST.", _TYPES, n_trials=175
    ),
    _of_cells(
        "breuel-conditions",
        "mnist",
        "Breuel, section 7: one or both directions × where the class stands on MNIST; CTC of both kinds.",
        _CONDITIONS,
        n_trials=100,
    ),
    # A bin of sizes needs a hundred draws for a best tenth of ten; that of B20's largest networks gets 22 % of all.
    _of_cells(
        "breuel-directions",
        "mnist",
        "Breuel, section 7: one against both directions on MNIST, networks of 20 to 200 blocks.",
        _DIRECTIONS,
        n_trials=500,
        hidden_size=_SMALL,
    ),
    _of_cells(
        "breuel-directions-lines",
        "archiscribe-lines",
        "Breuel, section 7, on archiscribe-lines: one against both directions, networks of 20 to 200 blocks.",
        _DIRECTIONS_LINES,
        n_trials=500,
        hidden_size=_SMALL,
        protocol=_LINES_PROTOCOL,
    ),
    _long("breuel-long", "uw3", "Breuel, section 8: long runs on UW3, one direction.", n_trials=942, max_epochs=40),
    _long(
        "breuel-long-archiscribe",
        "archiscribe-lines",
        "A stand-in for breuel-long on archiscribe-lines.",
        n_trials=40,
        max_epochs=900,
    ),
)

STUDIES: Mapping[str, StudySpec] = MappingProxyType({study.name: study for study in (*_ODYSSEY, *_ARMS, *_BREUELS)})
