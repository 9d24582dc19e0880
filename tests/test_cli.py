"""The command line answers on standard output, talks on standard error, and says what is wrong in one line."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import odyssey_kit as ok

pytest.importorskip("numba", reason="a study needs the extra [train]")

import fake_work
from licensed import iam_ondb

from odyssey_kit import cli, search
from odyssey_kit.cli import main
from odyssey_kit.cli.printing import WIDTH
from odyssey_kit.search import open_for_reading, open_for_writing, store_path

COMMANDS = {
    (): "Which parts of an LSTM matter",
    ("variants",): "List the LSTM variants",
    ("studies",): "List the named studies",
    ("plan",): "Show what a study would run, without running it",
    ("run",): "Run what is pending of a study",
    ("status",): "Show how far a study is",
    ("export",): "Publish a study's finished trials",
    ("analyze",): "Show what matters in a table of trials",
    ("claims",): "Check the papers' claims against the published studies",
    ("import",): "Merge stores of shards, or published folders",
    ("doctor",): "Check a study's store and what is published of it",
    ("audit",): "Train some published trials again and compare",
    ("data",): "List, get and check data sets",
    ("data", "list"): "List the data sets",
    ("data", "fetch"): "Get a data set and verify it",
    ("data", "verify"): "Check the files of data sets",
    ("data", "describe"): "Show the card of a data set",
    ("data", "example"): "Keep one example of a data set as JSON",
}
STUDY = ok.named_study("first-light")


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line on standard error of a command that did nothing else."""
        assert self.out == ""
        assert self.err.count("\n") == 1, self.err
        assert self.err.endswith("\n")
        assert "Traceback" not in self.err
        return self.err.strip()


