"""Functions and tests of one source file, found by syntax.

Python is read with the standard `ast`; JavaScript, TypeScript, Go and Java with tree-sitter grammars.
Nothing here knows of repositories, licences or duplicates: see mine.py.
"""

import ast
import functools
import re
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import tree_sitter
import tree_sitter_go
import tree_sitter_java
import tree_sitter_javascript
import tree_sitter_typescript

EXTENSIONS = {
    "py": "python",
    "js": "javascript", "mjs": "javascript", "cjs": "javascript", "jsx": "javascript",
    "ts": "typescript", "mts": "typescript", "cts": "typescript", "tsx": "typescript",
    "go": "go",
    "java": "java",
    "md": "markdown",
}  # fmt: skip

MOST_CHARACTERS = 12_000  # of one function; longer ones are tables or whole programs
FEWEST_LINES = 3  # of a function without its docstring
FEWEST_WORDS = 3  # of a docstring or a test's title


@dataclass(frozen=True, slots=True)
class Pair:
    """A text and the code it speaks of.

    kind: "docstring" (text is the cleaned docstring or JSDoc), "name" (the function's name, split into words)
    or "test" (a test's title). code has no docstring; documented is the code as its author wrote it, or "" where
    nothing was removed. In a "name" pair the name itself is masked in the code, so that it cannot be read off.
    lines: first and last line, from 1.
    """

    kind: str
    text: str
    code: str
    documented: str
    symbol: str
    lines: tuple[int, int]


class Unreadable(Exception):
    """The file does not parse in its language."""


def extract(text: str, path: str, language: str) -> Iterator[Pair]:
    """Yields the pairs of one file. Raises Unreadable where the syntax is not of that language."""
    in_test = is_test(path)
    if language == "python":
        return _python(text, in_test)
    if language in ("javascript", "typescript"):
        return _script(text, "tsx" if path.endswith("x") and language == "typescript" else language, in_test)
    if language in ("go", "java"):
        return _compiled(text, language, in_test)
    return iter(())


def is_test(path: str) -> bool:
    """Whether a path names tests by the conventions of its language."""
    return bool(re.search(r"(^|/)(tests?|__tests__|specs?|testing)/|[._-](test|spec)s?\.\w+$|(^|/)test_\w+\.py$|Test\.java$", path))


# ---------------------------------------------------------------- text


def split_name(name: str) -> str:
    """"parseHTTPResponse_v2" → "parse http response v2"."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", re.sub(r"(?<=[a-zA-Z])(?=\d)", "", name))
    return " ".join(word.lower() for word in words)


def mask_name(code: str, name: str) -> str:
    """Replaces every whole-word occurrence of a function's name by "_"."""
    return re.sub(rf"(?<![\w$]){re.escape(name)}(?![\w$])", "_", code)


def clean_comment(comment: str) -> str:
    """The text of a block comment or of line comments, without their marks and inline tags."""
    if comment.startswith("/*"):
        comment = re.sub(r"^/\*+|\*+/$", "", comment)
        lines = [re.sub(r"^\s*\*? ?", "", line, count=1) for line in comment.split("\n")]
    else:
        lines = [re.sub(r"^\s*// ?", "", line) for line in comment.split("\n")]
    return clean_text("\n".join(lines))


def clean_text(text: str) -> str:
    text = re.sub(r"\{@(?:link|linkcode|linkplain|code|literal)\s+([^}]*)\}", r"\1", text)
    text = re.sub(r":[a-z:]+:`~?([^`]*)`", r"\1", text)  # reStructuredText roles
    text = re.sub(r"</?[a-zA-Z][^<>]*>", "", text)
    text = "\n".join(line.rstrip() for line in text.strip().split("\n"))
    return re.sub(r"\n{3,}", "\n\n", text)[:4_000]


def description(docstring: str) -> str:
    """The part of a cleaned docstring before its parameters: up to the first tag or underlined section."""
    tagged = re.sub(r"^@(?:description|desc|fileoverview|summary)\s+", "", docstring)
    text = re.split(r"(?m)^\s*@\w|^\s*:(?:param|return|type|raise)|^(?:Parameters|Returns|Args|Arguments|Example|Raises|Yields)s?\s*:?\s*$", tagged)[0]
    return text.strip()


def summary(docstring: str) -> str:
    """The first sentence of a docstring's description, on one line, 60 words at most."""
    paragraph = " ".join(re.split(r"\n\s*\n", description(docstring))[0].split())
    sentence = re.split(r"(?<=[.!?])\s+(?=[A-Z`])", paragraph)[0]
    return " ".join(sentence.split()[:60])


def speaks(text: str) -> bool:
    """Whether a docstring says something: at least three words, most of it Latin letters, no bare reference."""
    words = re.findall(r"[A-Za-z]{2,}", text)
    if len(words) < FEWEST_WORDS or re.match(r"(?i)\W*(inherit|see\b|todo|eslint|istanbul|copyright|licen[cs]e)", text):
        return False
    return sum(character.isascii() for character in text) >= 0.9 * len(text)


