"""The letter that an answer to a multiple-choice question names."""

from __future__ import annotations

import re

# A capital A before a small word is the article, unless the word cannot follow an article.
_ARTICLE = r"(?<=A)\s+(?!(?:or|and|is|was|seems|because|as|since|not)\b)[a-z]"
_STATED = r"(?:answer|choice|option)\s*(?:is|:|=|would be|must be)?\s*(?:option|choice)?\s*"


def chosen_letter(text: str, letters: str = "ABCD") -> str | None:
    r"""The letter chosen, in upper case; None where none, or where the answer leaves it open.

    Taken from the first of these that is there:

    1. the last `\boxed{B}`, or `\boxed{\text{B}}`;
    2. the last "answer is B", "answer: (b)", "option B";
    3. the text is nothing but a letter, perhaps in brackets or followed by a point, as in "b" or "(B).";
    4. the text begins with a letter and a mark, as in "B) Paris", "(B) Paris" or "B. Paris";
    5. capital letters that stand alone: if they are all the same one. "A" before a word is taken for the article.

    Args:
        text: a generated answer.
        letters: the letters on offer, upper case.

    Raises:
        ValueError: no letters, or one that is not an ASCII capital.
    """
    if not re.fullmatch(r"[A-Z]+", letters):
        raise ValueError(f"letters is {letters!r}; expected ASCII capitals such as ABCD")
    one = f"[{letters}{letters.lower()}]"
    upper = f"[{letters}]"
    marked = rf"[\(\[*\"'`]*({one})(?![\w'])[\)\]*\"'`.:]*"
    for pattern in (
        rf"\\boxed\s*\{{\s*(?:\\text\s*\{{)?\s*\(?({one})\)?\s*\}}",
        rf"(?i:\b{_STATED}){_stated(letters)}",
    ):
        if found := re.findall(pattern, text):
            return str(found[-1]).upper()
    if match := re.fullmatch(marked, text.strip()):
        return match[1].upper()
    if match := re.match(rf"\s*(?:\(({one})\)|\[({one})\]|\*\*({one})\*\*|({one})[).:](?=\s|$))", text):
        return next(letter for letter in match.groups() if letter).upper()
    alone = re.findall(rf"(?<![\w'])({upper})(?![\w'])(?!{_ARTICLE})(?!\.\w)", text)
    return alone[0] if len(set(alone)) == 1 else None


def _stated(letters: str) -> str:
    """A letter after "answer is"; a bare small one only at a sentence's end, since "a" is a word."""
    small = letters.lower()
    marks = r"[\(\[*\"'`]"
    wrapped = rf"(?<={marks})[{letters}{small}](?=[\)\]*\"'`])"
    capital = rf"[{letters}](?![\w'])(?!{_ARTICLE})"
    last = rf"[{small}](?=\s*[.)\n]|\s*$)"
    return rf"{marks}*({wrapped}|{capital}|{last})"