@pytest.fixture
def odyssey(tmp_path, monkeypatch, capsys):
    """Run a command in this process, with empty folders for stores, results and data, and without a network."""
    for name in ("RUNS", "RESULTS", "CACHE"):
        monkeypatch.setenv(f"ODYSSEY_{name}", str(tmp_path / name.lower()))
    monkeypatch.delenv("ODYSSEY_DATA", raising=False)
    monkeypatch.setenv("COLUMNS", "300")

    for name in ("_interrupt_once", "_interrupt_no_more"):  # this process is not a command's
        monkeypatch.setattr(cli, name, lambda: None)

    def no_network(*_: object, **__: object) -> None:
        raise OSError("the network is out of reach")

    monkeypatch.setattr("odyssey_kit.data.fetch.download", no_network)
    monkeypatch.setattr("odyssey_kit.data.fetch.download_package", no_network)

    def run(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["odyssey", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        return Answer(int(ended.value.code or 0), told.out, told.err)

    return run


@pytest.fixture
def fake_training(monkeypatch):
    """Let `odyssey run` do made-up work, at once."""
    monkeypatch.setattr(search, "run_study", functools.partial(search.run_study, work=fake_work.quick))


def widest(text: str) -> int:
    return max(map(len, text.splitlines()))


# ---- help -----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_says_what_a_command_does(odyssey, command, option):
    answer = odyssey(*command, option)
    assert answer.code == 0
    assert answer.err == ""
    assert COMMANDS[command] in answer.out
    assert answer.out.startswith(" ".join(["Usage: odyssey", *command]))
    assert widest(answer.out) <= WIDTH


@pytest.mark.parametrize("command", [(), ("data",)])
def test_help_names_every_command_in_a_line(odyssey, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    out = odyssey(*command, "--help").out
    for other in COMMANDS:
        if len(other) == len(command) + 1 and other[: len(command)] == command:
            (line,) = (line for line in out.splitlines() if line.split()[:1] == [other[-1]])
            assert not line.endswith("..."), "short enough to be read"


@pytest.mark.parametrize("command", [(), ("data",)])
def test_no_command_at_all_shows_the_help(odyssey, command):
    answer = odyssey(*command)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("Usage: odyssey")
    assert "Commands:" in answer.err


def test_every_command_is_listed_here():
    from typer.main import get_command

    from odyssey_kit.cli import app

    group = get_command(app)
    names = {(), *((name,) for name in group.commands), *(("data", n) for n in group.commands["data"].commands)}
    assert names == COMMANDS.keys()


# ---- what is printed ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("variants", ["CIFG", "coupled input and forget gate", "forget_gate=coupled", "165,900", "100 blocks on 88"]),
        ("studies", ["first-light", "180", "odyssey-jsb", "1,800"]),
        ("plan first-light", ["180 trials = 1 task × 9 variants × 20 draws, at most 3 epochs each", "learning_rate"]),
        ("plan odyssey-jsb --rows 0", ["1,800 trials", "at most 150 epochs", "Next: odyssey run odyssey-jsb"]),
        ("plan odyssey-jsb --rows 0", ["No estimate of hours: jsb-chorales is not here to be timed"]),
        ("plan odyssey-jsb-unpublished --rows 1 --no-estimate", ["500 trials", "V+carousel only: gradient=carousel"]),
        ("plan first-light --yaml", ["name: first-light", "variants: [V, NIG, NFG,", "n_trials: 20"]),
        ("plan first-light --set n_trials=2 --rows 1", ["18 trials = 1 task × 9 variants × 2 draws"]),
        ("plan breuel-long --rows 1", ["942 trials", "Cannot be run by this version, which lacks"]),
        ("status first-light", ["jsb-chorales", "FGR", "0 of 180 trials done", "Next: odyssey run first-light"]),
        ("data list", ["jsb-chorales", "stand-in for jsb-chorales", "papers' own data", "licence", "no"]),
    ],
)
def test_what_is_listed_fits_a_page_and_is_on_standard_output(odyssey, command, said):
    answer = odyssey(*command.split())
    assert (answer.code, answer.err) == (0, "")
    assert widest(answer.out) <= WIDTH
    assert all(part in answer.out for part in said), answer.out


def test_the_doctor_finds_nothing_wrong_where_nothing_is(odyssey):
    answer = odyssey("doctor", "first-light")
    assert (answer.code, answer.err) == (0, "")
    assert [line.split()[:2] for line in answer.out.splitlines() if line.startswith("well")] == [
        ["well", "store:"],
        ["well", "published:"],
    ]


def test_a_table_is_read_by_columns(odyssey):
    lines = odyssey("variants").out.splitlines()
    assert len({line.index("no ") for line in lines if line.startswith(("NIG ", "NOG ", "NP "))}) == 1
    right = lines[0].index("parameters") + len("parameters")
    assert [line[right - 6 : right] for line in lines[1:3]] == ["75,900", "56,900"], "numbers stand to the right"
    both = next(i for i, line in enumerate(lines) if line.startswith("RELU2LSTM"))
    assert lines[both].rstrip().endswith("75,900")
    assert lines[both + 1].split() == ["output_activation=relu"], "a long text goes on in the next line"


def test_fractions_are_shown_with_three_digits(odyssey, fake_training):
    odyssey("run", "first-light", "--executor", "serial", "--quiet")
    shown = odyssey("plan", "first-light").out.partition("are run:\n")[2] + odyssey("status", "first-light").out
    fractions = re.findall(r"\d+\.\d+(?:e-\d+)?", shown)
    assert len(fractions) > 30
    assert all(len(text.partition("e")[0].replace(".", "").lstrip("0")) <= 3 for text in fractions), fractions


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("variants", {"name", "family", "title", "changes", "parameters"}),
        ("studies", {"name", "trials", "runs_here", "title"}),
        ("status first-light", {"task", "variant", "planned", "done", "complete", "diverged", "failed", "hours"}),
        ("data list", {"name", "task", "what", "licence", "here", "size"}),
    ],
)
def test_json_has_the_same_rows_for_a_program(odyssey, command, names):
    answer = odyssey(*command.split(), "--json")
    assert (answer.code, answer.err) == (0, "")
    rows = json.loads(answer.out)
    assert rows
    assert all(row.keys() == names for row in rows)


def test_json_of_a_plan_is_the_study_and_its_first_draws(odyssey):
    plan = json.loads(odyssey("plan", "first-light", "--rows", "4", "--json").out)
    assert plan["trials"] == 180
    assert ok.StudySpec.from_dict(plan["study"]) == STUDY
    assert [draw["key"] for draw in plan["draws"]] == [spec.key for spec in STUDY.plan()[:4]]
    assert plan["draws"][0]["learning_rate"] == STUDY.plan()[0].params["learning_rate"], "every digit of it"


# ---- a study from end to end ----------------------------------------------------------------


def test_a_study_is_run_looked_at_and_published(odyssey, fake_training, tmp_path):
    begun = odyssey("run", "first-light", "--executor", "serial", "--limit", "7")
    assert begun.code == 0
    assert begun.out.splitlines() == [
        "first-light: 7 of 180 trials done: 7 complete, 0 diverged, 0 failed",
        "Next: odyssey run first-light",
    ]
    assert "7/180" in begun.err, "progress is on standard error"
    ended = odyssey("run", "first-light", "--executor", "serial", "--quiet")
    assert ended.out.splitlines()[-1] == "Next: odyssey export first-light"
    assert ended.err == ""
    status = odyssey("status", "first-light").out
    assert "180 of 180 trials done" in status
    assert status.splitlines()[-1] == "Next: odyssey export first-light"
    published = odyssey("export", "first-light")
    assert (published.code, published.err) == (0, "")
    assert published.out == (
        f"published 180 trials in {tmp_path / 'results' / 'first-light'}; "
        f"start with {tmp_path / 'results' / 'first-light' / 'CARD.md'}\n"
    )
    assert len(ok.load_trials("first-light")) == 180


