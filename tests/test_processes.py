import pytest

from veridical import cli, progress
from veridical.errors import ConfigError
from veridical.processes import OtherProcessError, Place, check_launch, place

LAUNCHERS = {
    "torchrun": {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"},
    "MPI": {
        "OMPI_COMM_WORLD_RANK": "3",
        "OMPI_COMM_WORLD_SIZE": "4",
        "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    },
}


@pytest.fixture
def launched(monkeypatch):
    def launch(variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return launch


def test_without_a_launcher_a_process_is_the_only_one():
    assert place() == Place(rank=0, world=1, local_rank=0)
    check_launch("evaluate", several=False)


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_launcher_says_which_process_this_is(launched, launcher):
    launched(LAUNCHERS[launcher])
    assert place() == Place(rank=3, world=4, local_rank=1)
    check_launch("train", several=True)


def test_one_process_of_a_launcher_is_the_only_one(launched):
    launched({"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"})
    assert place().world == 1
    check_launch("evaluate", several=False)


def test_accelerate_that_starts_one_process_of_two_is_refused(launched):
    """What `accelerate launch --num_processes 2 --cpu` sets, without MPI."""
    launched(
        {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": "29500",
            "ACCELERATE_USE_CPU": "True",
            "ACCELERATE_MIXED_PRECISION": "no",
        }
    )
    with pytest.raises(ConfigError, match=r"started one: .*torchrun --nproc_per_node 2"):
        check_launch("train", several=True)


@pytest.mark.parametrize(("rank", "said"), [(0, 1), (1, 0)])
def test_a_verb_for_one_process_is_refused_once_and_all_fail(launched, capsys, rank, said):
    launched({"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank)})
    with pytest.raises(SystemExit) as left:
        cli.main(["recipes"])
    assert left.value.code == 1
    assert capsys.readouterr().err.count("runs in one process, but was started as one of 2") == said


def test_the_first_process_speaks_for_all_but_for_its_own_end_each(launched, capsys):
    launched({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"})
    progress.log("Loading")
    assert list(progress.track([1, 2], label="Working")) == [1, 2]
    assert capsys.readouterr().err == ""
    progress.log_failure("Error: out of memory")
    assert capsys.readouterr().err == "Process 1 of 2: Error: out of memory\n"


def test_other_processes_know_that_the_first_has_said_why(launched):
    launched({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"})
    with pytest.raises(OtherProcessError):
        check_launch("score", several=False)


@pytest.mark.parametrize(("rank", "said"), [(0, 1), (1, 0)])
def test_a_wrong_recipe_is_reported_once_and_all_fail(launched, capsys, rank, said):
    launched({"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank)})
    with pytest.raises(SystemExit) as left:
        cli.main(["train", "dpo", "dpo-world", "train.nonsense=1"])
    assert left.value.code == 1
    assert capsys.readouterr().err.count("train.nonsense") == said
