"""What each language's syntax yields: published conventions of docstrings, JSDoc, Go and Java comments."""

import pytest

from extract import Unreadable, clean_comment, description, extract, is_test, mask_name, speaks, split_name, summary

CASES = {
    "python method": (
        "a.py",
        'class Box:\n    @cached\n    def open(self, key):\n        """Open the box with a key.\n\n        Parameters\n        ----------\n        key\n        """\n        lid = self.lid\n        return lid\n',
        ("docstring", "Open the box with a key.", "@cached\ndef open(self, key):\n    lid = self.lid\n    return lid", "Box.open"),
    ),
    "python name": (
        "a.py",
        "def read_all_lines(path):\n    lines = []\n    for line in open(path):\n        lines.append(read_all_lines)\n    return lines\n",
        ("name", "read all lines", "def _(path):\n    lines = []\n    for line in open(path):\n        lines.append(_)\n    return lines", "read_all_lines"),
    ),
    "python test": (
        "tests/test_a.py",
        "def test_opens_the_box():\n    box = Box()\n    box.open()\n    assert box.is_open\n",
        ("test", "opens the box", "box = Box()\nbox.open()\nassert box.is_open", "test_opens_the_box"),
    ),
    "overloads": (
        "a.ts",
        "/** Adds two numbers together. */\nexport function add(a: number): number;\nexport function add(a: any) {\n  const b = a;\n  return b;\n}\n",
        ("docstring", "Adds two numbers together.", "export function add(a: any) {\n  const b = a;\n  return b;\n}", "add"),
    ),
    "decorated method": (
        "a.ts",
        "class A {\n  /** Gets the thing at once. */\n  @once()\n  get(): number {\n    return 1;\n  }\n}\n",
        ("docstring", "Gets the thing at once.", "get(): number {\n  return 1;\n}", "A.get"),
    ),
    "arrow in a tsx file": (
        "a.tsx",
        "/** Shows the whole list. */\nexport const List = () => {\n  return <ul />;\n};\n",
        ("docstring", "Shows the whole list.", "export const List = () => {\n  return <ul />;\n};", "List"),
    ),
    "assigned function": (
        "a.js",
        "/**\n * Clones an array of things.\n * @param {Array} arr\n */\ngoog.array.clone = function(arr) {\n  return goog.array.concat(\n    arr);\n};\n",
        ("docstring", "Clones an array of things.", "goog.array.clone = function(arr) {\n  return goog.array.concat(\n    arr);\n};", "clone"),
    ),
    "javascript test": (
        "a.test.js",
        'describe("box", () => {\n  it("opens with a key", async () => {\n    const box = new Box();\n    await box.open();\n    expect(box.isOpen).toBe(true);\n  });\n});\n',
        ("test", "opens with a key", "const box = new Box();\nawait box.open();\nexpect(box.isOpen).toBe(true);", ""),
    ),
    "go method": (
        "a.go",
        "package a\n\n// Open opens the box\n// with a key.\nfunc (b *Box) Open() int {\n\tlid := 1\n\treturn lid\n}\n",
        ("docstring", "Open opens the box with a key.", "func (b *Box) Open() int {\n\tlid := 1\n\treturn lid\n}", "Open"),
    ),
    "java method": (
        "A.java",
        "class A {\n  /** Returns the {@code best} of all. */\n  @Override\n  public int best(int x) {\n    return x;\n  }\n}\n",
        ("docstring", "Returns the best of all.", "@Override\npublic int best(int x) {\n  return x;\n}", "A.best"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_yields(case):
    path, text, (kind, query, code, symbol) = CASES[case]
    language = {"py": "python", "ts": "typescript", "tsx": "typescript", "js": "javascript", "go": "go", "java": "java"}[path.rsplit(".")[-1]]
    [pair] = extract(text, path, language)
    assert (pair.kind, " ".join(summary(pair.text).split()), pair.code, pair.symbol) == (kind, query, code, symbol)


def test_lines_are_the_functions_own():
    [pair] = extract(CASES["python method"][1], "a.py", "python")
    assert pair.lines == (2, 11)


def test_documented_code_keeps_its_docstring():
    [pair] = extract(CASES["python method"][1], "a.py", "python")
    assert '"""Open the box' in pair.documented and '"""' not in pair.code


@pytest.mark.parametrize(
    "text",
    ["def f(:\n", "print 'python 2'\n", "\0"],
)
def test_refuses_what_does_not_parse(text):
    with pytest.raises(Unreadable):
        list(extract(text, "a.py", "python"))


def test_a_stub_is_no_pair():
    assert list(extract('def open(key):\n    """Open the box with a key."""\n', "a.py", "python")) == []


def test_split_name():
    assert [split_name(name) for name in ("parseHTTPResponse", "read_all_lines", "toString2", "__init__")] == [
        "parse http response", "read all lines", "to string 2", "init",
    ]  # fmt: skip


def test_mask_name_leaves_longer_names():
    assert mask_name("add(added, add.x, $add)", "add") == "_(added, _.x, $add)"


def test_description_ends_at_the_parameters():
    assert description("Adds.\n\n@param a first") == "Adds."
    assert description("Adds.\n\nParameters\n----------\na") == "Adds."
    assert description("@description Adds two.") == "Adds two."


def test_comments_lose_their_marks():
    assert clean_comment("/**\n   * One.\n   *\n   * Two <b>bold</b>.\n   */") == "One.\n\nTwo bold."


def test_speaks():
    assert speaks("Returns the sum")
    assert not speaks("Sum.") and not speaks("@inheritDoc from the base class") and not speaks("返回两个数字的总和 of the sum")


def test_paths_of_tests():
    assert all(map(is_test, ("a/__tests__/b.js", "a.spec.ts", "test/a.js", "pkg/test_a.py", "a_test.go", "src/FooTest.java")))
    assert not any(map(is_test, ("src/a.js", "latest/a.py", "contest.py")))
