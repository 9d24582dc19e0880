"""The engine: the equations, the compiled time loop, and one network in training.

`equations` is the readable definition in torch, `kernels` the compiled loop that has to equal it.
May import `variants` and `errors`.
"""
