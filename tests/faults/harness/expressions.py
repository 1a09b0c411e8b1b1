"""The expression language of DynamoDB: conditions, filters, key conditions, projections and updates.

Written for the harness's own in-memory table. It is strict where AWS is: reserved words, placeholders that are never
used, overlapping paths. What it does not know it refuses; it never guesses.
"""

from __future__ import annotations

import copy
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from moto.dynamodb.parsing.reserved_keywords import ReservedKeywords

from .values import Item, Value, canonical, invalid, number, order, plain, size_of_value, type_of

_TOKEN = re.compile(r"\s*(?:(<>|<=|>=|[=<>(),.\[\]+\-])|([#:][A-Za-z0-9_]+)|([A-Za-z0-9_]+))")
_COMPARATORS = frozenset({"=", "<>", "<", "<=", ">", ">="})
_FUNCTIONS = frozenset({"attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains"})
_SET_OF = {"S": "SS", "N": "NS", "B": "BS"}
_ORDERED = frozenset({"S", "N", "B"})

type Step = str | int


class Path(NamedTuple):
    """A document path; steps are attribute names (placeholders unresolved) and list positions."""

    steps: tuple[Step, ...]


class Operand(NamedTuple):
    """A ``:placeholder``."""

    name: str


class Call(NamedTuple):
    """A function with its arguments, or an operator written as one: ``and``, ``or``, ``not``, ``between``, ``in``."""

    name: str
    args: tuple[Node, ...]


type Node = Path | Operand | Call


class Action(NamedTuple):
    """One step of an update expression."""

    clause: str
    path: Path
    node: Node | None


@dataclass(frozen=True)
class Parsed:
    """A parsed expression and every placeholder in it."""

    body: tuple[Any, ...]
    placeholders: frozenset[str]


@dataclass
class Bindings:
    """``ExpressionAttributeNames`` and ``...Values`` of one request, and which of them were used."""

    names: dict[str, str] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, body: dict[str, Any]) -> Bindings:
        """Return the bindings of a request body."""
        values = body.get("ExpressionAttributeValues") or {}
        return cls(
            dict(body.get("ExpressionAttributeNames") or {}),
            {name: canonical(value) for name, value in values.items()},
        )

    def check_all_used(self) -> None:
        """Refuse placeholders that no expression mentions, as AWS does."""
        for kind, given in (("Names", self.names), ("Values", self.values)):
            unused = sorted(set(given) - self.used)
            if unused:
                raise invalid(
                    f"Value provided in ExpressionAttribute{kind} unused in expressions: keys: {{{', '.join(unused)}}}"
                )

    def name(self, step: str) -> str:
        """Return the attribute name of a path step."""
        if not step.startswith("#"):
            return step
        if step not in self.names:
            raise invalid(f"An expression attribute name used in the document path is not defined: {step}")
        return self.names[step]

    def value(self, placeholder: str) -> Value:
        """Return the value of a ``:placeholder``."""
        if placeholder not in self.values:
            raise invalid(f"An expression attribute value used in expression is not defined: {placeholder}")
        return self.values[placeholder]

    def path(self, path: Path) -> tuple[Step, ...]:
        """Return the path with its placeholders replaced."""
        return tuple(self.name(step) if isinstance(step, str) else step for step in path.steps)


@lru_cache(maxsize=1)
def _reserved() -> frozenset[str]:
    return frozenset(word.upper() for word in ReservedKeywords.get_reserved_keywords())


