"""Search: studies as data, the store, the runner, and publishing.

May import `variants`, `space`, `errors`, `data`, `engine`, `training`, and the schema of `analysis`.
"""

from odyssey_kit.search.audit import audit
from odyssey_kit.search.doctor import examine, repair
from odyssey_kit.search.estimate import estimate_hours
from odyssey_kit.search.lookup import find_study, list_studies, named_study, study_names, what_is_missing
from odyssey_kit.search.merge import import_results
from odyssey_kit.search.publish import export, published_folder, published_results
from odyssey_kit.search.runner import RunSummary, run_study
from odyssey_kit.search.status import study_status
from odyssey_kit.search.store import Store, open_for_reading, open_for_writing, store_path
from odyssey_kit.search.studies import STUDIES
from odyssey_kit.search.study import Shard, StudySpec

__all__ = [
    "STUDIES",
    "RunSummary",
    "Shard",
    "Store",
    "StudySpec",
    "audit",
    "estimate_hours",
    "examine",
    "export",
    "find_study",
    "import_results",
    "list_studies",
    "named_study",
    "open_for_reading",
    "open_for_writing",
    "published_folder",
    "published_results",
    "repair",
    "run_study",
    "store_path",
    "study_names",
    "study_status",
    "what_is_missing",
]
