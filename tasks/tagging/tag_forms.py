"""The form of a free tag: case, punctuation and plural by rule, so that spellings of one tag become one."""

from __future__ import annotations

import re
import unicodedata

_NOT_WORD = re.compile(r"[^\w+#]+|_+")
_UNCHANGED = frozenset(
    {"always", "analysis", "basis", "bias", "business", "canvas", "chaos", "christmas", "class", "corpus",
    "css", "focus", "gas", "https", "ios", "james", "jenkins", "js", "kubernetes", "lens", "news", "nexus",
    "paris", "perhaps", "plus", "process", "redis", "rss", "series", "sms", "species", "status", "sus", "texas",
    "thus", "us", "various", "virus", "yes"}
)  # fmt: skip
_IRREGULAR = {
    "analyses": "analysis", "apis": "api", "children": "child", "crises": "crisis", "criteria": "criterion",
    "hypotheses": "hypothesis", "indices": "index", "leaves": "leaf", "lives": "life", "matrices": "matrix",
    "men": "man", "people": "person", "phenomena": "phenomenon", "theses": "thesis", "vertices": "vertex",
    "wives": "wife", "women": "woman",
}  # fmt: skip
_SHORTEST = 4
"""Letters below which a word keeps its s: mostly abbreviations."""


def tag_form(tag: str) -> str:
    """The common form of a tag's spellings: "SQL-Queries!" → "sql query".

    Unicode compatibility form, case folded; everything but letters, digits, "+" and "#" separates words; every word in
    the singular. Applying it again changes nothing. "" where nothing is left.
    """
    words = _NOT_WORD.sub(" ", unicodedata.normalize("NFKC", tag).casefold()).split()
    return " ".join(_singular(word) for word in words)


def _singular(word: str) -> str:
    """Remove plural endings until none is left."""
    while (shorter := _once(word)) != word:
        word = shorter
    return word


def _once(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) < _SHORTEST or word in _UNCHANGED or not word.endswith("s") or not word.isalpha():
        return word
    if word.endswith(("ss", "us", "is", "ics", "ous")):
        return word
    if word.endswith("ies"):
        return f"{word[:-3]}y" if len(word) > _SHORTEST else word[:-1]
    if word.endswith(("sses", "shes", "ches", "xes", "zzes")):
        return word[:-2]
    return word[:-1]