class _Parser:
    def __init__(self, kind: str, text: str) -> None:
        self.kind = kind
        self.text = text
        self.tokens = self._split(text)
        self.at = 0
        self.placeholders: set[str] = set()

    def _split(self, text: str) -> list[str]:
        found: list[str] = []
        position = 0
        stripped = text.rstrip()
        while position < len(stripped):
            match = _TOKEN.match(stripped, position)
            if match is None:
                raise self.error(stripped[position])
            found.append(match.group(match.lastindex or 0))
            position = match.end()
        if not found:
            raise invalid(f"Invalid {self.kind}: The expression can not be empty;")
        return found

    def error(self, token: str) -> Exception:
        return invalid(f'Invalid {self.kind}: Syntax error; token: "{token}", near: "{self.text}"')

    def peek(self, ahead: int = 0) -> str:
        position = self.at + ahead
        return self.tokens[position] if position < len(self.tokens) else ""

    def take(self, wanted: str | None = None) -> str:
        token = self.peek()
        if not token or (wanted is not None and token.upper() != wanted.upper()):
            raise self.error(token or "<EOF>")
        self.at += 1
        return token

    def word(self, *words: str) -> bool:
        return self.peek().upper() in words

    def end(self) -> None:
        if self.peek():
            raise self.error(self.peek())

    # paths and operands

    def path(self) -> Path:
        steps: list[Step] = [self._name()]
        while self.peek() in {".", "["}:
            if self.take() == ".":
                steps.append(self._name())
                continue
            position = self.take()
            if not position.isdigit():
                raise self.error(position)
            steps.append(int(position))
            self.take("]")
        return Path(tuple(steps))

    def _name(self) -> str:
        token = self.take()
        if token.startswith("#"):
            self.placeholders.add(token)
            return token
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", token):
            raise self.error(token)
        if token.upper() in _reserved():
            raise invalid(f"Invalid {self.kind}: Attribute name is a reserved keyword; reserved keyword: {token}")
        return token

    def operand(self) -> Node:
        if self.peek().startswith(":"):
            placeholder = self.take()
            self.placeholders.add(placeholder)
            return Operand(placeholder)
        if self.peek() == "size" and self.peek(1) == "(":
            return self._function()
        return self.path()

    def _function(self) -> Call:
        name = self.take()
        self.take("(")
        args: list[Node] = [self.operand()]
        while self.peek() == ",":
            self.take()
            args.append(self.operand())
        self.take(")")
        return Call(name, tuple(args))

    # conditions; OR binds least, then AND, then NOT

    def condition(self) -> Node:
        left = self._conjunction()
        while self.word("OR"):
            self.take()
            left = Call("or", (left, self._conjunction()))
        return left

    def _conjunction(self) -> Node:
        left = self._negation()
        while self.word("AND"):
            self.take()
            left = Call("and", (left, self._negation()))
        return left

    def _negation(self) -> Node:
        if self.word("NOT"):
            self.take()
            return Call("not", (self._negation(),))
        return self._primary()

    def _primary(self) -> Node:
        if self.peek() == "(":
            self.take()
            inner = self.condition()
            self.take(")")
            return inner
        if self.peek() in _FUNCTIONS and self.peek(1) == "(":
            return self._function()
        return self._comparison(self.operand())

    def _comparison(self, left: Node) -> Node:
        if self.peek() in _COMPARATORS:
            return Call(self.take(), (left, self.operand()))
        if self.word("BETWEEN"):
            self.take()
            low = self.operand()
            self.take("AND")
            return Call("between", (left, low, self.operand()))
        if self.word("IN"):
            self.take()
            self.take("(")
            options = [self.operand()]
            while self.peek() == ",":
                self.take()
                options.append(self.operand())
            self.take(")")
            return Call("in", (left, *options))
        raise self.error(self.peek() or "<EOF>")

    # updates

    def update(self) -> list[Action]:
        actions: list[Action] = []
        seen: set[str] = set()
        while self.peek():
            clause = self.take().upper()
            if clause not in {"SET", "REMOVE", "ADD", "DELETE"}:
                raise self.error(clause)
            if clause in seen:
                raise invalid(f'Invalid {self.kind}: The "{clause}" section can only be used once')
            seen.add(clause)
            actions.append(self._action(clause))
            while self.peek() == ",":
                self.take()
                actions.append(self._action(clause))
        return actions

    def _action(self, clause: str) -> Action:
        path = self.path()
        if clause == "REMOVE":
            return Action(clause, path, None)
        if clause == "SET":
            self.take("=")
            return Action(clause, path, self._sum())
        node = self.operand()
        if not isinstance(node, Operand):
            raise self.error(self.peek())
        return Action(clause, path, node)

    def _sum(self) -> Node:
        left = self._term()
        if self.peek() in {"+", "-"}:
            return Call(self.take(), (left, self._term()))
        return left

    def _term(self) -> Node:
        if self.peek() in {"if_not_exists", "list_append"} and self.peek(1) == "(":
            name = self.take()
            self.take("(")
            first = self._term()
            self.take(",")
            second = self._term()
            self.take(")")
            if name == "if_not_exists" and not isinstance(first, Path):
                raise self.error(name)
            return Call(name, (first, second))
        return self.operand()