def test_options_of_run_reach_the_runner(odyssey, monkeypatch):
    asked = {}

    def run_study(study: ok.StudySpec, **settings: object) -> search.RunSummary:
        asked.update(settings, study=study)
        return search.RunSummary(180, 170, 5, 5)

    monkeypatch.setattr(search, "run_study", run_study)
    numbers = ["--limit", "9", "--max-attempts", "4", "--export-every", "1.5", "--time-budget", "1h30m"]
    numbers += ["--trial-limit", "90s", "--memory", "4G", "--shard", "2/3"]
    odyssey("run", "first-light", "--executor", "local:3", *numbers, "--quiet")
    assert asked == {
        "study": STUDY,
        "executor": "local:3",
        "limit": 9,
        "max_attempts": 4,
        "export_every": 90.0,
        "time_budget": 5400.0,
        "trial_limit": 90.0,
        "memory": 4 * 2**30,
        "shard": search.Shard(2, 3),
        "progress": False,
    }
    odyssey("run", "first-light")
    assert (asked["executor"], asked["limit"], asked["export_every"]) == ("local", None, None)
    assert asked["progress"] is True


def test_ctrl_c_ends_a_run_with_130_and_the_way_on(odyssey, monkeypatch):
    def work(spec: ok.TrialSpec) -> ok.TrialResult:
        if spec.index == 4:
            raise KeyboardInterrupt
        return fake_work.quick(spec)

    monkeypatch.setattr(search, "run_study", functools.partial(search.run_study, work=work))
    answer = odyssey("run", "first-light", "--executor", "serial", "--quiet")
    assert answer.code == 130
    done = len(json.loads(odyssey("status", "first-light", "--json").out))
    assert done
    assert answer.out.splitlines()[-1] == "Next: odyssey run first-light"
    assert answer.err == "odyssey: interrupted; everything that was finished is kept\n"


def test_ctrl_c_ends_any_other_command_with_130(odyssey, monkeypatch):
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ok, "list_datasets", interrupted, raising=False)
    answer = odyssey("data", "list")
    assert answer.code == 130
    assert answer.complaint == "odyssey: interrupted; everything that was finished is kept"


# ---- what cannot be: exit code 2 ------------------------------------------------------------


@pytest.mark.parametrize("command", ["plan", "run", "status", "export", "doctor"])
def test_an_unknown_study_is_one_line(odyssey, command, tmp_path):
    answer = odyssey(command, "first-lite")
    assert answer.code == 2
    assert answer.complaint == (
        "odyssey: no study is called 'first-lite'; did you mean first-light? `odyssey studies` lists all"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("run first-light --nope", r"odyssey run: No such option: --nope\. See `odyssey run --help`\."),
        ("variants --nope", r"odyssey variants: No such option: --nope\. See `odyssey variants --help`\."),
        ("nope", r"odyssey: No such command 'nope'\. See `odyssey --help`\."),
        ("data nope", r"odyssey data: No such command 'nope'\. See `odyssey data --help`\."),
        ("run", r"odyssey run: Missing argument 'name'\. See `odyssey run --help`\."),
        ("run first-light --limit few", r"odyssey run: Invalid value for '--limit': .*integer.*--help`\."),
        ("run first-light --limit -1", r"odyssey: limit is -1, expected at least 0"),
        ("run first-light --max-attempts 0", r"odyssey: max_attempts is 0, expected at least 1"),
        ("run first-light --export-every nan", r"odyssey: --export-every is 'nan', expected a duration such as 2h"),
        ("run first-light --time-budget 2w", r"odyssey: --time-budget is '2w', expected a duration such as 2h"),
        ("run first-light --memory lots", r"odyssey: --memory is 'lots', expected a size such as 4G"),
        ("run first-light --shard 4/3", r"odyssey: shard is '4/3', expected k/n with k from 1 to n"),
        ("run first-light --executor serial --trial-limit 1m", r"odyssey: trial_limit needs workers that can be ended"),
        ("run first-light --shard 1/2 --export-every 1m", r"odyssey: a shard is not published by itself"),
        (
            "run first-light --set seed=1",
            r"odyssey: with seed: stored 2015, asked 1 it is another study than first-light",
        ),
        ("plan nowhere.yaml", r"odyssey: nowhere\.yaml cannot be read"),
        ("import nowhere.sqlite", r"odyssey: nowhere\.sqlite does not exist"),
        ("audit odyssey-jsb", r"odyssey: nothing is published in .*odyssey-jsb; next: odyssey export odyssey-jsb"),
        (
            "run odyssey-jsb-seeds",
            r"odyssey: odyssey-jsb-seeds cannot be planned yet: .*of whose 400 trials of V and CIFG",
        ),
        ("plan first-light --rows -1", r"odyssey plan: Invalid value for '--rows': .*0"),
        ("run first-light second-light", r"odyssey run: .*unexpected extra argument.*second-light"),
        ("run first-light --executor cloud:9", r"odyssey: executor is 'cloud:9', expected serial, local, local:N"),
        ("data fetch nothing", r"odyssey: no data set is called 'nothing'; known: .*jsb-chorales"),
        ("data verify nothing", r"odyssey: no data set is called 'nothing'; known: .*jsb-chorales"),
    ],
)
def test_what_is_no_command_option_or_name_is_one_line(odyssey, command, said):
    answer = odyssey(*command.split())
    assert answer.code == 2
    assert re.match(said, answer.complaint, re.IGNORECASE), answer.complaint
    assert not store_path("first-light").exists()