def _sized(code: str) -> bool:
    return len(code) <= MOST_CHARACTERS and code.count("\n") + 1 >= FEWEST_LINES


# ---------------------------------------------------------------- Python


def _python(text: str, in_test: bool) -> Iterator[Pair]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Unreadable(str(error)) from error
    return _python_block(tree.body, "", text.splitlines(keepends=True), in_test)


def _python_block(nodes: list[ast.stmt], prefix: str, lines: list[str], in_test: bool) -> Iterator[Pair]:
    for node in nodes:
        if isinstance(node, ast.ClassDef):
            yield from _python_block(node.body, f"{prefix}{node.name}.", lines, in_test)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from _python_function(node, prefix, lines, in_test)
        elif isinstance(node, (ast.If, ast.Try)):
            yield from _python_block(node.body + node.orelse, prefix, lines, in_test)


def _python_function(node, prefix: str, lines: list[str], in_test: bool) -> Iterator[Pair]:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    docstring = ast.get_docstring(node, clean=True)
    body = node.body[1:] if docstring is not None else node.body
    if not body or body[0].lineno == node.lineno or (docstring is not None and node.body[0].lineno == node.lineno):
        return  # a stub, or all on one line
    whole = textwrap.dedent("".join(lines[first - 1 : node.end_lineno])).rstrip()
    span = (first, node.end_lineno)
    if docstring is None:
        code = whole
    else:
        kept = lines[first - 1 : node.body[0].lineno - 1] + lines[node.body[0].end_lineno : node.end_lineno]
        code = textwrap.dedent("".join(kept)).rstrip()
    cleaned = clean_text(docstring or "")
    spoken = speaks(description(cleaned))
    if in_test:
        if not re.match(r"test", node.name):
            return
        title = summary(cleaned) if spoken else split_name(re.sub(r"^test_?", "", node.name))
        inner = textwrap.dedent("".join(lines[body[0].lineno - 1 : node.end_lineno])).rstrip()
        if len(title.split()) >= FEWEST_WORDS and _sized(inner):
            yield Pair("test", title, inner, "", prefix + node.name, span)
    elif _sized(code):
        if spoken:
            yield Pair("docstring", cleaned, code, whole, prefix + node.name, span)
        else:
            yield from _named(node.name, code, prefix + node.name, span)


def _named(name: str, code: str, symbol: str, span: tuple[int, int]) -> Iterator[Pair]:
    words = split_name(name)
    if 2 <= len(words.split()) <= 12 and code.count("\n") >= FEWEST_LINES:
        yield Pair("name", words, mask_name(code, name), "", symbol, span)


# ---------------------------------------------------------------- tree-sitter

_SCRIPT_QUERY = """
[ (function_declaration name: (_) @name) (generator_function_declaration name: (_) @name)
  (method_definition name: (_) @name) ] @function
(variable_declarator name: (identifier) @name value: [(arrow_function) (function_expression) (generator_function)]) @function
(assignment_expression left: [(member_expression property: (_) @name) (identifier) @name]
  right: [(arrow_function) (function_expression) (generator_function)]) @function
(pair key: (property_identifier) @name value: [(arrow_function) (function_expression)]) @function
(%s: (property_identifier) @name value: [(arrow_function) (function_expression)]) @function
(call_expression function: [(identifier) (member_expression)] @call
  arguments: (arguments . [(string) (template_string)] @title
    [(arrow_function body: (statement_block) @block) (function_expression body: (statement_block) @block)])) @test
"""
_GRAMMARS = {
    "javascript": (tree_sitter_javascript.language, _SCRIPT_QUERY % "field_definition property"),
    "typescript": (tree_sitter_typescript.language_typescript, _SCRIPT_QUERY % "public_field_definition name"),
    "tsx": (tree_sitter_typescript.language_tsx, _SCRIPT_QUERY % "public_field_definition name"),
    "go": (tree_sitter_go.language, "[(function_declaration name: (_) @name) (method_declaration name: (_) @name)] @function"),
    "java": (tree_sitter_java.language, "[(method_declaration name: (_) @name) (constructor_declaration name: (_) @name)] @function"),
}  # fmt: skip
_CARRIERS = {
    "variable_declarator", "lexical_declaration", "variable_declaration", "expression_statement",
    "export_statement", "assignment_expression",
}  # fmt: skip
_FUNCTIONS = {"function_declaration", "method_definition", "arrow_function", "function_expression", "generator_function"}


@functools.cache
def _grammar(name: str):
    language, query = _GRAMMARS[name]
    loaded = tree_sitter.Language(language())
    return tree_sitter.Parser(loaded), tree_sitter.Query(loaded, query)


def _matches(text: str, grammar: str):
    parser, query = _grammar(grammar)
    source = text.encode("utf-8", "surrogatepass")
    tree = parser.parse(source)
    if tree.root_node.type == "ERROR":
        raise Unreadable("syntax error at the top level")
    for _, captures in tree_sitter.QueryCursor(query).matches(tree.root_node):
        yield source, captures