@lru_cache(maxsize=4096)
def parse(kind: str, text: str) -> Parsed:
    """Return the parsed expression; ``kind`` is the request field, such as ``ConditionExpression``."""
    parser = _Parser(kind, text)
    body: tuple[Any, ...]
    if kind == "UpdateExpression":
        body = tuple(parser.update())
    elif kind == "ProjectionExpression":
        paths = [parser.path()]
        while parser.peek() == ",":
            parser.take()
            paths.append(parser.path())
        body = tuple(paths)
    else:
        body = (parser.condition(),)
    parser.end()
    return Parsed(body, frozenset(parser.placeholders))


def bind(kind: str, text: str, bindings: Bindings) -> tuple[Any, ...]:
    """Parse, and note which placeholders of the request are used."""
    parsed = parse(kind, text)
    bindings.used |= parsed.placeholders
    for placeholder in parsed.placeholders:
        if placeholder.startswith("#"):
            bindings.name(placeholder)
        else:
            bindings.value(placeholder)
    return parsed.body


def find(item: Item, steps: tuple[Step, ...]) -> Value | None:
    """Return the value at a path, or None."""
    here: Value = {"M": item}
    for step in steps:
        if isinstance(step, int):
            members = here.get("L")
            if members is None or step >= len(members):
                return None
            here = members[step]
        else:
            inner = here.get("M")
            if inner is None or step not in inner:
                return None
            here = inner[step]
    return here


def _value(node: Node, item: Item, bindings: Bindings) -> Value | None:
    match node:
        case Path():
            return find(item, bindings.path(node))
        case Operand(name):
            return bindings.value(name)
        case Call("size", (argument,)):
            found = _value(argument, item, bindings)
            return None if found is None else _length(found)
        case _:
            raise invalid(f"Invalid operand {node}")


def _length(value: Value) -> Value | None:
    ((kind, inner),) = value.items()
    if kind in {"S", "B"}:
        return {"N": str(size_of_value(value))}
    if kind in {"L", "M", "SS", "NS", "BS"}:
        return {"N": str(len(inner))}
    return None


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _compare(sign: str, left: Value | None, right: Value | None) -> bool:
    if sign == "<>":
        return left != right
    if left is None or right is None:
        return False
    if sign == "=":
        return left == right
    if type_of(left) != type_of(right) or type_of(left) not in _ORDERED:
        return False
    return _COMPARE[sign](order(left), order(right))


def _contains(holder: Value | None, wanted: Value | None) -> bool:
    if holder is None or wanted is None:
        return False
    ((kind, inner),) = holder.items()
    if kind == "L":
        return wanted in inner
    ((wanted_kind, wanted_inner),) = wanted.items()
    if kind == _SET_OF.get(wanted_kind):
        return wanted_inner in inner
    if kind == wanted_kind == "S":
        return wanted_inner in inner
    return kind == wanted_kind == "B" and order(wanted) in order(holder)  # type: ignore[operator]


