import pytest

from tasks.benchmarks.checkers.choice import chosen_letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(C).", "C"),
        ("**D**", "D"),
        ("B) Paris", "B"),
        ("(b) Paris is the capital", "B"),
        ("B. Paris", "B"),
        ("The answer is C.", "C"),
        ("The answer is (c) because A is wrong.", "C"),
        ("A looks right. But the correct answer is: D", "D"),
        ("Answer: b", "B"),
        ("I would choose option B, since A fails.", "B"),
        (r"After checking A and B: \boxed{C}", "C"),
        (r"\boxed{\text{B}}", "B"),
        ("It must be B, B again.", "B"),
        ("A dog needs B.", "B"),
        ("A or B", None),
        ("A is right.", "A"),
        ("The answer is A because of B.", "A"),
        ("A city in France", None),
        ("The answer is a dog.", None),
        ("Paris", None),
        ("", None),
        ("E", None),
        ("I don't know", None),
    ],
)
def test_chosen_letter_reads_forms(text: str, letter: str | None) -> None:
    assert chosen_letter(text) == letter


def test_chosen_letter_takes_only_letters_on_offer() -> None:
    assert chosen_letter("E", "ABCDE") == "E"
    assert chosen_letter("The answer is D", "AB") is None


def test_chosen_letter_strange_letters_are_refused() -> None:
    with pytest.raises(ValueError, match="ASCII capitals"):
        chosen_letter("1", "12")