def test_a_store_of_another_study_is_refused_and_kept(odyssey, tmp_path):
    with open_for_writing(replace(STUDY, protocol=ok.Protocol(max_epochs=5))) as store:
        spec = store.study().plan()[0]
        store.add(spec, fake_work.quick(spec))
    before = store_path("first-light").read_bytes()
    for command in ("run", "status", "export"):
        answer = odyssey(command, "first-light")
        assert answer.code == 2
        assert "holds another study named 'first-light'; nothing was changed" in answer.complaint
        assert "protocol.max_epochs: stored 5, asked 3" in answer.complaint
    assert store_path("first-light").read_bytes() == before
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("command", ["run", "status", "export"])
def test_a_damaged_store_is_refused_and_kept(odyssey, command):
    store_path("first-light").parent.mkdir()
    store_path("first-light").write_bytes(b"not a store" * 500)
    answer = odyssey(command, "first-light")
    assert answer.code == 2
    assert "is damaged, or no store of `odyssey run`" in answer.complaint
    assert store_path("first-light").read_bytes() == b"not a store" * 500


def test_a_second_runner_is_told_who_holds_the_store_and_status_is_not(odyssey):
    with open_for_writing(STUDY):
        answer = odyssey("run", "first-light")
        assert odyssey("status", "first-light").code == 0
    assert answer.code == 2
    assert f"is being written by process {os.getpid()} on " in answer.complaint


def test_nothing_to_publish_is_one_line(odyssey):
    answer = odyssey("export", "first-light")
    assert answer.code == 2
    assert answer.complaint.endswith("does not exist; start the study with `odyssey run first-light`.")


def test_a_study_in_a_file_is_audited_under_its_own_name(odyssey, tmp_path):
    file = tmp_path / "file.yaml"
    file.write_text(replace(STUDY, name="mine").to_yaml())
    answer = odyssey("audit", str(file))
    assert answer.code == 2
    assert answer.complaint.endswith("mine; next: odyssey export mine")


# ---- missing and damaged data: exit code 3 --------------------------------------------------


@pytest.mark.parametrize("command", ["run first-light", "run first-light --executor serial", "data fetch jsb-chorales"])
def test_missing_data_are_one_line_that_says_what_was_tried(odyssey, command):
    answer = odyssey(*command.split())
    assert answer.code == 3
    assert "jsb-chorales: " in answer.complaint
    assert "is not here and could not be fetched. Tried: " in answer.complaint
    assert "the network is out of reach" in answer.complaint
    assert "run `odyssey data fetch jsb-chorales`, or set ODYSSEY_DATA" in answer.complaint


def test_missing_data_leave_a_store_without_trials(odyssey):
    odyssey("run", "first-light")
    with open_for_reading(store_path("first-light")) as store:
        assert store.states() == {}
    assert "0 of 180 trials done" in odyssey("status", "first-light").out


def test_data_that_are_not_here_cannot_be_verified(odyssey):
    answer = odyssey("data", "verify", "jsb-chorales")
    assert answer.code == 3
    assert "run `odyssey data fetch jsb-chorales`" in answer.complaint


