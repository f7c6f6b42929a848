import gzip
import json
from fractions import Fraction
from pathlib import Path

import pytest

from tasks.benchmarks.checkers.numeric import final_number, same_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("She has 3 + 4 = 7 apples.\n#### 7", 7),
        ("#### 1,234,567", 1234567),
        ("#### $1,200.50", Fraction("1200.50")),
        ("#### -5", -5),
        ("#### −5 degrees", -5),
        ("It costs -$5.", -5),
        ("#### 3 x 4 = 12", 12),
        ("#### 12 pens in 3 boxes", 12),
        ("#### 3 boxes x 4 pens = 12 pens, 4 in each", 12),
        ("The answer is 5 + 10 + 15 = 30 marbles, from 3 bags.", 30),
        ("The answer is $2 x 3 = 6 x $1 = $6.", 6),
        ("The answer is -3 - 4 = -7", -7),
        ("The answer is 18 since 9 + 9 = 18, and 2 + 2 = 4.", 18),
        ("The answer is 18. 2 + 2 = 4", 18),
        ("The answer is 1,200 + 0.5 = 1,200.5 ml", Fraction("1200.5")),
        ("The answer is x = 12.", 12),
        (r"Thus \boxed{42} and not 43.", 42),
        (r"\boxed{\frac{3}{4}}", Fraction(3, 4)),
        (r"so -\frac{1}{2}", Fraction(-1, 2)),
        (r"\boxed{x = 12 \text{ cm}}", 12),
        ("The answer is 18 because 9 + 9 = 18 and 2 people share it 1:1.", 18),
        ("the final answer: 3/4 of a cup", Fraction(3, 4)),
        ("1 1/2 hours", Fraction(3, 2)),
        ("He pays 12.50 dollars.", Fraction("12.5")),
        ("It is .5", Fraction(1, 2)),
        ("6.02e23 molecules", Fraction("6.02e23")),
        ("1.5E-3", Fraction("0.0015")),
        ("25% of them", 25),
        ("10 000 people", 10000),
        ("first 3, then 4", 4),
        ("5-3 = 2", 2),
        ("12 - 5", 5),
        ("He said 7.", 7),
        ("page A4 and 9 kg", 9),
        ("10 km", 10),
        ("0", 0),
    ],
)
def test_final_number_reads_forms(text: str, number: Fraction) -> None:
    assert final_number(text) == number


@pytest.mark.parametrize("text", ["", "none at all", "#### ", r"\boxed{x}", "1/0"])
def test_final_number_without_number_is_none(text: str) -> None:
    assert final_number(text) is None


def test_final_number_mark_wins_over_box_and_later_numbers() -> None:
    assert final_number(r"\boxed{3}" "\n#### 4\nCheck: 2 + 2 = 5") == 4


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        ("#### 72", "#### 72", True),
        ("that makes 72.0 clips", "#### 72", True),
        ("72.1", "72", False),
        ("1,000", "1000", True),
        ("25%", "0.25", True),
        ("25%", "25", True),
        ("0.25", "25%", True),
        ("0.25", "25", False),
        ("0.3333333333", "1/3", True),
        ("0.333", "1/3", False),
        ("0.0000001", "0", True),
        ("no idea", "5", False),
    ],
)
def test_same_number_compares_values(answer: str, reference: str, same: bool) -> None:
    assert same_number(answer, reference) is same


def test_same_number_reference_without_number_is_refused() -> None:
    with pytest.raises(ValueError, match="gives no number"):
        same_number("5", "five")


def test_final_number_of_gsm8k_answers_is_the_marked_one(shared_data: Path) -> None:
    with gzip.open(shared_data / "realpool" / "dev.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    answers = [row["messages"][-1]["content"] for row in rows if row["source"] == "gsm8k"]
    assert len(answers) > 20
    for answer in answers:
        marked = answer.split("####")[1].strip().replace(",", "")
        assert final_number(answer) == Fraction(marked)
        assert same_number(f"So it is {marked}.", answer)
        assert not same_number(f"So it is {Fraction(marked) + 1}.", answer)