def _text(source: bytes, first: int, last: int) -> str:
    return source[first:last].decode("utf-8", "replace")


def _lines_of(source: bytes, node) -> str:
    """A node's text, dedented: read from the start of its line where only space stands before it."""
    start = source.rfind(b"\n", 0, node.start_byte) + 1
    if source[start : node.start_byte].strip():
        start = node.start_byte
    return textwrap.dedent(_text(source, start, node.end_byte)).rstrip()


def _comment_above(source: bytes, node, mark: bytes) -> str:
    """The comment that ends on the line above a node; overload signatures and annotations in between are passed."""
    previous = node.prev_sibling
    line = node.start_point[0]
    while previous is not None and (
        previous.type in ("function_signature", "method_signature", "decorator", ";")
        or (previous.type == "export_statement" and any(child.type == "function_signature" for child in previous.children))
    ):
        line = previous.start_point[0]
        previous = previous.prev_sibling
    comments = []
    while previous is not None and "comment" in previous.type and line - previous.end_point[0] <= 1:
        comment = _text(source, previous.start_byte, previous.end_byte)
        if not comment.encode().startswith(mark):
            break
        comments.insert(0, comment)
        line = previous.start_point[0]
        if mark == b"/**":
            break
        previous = previous.prev_sibling
    return "\n".join(comments)


def _inside_function(node) -> bool:
    while (node := node.parent) is not None:
        if node.type in _FUNCTIONS:
            return True
    return False


def _owner(source: bytes, node) -> str:
    """"Class." of the nearest class around a node, or ""."""
    while (node := node.parent) is not None:
        if node.type in ("class_declaration", "class", "interface_declaration", "enum_declaration"):
            name = node.child_by_field_name("name")
            return f"{_text(source, name.start_byte, name.end_byte)}." if name else ""
    return ""


def _span(node) -> tuple[int, int]:
    return node.start_point[0] + 1, node.end_point[0] + 1


def _script(text: str, grammar: str, in_test: bool) -> Iterator[Pair]:
    for source, captures in _matches(text, grammar):
        if "test" in captures:
            yield from _script_test(source, captures)
            continue
        node, name = captures["function"][0], _text(source, captures["name"][0].start_byte, captures["name"][0].end_byte)
        if in_test or node.has_error:
            continue
        carrier = node
        while carrier.parent is not None and carrier.parent.type in _CARRIERS:
            carrier = carrier.parent
        comment = _comment_above(source, carrier, b"/**")
        yield from _function(source, carrier, name, comment, nested=_inside_function(node))


def _function(source: bytes, node, name: str, comment: str, nested: bool) -> Iterator[Pair]:
    code = _lines_of(source, node)
    if not _sized(code):
        return
    cleaned = clean_comment(comment)
    symbol = _owner(source, node) + name
    if speaks(description(cleaned)):
        aligned = re.sub(r"(?m)^\s+\*", " *", comment)
        yield Pair("docstring", cleaned, code, f"{aligned}\n{code}", symbol, _span(node))
    elif not nested:
        yield from _named(name, code, symbol, _span(node))


def _script_test(source: bytes, captures) -> Iterator[Pair]:
    call, title, block, node = (captures[key][0] for key in ("call", "title", "block", "test"))
    if not re.match(rb"(it|test|Deno\.test|specify)\b(?!\.(each|skip\.each))", source[call.start_byte : call.end_byte]):
        return
    words = _text(source, title.start_byte + 1, title.end_byte - 1)
    inner = textwrap.dedent(_text(source, block.start_byte + 1, block.end_byte - 1).strip("\r\n")).rstrip()
    if len(re.findall(r"[A-Za-z]{2,}", words)) >= FEWEST_WORDS and "${" not in words and _sized(inner) and not node.has_error:
        yield Pair("test", " ".join(words.split()), inner, "", "", _span(node))


def _compiled(text: str, language: str, in_test: bool) -> Iterator[Pair]:
    mark = b"/**" if language == "java" else b"//"
    for source, captures in _matches(text, language):
        node, name = captures["function"][0], _text(source, captures["name"][0].start_byte, captures["name"][0].end_byte)
        if node.has_error:
            continue
        if not in_test:
            yield from _function(source, node, name, _comment_above(source, node, mark), nested=False)
            continue
        block = node.child_by_field_name("body")
        is_case = name.startswith("Test") if language == "go" else b"@Test" in source[node.start_byte : node.start_byte + 80]
        if block is None or not is_case:
            continue
        title = split_name(re.sub(r"^[tT]est_?", "", name))
        inner = textwrap.dedent(_text(source, block.start_byte + 1, block.end_byte - 1).strip("\r\n")).rstrip()
        if len(title.split()) >= FEWEST_WORDS and _sized(inner):
            yield Pair("test", title, inner, "", name, _span(node))