@pytest.mark.parametrize(
    "command",
    ["run first-light", "data fetch jsb-chorales", "data verify jsb-chorales", "data verify jsb-chorales --json"],
)
def test_a_truncated_data_file_is_one_line_and_left_as_it_is(odyssey, command, tmp_path, monkeypatch):
    file = tmp_path / "mine" / "jsb-chorales-quarter.json"
    file.parent.mkdir()
    file.write_bytes(b"[" * 1000)
    monkeypatch.setenv("ODYSSEY_DATA", str(file.parent))
    answer = odyssey(*command.split())
    assert answer.code == 3
    assert f"{file} is damaged (truncated): got 1,000 bytes, expected 407,200" in answer.complaint
    assert file.read_bytes() == b"[" * 1000


@pytest.mark.filterwarnings("default::UserWarning")
def test_without_names_all_that_is_here_is_checked_what_is_damaged_too(odyssey, tmp_path):
    folder = iam_ondb(tmp_path / "mine")
    answer = odyssey("data", "verify", "--from", str(folder))
    assert (answer.code, answer.out) == (0, f"iam-ondb: verified {folder / 'iam-ondb'} (source)\n")
    assert "odyssey: iam-ondb: lines left out: 2 of the board a08-551z\n" in answer.err
    assert ".py" not in answer.err, "a warning is a line of its own, without the code that gave it"
    (folder / "jsb-chorales-quarter.json").write_bytes(b"[" * 1000)
    answer = odyssey("data", "verify", "--from", str(folder))
    assert answer.code == 3
    assert answer.out.startswith("iam-ondb: verified "), "what was checked before is told"
    assert "jsb-chorales-quarter.json is damaged (truncated)" in answer.err


@pytest.mark.skipif(not os.environ.get("ODYSSEY_DATA"), reason="looks at the real data: set ODYSSEY_DATA")
def test_data_that_are_here_are_verified(odyssey, monkeypatch, request):
    monkeypatch.setenv("ODYSSEY_DATA", REAL_DATA)
    answer = odyssey("data", "verify", "jsb-chorales")
    assert (answer.code, answer.err) == (0, "")
    assert re.match(r"jsb-chorales: verified .*\.json \(source, 407,200 bytes\)\n", answer.out)
    (file,) = json.loads(odyssey("data", "verify", "jsb-chorales", "--json").out)
    assert file["state"] == "verified"
    assert odyssey("data", "fetch", "jsb-chorales").out == f"jsb-chorales: verified {file['path']}\n"
    assert re.search(r"jsb-chorales .* yes  +0\.4 MB", odyssey("data", "list").out)


REAL_DATA = os.environ.get("ODYSSEY_DATA", "")


# ---- as a process ---------------------------------------------------------------------------


def process(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(ok.__file__).parents[1])}
    command = [sys.executable, "-c", f"{code}from odyssey_kit.cli import main; main()", *arguments]
    with tempfile.TemporaryDirectory() as runs:
        environment["ODYSSEY_RUNS"] = runs
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


def test_exit_code_and_streams_are_those_of_a_process():
    done = process("", "run", "first-lite")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("odyssey: no study is called 'first-lite'")
    assert done.stderr.count("\n") == 1


def test_the_package_is_the_command_too():
    environment = {**os.environ, "PYTHONPATH": str(Path(ok.__file__).parents[1])}
    command = [sys.executable, "-m", "odyssey_kit", "run", "first-lite"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert (done.returncode, done.stderr.startswith("odyssey: no study is called 'first-lite'")) == (2, True)


def test_a_reader_that_stops_reading_is_no_error():
    command = f"{sys.executable} -c 'from odyssey_kit.cli import main; main()' plan odyssey-jsb --rows 1800 | head -1"
    done = subprocess.run(
        ["sh", "-c", command],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(ok.__file__).parents[1])},
    )
    assert done.stdout.startswith("odyssey-jsb: ")
    assert done.stderr == ""


@pytest.mark.parametrize(("command", "code"), [("run odyssey-jsb", 2), ("variants", 0), ("data list", 0)])
def test_without_the_training_extra_only_what_trains_is_refused_in_one_line(command, code, tmp_path, monkeypatch):
    for place in ("RESULTS", "RUNS"):  # where nothing is published there is something to train
        monkeypatch.setenv(f"ODYSSEY_{place}", str(tmp_path / place.lower()))
    done = process("import sys; sys.modules['numba'] = sys.modules['torch'] = None\n", *command.split())
    assert done.returncode == code, done.stderr
    if code:
        assert done.stdout == ""
        assert done.stderr.startswith("odyssey: numba, which training needs, is not here: run `make test`, or pip ")
        assert done.stderr.count("\n") == 1
    else:
        assert done.stderr == ""
