"""Data: what exists, where it comes from, whether it is the right file, and sequences to train on.

Manifests say what a file must be; sources are tried in their order; nothing is read unverified. May import
`errors` only, and no torch.
"""

from odyssey_kit.data.catalogue import (
    describe_dataset,
    fetch_dataset,
    list_datasets,
    load_dataset,
    names_here,
    status,
    verify,
)
from odyssey_kit.data.dataset import TASKS, SequenceDataset
from odyssey_kit.data.examples import Example, load_example
from odyssey_kit.data.fetch import cache_folder
from odyssey_kit.data.manifest import Manifest, read_manifest
from odyssey_kit.data.sequences import LazySplit, Split

__all__ = [
    "TASKS",
    "Example",
    "LazySplit",
    "Manifest",
    "SequenceDataset",
    "Split",
    "cache_folder",
    "describe_dataset",
    "fetch_dataset",
    "list_datasets",
    "load_dataset",
    "load_example",
    "names_here",
    "read_manifest",
    "status",
    "verify",
]