def holds(node: Node, item: Item, bindings: Bindings) -> bool:
    """Return whether a condition is true of an item (an empty dict where there is none)."""
    if not isinstance(node, Call):
        raise invalid("Invalid ConditionExpression")
    args = node.args
    if node.name == "and":
        return holds(args[0], item, bindings) and holds(args[1], item, bindings)
    if node.name == "or":
        return holds(args[0], item, bindings) or holds(args[1], item, bindings)
    if node.name == "not":
        return not holds(args[0], item, bindings)
    values = [_value(arg, item, bindings) for arg in args]
    if node.name in _TESTS:
        return _TESTS[node.name](values)
    return _compare(node.name, values[0], values[1])


_TESTS: dict[str, Callable[[list[Value | None]], bool]] = {
    "attribute_exists": lambda values: values[0] is not None,
    "attribute_not_exists": lambda values: values[0] is None,
    "attribute_type": lambda values: values[0] is not None and values[1] == {"S": type_of(values[0])},
    "begins_with": lambda values: _begins(values[0], values[1]),
    "between": lambda values: _compare(">=", values[0], values[1]) and _compare("<=", values[0], values[2]),
    "contains": lambda values: _contains(values[0], values[1]),
    "in": lambda values: any(_compare("=", values[0], option) for option in values[1:]),
}


def _begins(text: Value | None, prefix: Value | None) -> bool:
    if text is None or prefix is None or type_of(text) != type_of(prefix) or type_of(text) not in {"S", "B"}:
        return False
    return order(text).startswith(order(prefix))  # type: ignore[union-attr, arg-type]


def key_condition(node: Node, bindings: Bindings) -> dict[str, list[tuple[str, list[Value]]]]:
    """Return, for each key attribute of a key condition, its operators and operands."""
    if isinstance(node, Call) and node.name == "and":
        found = key_condition(node.args[0], bindings)
        for name, tests in key_condition(node.args[1], bindings).items():
            found.setdefault(name, []).extend(tests)
        return found
    if not isinstance(node, Call) or node.name not in {"=", "<", "<=", ">", ">=", "between", "begins_with"}:
        raise invalid("Invalid operator used in KeyConditionExpression")
    path, *operands = node.args
    if not isinstance(path, Path) or not all(isinstance(one, Operand) for one in operands):
        raise invalid("Invalid KeyConditionExpression")
    (step,) = bindings.path(path)
    values = [bindings.value(one.name) for one in operands if isinstance(one, Operand)]
    if any(value in ({"S": ""}, {"B": ""}) for value in values):
        raise invalid(f"The AttributeValue for a key attribute cannot contain an empty string value. Key: {step}")
    if node.name == "between" and _compare(">", values[0], values[1]):
        raise invalid("The BETWEEN operator requires upper bound to be greater than or equal to lower bound")
    return {str(step): [(node.name, values)]}


def meets(value: Value, tests: list[tuple[str, list[Value]]]) -> bool:
    """Return whether a key value meets the tests of a key condition."""
    for sign, operands in tests:
        good = _TESTS[sign]([value, *operands]) if sign in _TESTS else _compare(sign, value, operands[0])
        if not good:
            return False
    return True


def project(item: Item, paths: tuple[Path, ...], bindings: Bindings) -> Item:
    """Return the attributes that a projection asks for (top level; a nested path keeps its own part)."""
    answer: Item = {}
    for path in paths:
        steps = bindings.path(path)
        found = find(item, steps)
        if found is None:
            continue
        if len(steps) == 1:
            answer[str(steps[0])] = found
            continue
        if any(isinstance(step, int) for step in steps):
            raise NotImplementedError("projection into a list")
        here = answer
        for step in steps[:-1]:
            here = here.setdefault(str(step), {"M": {}})["M"]
        here[str(steps[-1])] = found
    return answer


# updates


