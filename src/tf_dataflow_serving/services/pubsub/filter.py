"""The filter language of subscriptions.

Source: cloud.google.com/pubsub/docs/subscription-message-filter. Grammar:

    filter  = term {"AND" term} | term {"OR" term}      (mixing them takes parentheses)
    term    = ["NOT" | "-"] (test | "(" filter ")")
    test    = "attributes" ":" name
            | "attributes" "." name ("=" | "!=") string
            | "hasPrefix" "(" "attributes" "." name "," string ")"
    name    = letters, digits, hyphens and underscores, or a string
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from tf_dataflow_serving.services.pubsub import limits
from tf_dataflow_serving.services.pubsub.errors import InvalidArgument

Filter = Callable[[Mapping[str, str]], bool]
"""Tells by its attributes whether a message is delivered."""

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<word>[A-Za-z0-9_][\w-]*)|(?P<sign>!=|[-.:=(),]))""",
    re.DOTALL,
)
_ESCAPE = re.compile(
    r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|[xX]([0-9A-Fa-f]{2})|([0-7]{3})|(.))", re.DOTALL
)
_CONTROL = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_JUNCTIONS: dict[str, Callable[[Iterator[bool]], bool]] = {"AND": all, "OR": any}


def accept_all(attributes: Mapping[str, str]) -> bool:  # noqa: ARG001 - a Filter
    """The filter of a subscription that has none."""
    return True


def parse_filter(text: str) -> Filter:
    """Return the filter that `text` describes; raises InvalidArgument if it is none."""
    if not text:
        return accept_all
    if len(text.encode()) > limits.FILTER_BYTES:
        raise InvalidArgument(f"The filter is longer than {limits.FILTER_BYTES} bytes.")
    return _Parser(text).parse()


class _Token(NamedTuple):
    kind: str
    text: str


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._tokenize())
        self._at = 0

    def parse(self) -> Filter:
        result = self._junction()
        if self._at != len(self._tokens):
            raise self._error()
        return result

    def _tokenize(self) -> Iterator[_Token]:
        text, position = self._text.rstrip(), 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if not match or match.lastgroup is None:
                raise self._error()
            yield _Token(match.lastgroup, match[match.lastgroup])
            position = match.end()

    def _junction(self) -> Filter:
        terms = [self._term()]
        word = self._peek()
        if word not in _JUNCTIONS:
            return terms[0]
        while self._accept(word):
            terms.append(self._term())
        junction = _JUNCTIONS[word]
        return lambda attributes: junction(term(attributes) for term in terms)

    def _term(self) -> Filter:
        if self._accept("NOT") or self._accept("-"):
            return _negate(self._operand())
        return self._operand()

    def _operand(self) -> Filter:
        if self._accept("("):
            inner = self._junction()
            self._expect(")")
            return inner
        return self._test()

    def _test(self) -> Filter:
        if self._accept("hasPrefix"):
            return self._prefix()
        self._expect("attributes")
        if self._accept(":"):
            name = self._name()
            return lambda attributes: name in attributes
        self._expect(".")
        return self._comparison(self._name())

    def _prefix(self) -> Filter:
        self._expect("(")
        self._expect("attributes")
        self._expect(".")
        name = self._name()
        self._expect(",")
        prefix = self._string()
        self._expect(")")
        return lambda attributes: name in attributes and attributes[name].startswith(prefix)

    def _comparison(self, name: str) -> Filter:
        if self._accept("!="):
            unwanted = self._string()
            return lambda attributes: attributes.get(name) != unwanted
        self._expect("=")
        wanted = self._string()
        return lambda attributes: attributes.get(name) == wanted

    def _name(self) -> str:
        token = self._next()
        if token.kind == "string":
            return _unquote(token.text)
        if token.kind != "word":
            raise self._error()
        return token.text

    def _string(self) -> str:
        token = self._next()
        if token.kind != "string":
            raise self._error()
        return _unquote(token.text)

    def _peek(self) -> str:
        """Return the next token's text; a string keeps its quotes and so is no keyword."""
        return self._tokens[self._at].text if self._at < len(self._tokens) else ""

    def _next(self) -> _Token:
        if self._at == len(self._tokens):
            raise self._error()
        self._at += 1
        return self._tokens[self._at - 1]

    def _accept(self, text: str) -> bool:
        found = self._peek() == text
        self._at += found
        return found

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise self._error()

    def _error(self) -> InvalidArgument:
        return InvalidArgument(f"Invalid filter: {self._text}")


def _negate(inner: Filter) -> Filter:
    return lambda attributes: not inner(attributes)


def _unquote(literal: str) -> str:
    return _ESCAPE.sub(_unescape, literal[1:-1])


def _unescape(match: re.Match[str]) -> str:
    short, long, hexadecimal, octal, plain = match.groups()
    if plain is not None:
        return _CONTROL.get(plain, plain)
    code = int(octal, 8) if octal else int(short or long or hexadecimal, 16)
    try:
        return chr(code)
    except (ValueError, OverflowError):
        raise InvalidArgument(f"Invalid escape sequence in a filter: {match[0]}") from None
