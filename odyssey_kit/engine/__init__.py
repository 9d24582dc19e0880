"""The engine: the equations, the compiled time loop, one network in training, and a torch module.

`equations` is the readable definition in torch, `kernels` the compiled loop that has to equal it.
May import `variants` and `errors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from odyssey_kit.engine.module import LSTM as LSTM

__all__ = ["LSTM"]


def __getattr__(name: str) -> Any:
    # Loaded on first use: a worker that trains needs the kernels only, and torch takes seconds to load.
    if name == "LSTM":
        from odyssey_kit.engine.module import LSTM

        return LSTM
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