def _expression(node: Node | None, item: Item, bindings: Bindings) -> Value:
    if isinstance(node, Call) and node.name == "if_not_exists":
        found = _value(node.args[0], item, bindings)
        return _expression(node.args[1], item, bindings) if found is None else found
    if isinstance(node, Call) and node.name in {"+", "-"}:
        left, right = (_number(_expression(arg, item, bindings)) for arg in node.args)
        return {"N": plain(number(left + right if node.name == "+" else left - right))}
    if isinstance(node, Call) and node.name == "list_append":
        left_list, right_list = (_expression(arg, item, bindings).get("L") for arg in node.args)
        if left_list is None or right_list is None:
            raise invalid("An operand in the update expression has an incorrect data type")
        return {"L": [*left_list, *right_list]}
    found = None if node is None else _value(node, item, bindings)
    if found is None:
        raise invalid("The provided expression refers to an attribute that does not exist in the item")
    return found


def _number(value: Value) -> Decimal:
    if "N" not in value:
        raise invalid("An operand in the update expression has an incorrect data type")
    return Decimal(value["N"])


def _parent(item: Item, steps: tuple[Step, ...]) -> Any:
    holder = find(item, steps[:-1]) if len(steps) > 1 else {"M": item}
    inner = None if holder is None else holder.get("L" if isinstance(steps[-1], int) else "M")
    if inner is None:
        raise invalid("The document path provided in the update expression is invalid for update")
    return inner


def _put(item: Item, steps: tuple[Step, ...], value: Value) -> None:
    holder = _parent(item, steps)
    last = steps[-1]
    if isinstance(last, int) and last >= len(holder):
        holder.append(value)
    else:
        holder[last] = value


def _remove(item: Item, steps: tuple[Step, ...]) -> None:
    holder = _parent(item, steps)
    if find(item, steps) is not None:
        del holder[steps[-1]]


def _added(old: Value | None, change: Value) -> Value:
    ((kind, inner),) = change.items()
    if kind not in {"N", "SS", "NS", "BS"}:
        raise invalid("Incorrect operand type for operator or function; operator: ADD")
    if old is None:
        return change
    if type_of(old) != kind:
        raise invalid("An operand in the update expression has an incorrect data type")
    if kind == "N":
        return {"N": plain(number(Decimal(old["N"]) + Decimal(inner)))}
    return canonical({kind: sorted({*old[kind], *inner})})


def _subtracted(old: Value, change: Value) -> Value | None:
    kind = type_of(change)
    if kind not in {"SS", "NS", "BS"} or type_of(old) != kind:
        raise invalid("An operand in the update expression has an incorrect data type")
    left = [one for one in old[kind] if one not in change[kind]]
    return {kind: left} if left else None


def _check_overlap(paths: list[tuple[Step, ...]]) -> None:
    for position, one in enumerate(paths):
        for other in paths[position + 1 :]:
            shared = min(len(one), len(other))
            if one[:shared] == other[:shared]:
                raise invalid(f"Two document paths overlap with each other; {one} and {other}")


def updated(item: Item, actions: tuple[Action, ...], bindings: Bindings) -> tuple[Item, set[str]]:
    """Return the item after an update, and the top-level attributes that it named; the given item stays as it is."""
    resolved = [(action, bindings.path(action.path)) for action in actions]
    _check_overlap([steps for _, steps in resolved])
    new = copy.deepcopy(item) if any(len(steps) > 1 for _, steps in resolved) else dict(item)
    removals: list[tuple[Step, ...]] = []
    for action, steps in resolved:
        if action.clause == "REMOVE":
            removals.append(steps)
            continue
        value = _expression(action.node, item, bindings)
        old = find(item, steps)
        if action.clause == "SET":
            _put(new, steps, value)
        elif action.clause == "ADD":
            _put(new, steps, _added(old, value))
        elif old is not None:
            left = _subtracted(old, value)
            if left is None:
                removals.append(steps)
            else:
                _put(new, steps, left)
    for steps in sorted(removals, key=lambda one: [str(step).zfill(8) for step in one], reverse=True):
        _remove(new, steps)
    return new, {str(steps[0]) for _, steps in resolved}
