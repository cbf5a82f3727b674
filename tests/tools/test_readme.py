from __future__ import annotations

import pytest

from tools.readme import examples, rewritten

TEXT = """# Words

```console
$ traceq one
ONE  1
 a   2
...
 c   4
...
```

```console
$ traceq two --all
$ traceq three
...
end of three
```
"""


def test_commands_are_found_in_console_blocks() -> None:
    assert examples(TEXT) == ["traceq one", "traceq two --all", "traceq three"]


def test_answers_are_put_in_place_as_much_of_them_as_was_shown() -> None:
    answers = {
        "traceq one": ["ONE  one", " aa  5", " b   6", " c   7", " d   8"],
        "traceq three": ["start", "end is near", "end"],
    }

    assert rewritten(TEXT, answers.__getitem__) == TEXT.replace("ONE  1\n a   2", "ONE  one\n aa  5").replace(
        "c   4", "c   7"
    ).replace("end of three", "end is near\nend")


def test_a_part_that_the_answer_no_longer_has_is_told() -> None:
    with pytest.raises(ValueError, match="begins like ' c   4'"):
        rewritten(TEXT, lambda _: ["ONE  1", " a   2", " b   3"])
