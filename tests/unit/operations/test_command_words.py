import pytest

from treadle.base.errors import UsageError
from treadle.operations.command_words import read_command


def test_words_become_the_arguments_of_the_operation():
    entry, arguments = read_command(
        ["train", "bard", "training.clip=1", "size=tiny", "--minutes", "30", "--detach", "--after=4", "--after", "5"]
    )
    assert entry.name == "train"
    assert arguments["model"] == "bard"
    assert arguments["overrides"] == ["training.clip=1", "size=tiny"]
    assert (arguments["minutes"], arguments["detach"], arguments["after"]) == (30.0, True, [4, 5])
    entry, arguments = read_command(["feed", "bard", "a.txt", "b.txt"])
    assert [path.name for path in arguments["paths"]] == ["a.txt", "b.txt"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Give the command"),
        (["juggle"], "Unknown command"),
        (["train"], "needs `model`"),
        (["train", "bard", "--steps", "many"], "does not fit `steps`"),
        (["train", "bard", "--steps"], "needs a value"),
        (["train", "bard", "--speed", "9"], "has no flag `--speed`"),
        (["delete", "bard", "diary"], "takes no further word"),
    ],
)
def test_words_that_fit_nothing_are_refused(words, said):
    with pytest.raises(UsageError, match=said):
        read_command(words)
