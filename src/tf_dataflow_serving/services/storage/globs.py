"""Translates the patterns of `matchGlob` into regular expressions.

Source: Cloud Storage documentation, "List objects and prefixes using glob".
"""

import re
from collections.abc import Callable, Iterator

from tf_dataflow_serving.services.storage.errors import InvalidArgument

_TOKENS = re.compile(
    r"(?P<folders>\*\*/)|(?P<deep>\*\*)|(?P<star>\*)|(?P<one>\?)|(?P<set>\[[^\]]+\])"
    r"|(?P<open>\{)|(?P<close>\})|(?P<comma>,)|\\(?P<escaped>.)|(?P<plain>.)",
    re.DOTALL,
)


def glob_pattern(glob: str) -> str:
    r"""Return the regular expression for names that match `glob` as a whole.

    `*` is any characters but a slash, `**` any, `**/` any folders, `?` one character but a slash,
    `[a-z]` and `[!a-z]` a set, `{a,b}` alternatives, a backslash takes the next one literally.
    Raises InvalidArgument for a brace without its partner.
    """
    pattern = "".join(_translate(glob))
    try:
        re.compile(pattern)
    except re.error as error:
        raise InvalidArgument(f"Invalid matchGlob: {glob!r}") from error
    return pattern


def _translate(glob: str) -> Iterator[str]:
    depth = 0
    for token in _TOKENS.finditer(glob):
        kind = token.lastgroup or "plain"
        text = token[kind]
        depth += {"open": 1, "close": -1}.get(kind, 0)
        if kind == "comma" and not depth:
            kind = "plain"
        yield _FRAGMENTS[kind](text)


def _set(text: str) -> str:
    inside = text[1:-1]
    negated = inside[0] in "!^" and len(inside) > 1
    members = (inside[1:] if negated else inside).replace("\\", r"\\").replace("[", r"\[")
    return f"[{'^' if negated else ''}{members}]"


_FRAGMENTS: dict[str, Callable[[str], str]] = {
    "folders": lambda _: "(?:.*/)?",
    "deep": lambda _: "(?s:.*)",
    "star": lambda _: "[^/]*",
    "one": lambda _: "[^/]",
    "set": _set,
    "open": lambda _: "(?:",
    "close": lambda _: ")",
    "comma": lambda _: "|",
    "escaped": re.escape,
    "plain": re.escape,
}
