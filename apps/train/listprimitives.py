"""The typed primitives that list programs are composed from.

A primitive turns one value into another: L a list of integers, I an integer, S a string, W a list of words. It has a name
in JavaScript (two, so that a name does not give the implementation away), English words, a Python function that is its
meaning, and two JavaScript expressions in `v` that must agree with it; the tests run all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CONSTANTS = (2, 3, 4)


@dataclass(frozen=True)
class Primitive:
    key: str
    takes: str
    gives: str
    names: tuple[str, str]
    words: str
    meaning: Callable[[Any], Any]
    code: tuple[str, str]


def accumulate(values, join):
    result = []
    for value in values:
        result.append(join(result[-1], value) if result else value)
    return result


def runs(values):
    result = []
    for value in values:
        if result and result[-1][0] == value:
            result[-1].append(value)
        else:
            result.append([value])
    return result


def floor(a, b):
    return a // b


# key, takes > gives, names, words, meaning, two implementations; {k} is a constant
PLAIN = [
    ("sort", "L>L", "sortUp ascending", "sort it in rising order", sorted, "[...v].sort((a, b) => a - b)", "v.slice().sort((x, y) => x < y ? -1 : 1)"),
    ("sort_down", "L>L", "sortDown descending", "sort it in falling order", lambda v: sorted(v, reverse=True), "[...v].sort((a, b) => b - a)", "v.slice().sort((a, b) => a - b).reverse()"),
    ("sort_abs", "L>L", "sortBySize byMagnitude", "sort it by absolute value", lambda v: sorted(v, key=abs), "[...v].sort((a, b) => Math.abs(a) - Math.abs(b))", "v.slice().sort((x, y) => Math.abs(x) - Math.abs(y))"),
    ("reverse", "L>L", "backwards flip", "reverse it", lambda v: v[::-1], "[...v].reverse()", "v.map((_, i) => v[v.length - 1 - i])"),
    ("unique", "L>L", "unique distinct", "keep the first of equal numbers", lambda v: list(dict.fromkeys(v)), "[...new Set(v)]", "v.filter((x, i) => v.indexOf(x) === i)"),
    ("collapse", "L>L", "collapse dropRepeats", "drop what repeats the number before it", lambda v: [r[0] for r in runs(v)], "v.filter((x, i) => i === 0 || x !== v[i - 1])", "v.reduce((r, x) => r.length && r[r.length - 1] === x ? r : [...r, x], [])"),
    ("run_lengths", "L>L", "runLengths groupSizes", "give the lengths of its runs of equal numbers", lambda v: [len(r) for r in runs(v)], "v.reduce((r, x, i) => (i && x === v[i - 1] ? r[r.length - 1]++ : r.push(1), r), [])", "v.map((x, i) => i).filter((i) => i === 0 || v[i] !== v[i - 1]).map((s, i, a) => (i + 1 < a.length ? a[i + 1] : v.length) - s)"),
    ("square", "L>L", "squares squareAll", "square every number", lambda v: [x * x for x in v], "v.map((x) => x * x)", "v.map((x) => x ** 2)"),
    ("negate", "L>L", "negate flipSigns", "negate every number", lambda v: [-x for x in v], "v.map((x) => 0 - x)", "v.map((x) => x * -1 + 0)"),
    ("absolute", "L>L", "absolutes sizes", "take every absolute value", lambda v: [abs(x) for x in v], "v.map((x) => Math.abs(x))", "v.map((x) => x < 0 ? -x : x)"),
    ("signs", "L>L", "signs toSigns", "replace every number by its sign", lambda v: [(x > 0) - (x < 0) for x in v], "v.map((x) => Math.sign(x))", "v.map((x) => x > 0 ? 1 : x < 0 ? -1 : 0)"),
    ("evens", "L>L", "evens keepEven", "keep the even numbers", lambda v: [x for x in v if x % 2 == 0], "v.filter((x) => x % 2 === 0)", "v.filter((x) => !(x % 2))"),
    ("odds", "L>L", "odds keepOdd", "keep the odd numbers", lambda v: [x for x in v if x % 2], "v.filter((x) => x % 2 !== 0)", "v.filter((x) => Math.abs(x) % 2 === 1)"),
    ("positive", "L>L", "positives keepPositive", "keep the numbers above zero", lambda v: [x for x in v if x > 0], "v.filter((x) => x > 0)", "v.filter((x) => Math.sign(x) === 1)"),
    ("negative", "L>L", "negatives keepNegative", "keep the numbers below zero", lambda v: [x for x in v if x < 0], "v.filter((x) => x < 0)", "v.filter((x) => Math.sign(x) === -1)"),
    ("even_places", "L>L", "everyOther evenPlaces", "keep every second number, the first included", lambda v: v[::2], "v.filter((_, i) => i % 2 === 0)", "v.filter((_, i) => !(i & 1))"),
    ("odd_places", "L>L", "oddPlaces skipFirst", "keep every second number, from the second on", lambda v: v[1::2], "v.filter((_, i) => i % 2 === 1)", "v.filter((_, i) => i & 1)"),
    ("running_sum", "L>L", "runningSum sums", "replace it by its running sums", lambda v: accumulate(v, lambda a, b: a + b), "v.reduce((r, x) => [...r, x + (r.length ? r[r.length - 1] : 0)], [])", "v.map((_, i) => v.slice(0, i + 1).reduce((s, x) => s + x, 0))"),
    ("running_max", "L>L", "runningMax highest", "replace it by its running maxima", lambda v: accumulate(v, max), "v.map((_, i) => Math.max(...v.slice(0, i + 1)))", "v.reduce((r, x) => [...r, r.length && r[r.length - 1] > x ? r[r.length - 1] : x], [])"),
    ("running_min", "L>L", "runningMin lowest", "replace it by its running minima", lambda v: accumulate(v, min), "v.map((_, i) => Math.min(...v.slice(0, i + 1)))", "v.reduce((r, x) => [...r, r.length && r[r.length - 1] < x ? r[r.length - 1] : x], [])"),
    ("differences", "L>L", "differences steps", "replace it by the differences of neighbours, later minus earlier", lambda v: [b - a for a, b in zip(v, v[1:])], "v.slice(1).map((x, i) => x - v[i])", "v.slice(0, -1).map((x, i) => v[i + 1] - x)"),
    ("neighbour_sums", "L>L", "neighbourSums pairSums", "replace it by the sums of neighbours", lambda v: [a + b for a, b in zip(v, v[1:])], "v.slice(1).map((x, i) => x + v[i])", "v.slice(0, -1).map((x, i) => x + v[i + 1])"),
    ("by_place", "L>L", "timesPlace weigh", "multiply every number by its place, counted from one", lambda v: [x * (i + 1) for i, x in enumerate(v)], "v.map((x, i) => x * (i + 1))", "v.map((x, i) => x * i + x)"),
    ("mirror", "L>L", "mirror palindrome", "append its reverse", lambda v: v + v[::-1], "[...v, ...[...v].reverse()]", "v.concat(v.slice().reverse())"),
    ("twice", "L>L", "eachTwice stutter", "write every number twice", lambda v: [x for x in v for _ in range(2)], "v.flatMap((x) => [x, x])", "v.reduce((r, x) => [...r, x, x], [])"),
    ("drop_max", "L>L", "dropLargest withoutMax", "remove the numbers equal to its largest", lambda v: [x for x in v if x != max(v)], "v.filter((x) => x !== Math.max(...v))", "v.filter((x) => x < Math.max(...v))"),
    ("drop_min", "L>L", "dropSmallest withoutMin", "remove the numbers equal to its smallest", lambda v: [x for x in v if x != min(v)], "v.filter((x) => x !== Math.min(...v))", "v.filter((x) => x > Math.min(...v))"),
    ("swap_ends", "L>L", "swapEnds exchange", "swap its first and last numbers", lambda v: v if len(v) < 2 else [v[-1], *v[1:-1], v[0]], "v.map((x, i) => i === 0 ? v[v.length - 1] : i === v.length - 1 ? v[0] : x)", "v.length < 2 ? v : [v[v.length - 1], ...v.slice(1, -1), v[0]]"),
    ("evens_first", "L>L", "evensFirst splitParity", "put the even numbers before the odd ones", lambda v: [x for x in v if x % 2 == 0] + [x for x in v if x % 2], "[...v.filter((x) => x % 2 === 0), ...v.filter((x) => x % 2 !== 0)]", "v.slice().sort((a, b) => Math.abs(a % 2) - Math.abs(b % 2))"),
    ("append_sum", "L>L", "appendSum withTotal", "append its sum", lambda v: [*v, sum(v)], "[...v, v.reduce((s, x) => s + x, 0)]", "v.concat(v.reduce((s, x) => s + x, 0))"),
    ("rank_above", "L>L", "countSmaller ranks", "replace every number by how many are smaller", lambda v: [sum(y < x for y in v) for x in v], "v.map((x) => v.filter((y) => y < x).length)", "v.map((x) => v.reduce((n, y) => n + (y < x ? 1 : 0), 0))"),
    ("sum", "L>I", "total sumAll", "give the sum", sum, "v.reduce((s, x) => s + x, 0)", "[0, ...v].reduce((s, x) => s + x)"),
    ("maximum", "L>I", "largest maximum", "give the largest number, or 0", lambda v: max(v, default=0), "v.length ? Math.max(...v) : 0", "v.reduce((m, x, i) => i && m > x ? m : x, 0)"),
    ("minimum", "L>I", "smallest minimum", "give the smallest number, or 0", lambda v: min(v, default=0), "v.length ? Math.min(...v) : 0", "v.reduce((m, x, i) => i && m < x ? m : x, 0)"),
    ("length", "L>I", "count size", "give how many there are", len, "v.length", "v.reduce((n) => n + 1, 0)"),
    ("distinct", "L>I", "countDistinct kinds", "give how many different ones there are", lambda v: len(set(v)), "new Set(v).size", "v.filter((x, i) => v.indexOf(x) === i).length"),
    ("first", "L>I", "firstOf head", "give the first number, or 0", lambda v: v[0] if v else 0, "v.length ? v[0] : 0", "v[0] || 0"),
    ("last", "L>I", "lastOf tail", "give the last number, or 0", lambda v: v[-1] if v else 0, "v.length ? v[v.length - 1] : 0", "v[v.length - 1] || 0"),
    ("spread", "L>I", "spread span", "give the largest minus the smallest, or 0", lambda v: max(v) - min(v) if v else 0, "v.length ? Math.max(...v) - Math.min(...v) : 0", "Math.max(0, Math.max(...v) - Math.min(...v))"),
    ("alternating", "L>I", "alternatingSum plusMinus", "give the sum with alternating signs, the first one plus", lambda v: sum(x if i % 2 == 0 else -x for i, x in enumerate(v)), "v.reduce((s, x, i) => i % 2 ? s - x : s + x, 0)", "v.reduceRight((s, x) => x - s, 0) + 0"),
    ("digits", "I>L", "digits toDigits", "give its decimal digits", lambda v: [int(c) for c in str(abs(v))], "[...String(Math.abs(v))].map(Number)", "String(Math.abs(v)).split('').map((c) => +c)"),
    ("upto", "I>L", "upTo countUp", "count from 1 up to it, at most to 9", lambda v: list(range(1, min(v, 9) + 1)), "Array.from({ length: Math.max(0, Math.min(v, 9)) }, (_, i) => i + 1)", "[1, 2, 3, 4, 5, 6, 7, 8, 9].filter((x) => x <= v)"),
    ("upper", "S>S", "upper shout", "write it in upper case", str.upper, "v.toUpperCase()", "[...v].map((c) => c.toUpperCase()).join('')"),
    ("reverse_text", "S>S", "reverseText backwardsText", "reverse its letters", lambda v: v[::-1], "[...v].reverse().join('')", "v.split('').reduce((r, c) => c + r, '')"),
    ("no_vowels", "S>S", "dropVowels consonants", "remove its vowels", lambda v: "".join(c for c in v if c not in "aeiouAEIOU"), "v.replace(/[aeiou]/gi, '')", "[...v].filter((c) => !'aeiouAEIOU'.includes(c)).join('')"),
    ("double_letters", "S>S", "doubleLetters echo", "write every character twice", lambda v: "".join(c * 2 for c in v), "[...v].map((c) => c + c).join('')", "v.replace(/./g, '$&$&')"),
    ("capitals", "S>S", "capitalize titleCase", "capitalize every word", lambda v: " ".join(w[:1].upper() + w[1:] for w in v.split(" ")), "v.split(' ').map((w) => w.slice(0, 1).toUpperCase() + w.slice(1)).join(' ')", "v.replace(/(^| )[a-z]/g, (m) => m.toUpperCase())"),
    ("dashes", "S>S", "dashes kebab", "replace its spaces by dashes", lambda v: v.replace(" ", "-"), "v.replace(/ /g, '-')", "v.split(' ').join('-')"),
    ("no_spaces", "S>S", "dropSpaces squeeze", "remove its spaces", lambda v: v.replace(" ", ""), "v.replace(/ /g, '')", "v.split(' ').join('')"),
    ("sort_letters", "S>S", "sortLetters ordered", "sort its characters", lambda v: "".join(sorted(v)), "[...v].sort().join('')", "v.split('').sort((a, b) => a < b ? -1 : a > b ? 1 : 0).join('')"),
    ("collapse_letters", "S>S", "collapseLetters dropDoubles", "drop characters that repeat the one before", lambda v: "".join(r[0] for r in runs(v)), "v.replace(/(.)\\1+/g, '$1')", "[...v].filter((c, i) => c !== v[i - 1]).join('')"),
    ("words", "S>W", "words split", "split it into words", str.split, "v.split(' ').filter((w) => w)", "v.split(' ').filter((w) => w !== '')"),
    ("characters", "S>W", "characters letters", "split it into characters", list, "[...v]", "v.split('')"),
    ("text_length", "S>I", "textLength charCount", "give how many characters it has", len, "v.length", "[...v].length"),
    ("vowels", "S>I", "countVowels vowelCount", "give how many vowels it has", lambda v: sum(c in "aeiouAEIOU" for c in v), "[...v].filter((c) => 'aeiouAEIOU'.includes(c)).length", "v.length - v.replace(/[aeiou]/gi, '').length"),
    ("sort_words", "W>W", "sortWords alphabetical", "sort the words", sorted, "[...v].sort()", "v.slice().sort((a, b) => a < b ? -1 : a > b ? 1 : 0)"),
    ("by_length", "W>W", "byLength shortestFirst", "sort the words by length", lambda v: sorted(v, key=len), "[...v].sort((a, b) => a.length - b.length)", "v.slice().sort((x, y) => x.length - y.length)"),
    ("reverse_words", "W>W", "reverseWords lastFirst", "reverse the order of the words", lambda v: v[::-1], "[...v].reverse()", "v.map((_, i) => v[v.length - 1 - i])"),
    ("unique_words", "W>W", "uniqueWords distinctWords", "keep the first of equal words", lambda v: list(dict.fromkeys(v)), "[...new Set(v)]", "v.filter((w, i) => v.indexOf(w) === i)"),
    ("reverse_each", "W>W", "reverseEach mirrorWords", "reverse each word", lambda v: [w[::-1] for w in v], "v.map((w) => [...w].reverse().join(''))", "v.map((w) => w.split('').reverse().join(''))"),
    ("initials", "W>W", "initials firstLetters", "keep the first letter of each word", lambda v: [w[:1] for w in v], "v.map((w) => w.slice(0, 1))", "v.map((w) => w.charAt(0))"),
    ("lengths", "W>L", "lengths wordSizes", "give the lengths of the words", lambda v: [len(w) for w in v], "v.map((w) => w.length)", "v.map((w) => [...w].length)"),
    ("join", "W>S", "join together", "join the words with spaces", " ".join, "v.join(' ')", "v.reduce((s, w, i) => i ? s + ' ' + w : w, '')"),
    ("join_tight", "W>S", "glue concatenate", "join the words without spaces", "".join, "v.join('')", "v.reduce((s, w) => s + w, '')"),
    ("longest", "W>S", "longest longestWord", "give the first of the longest words", lambda v: max(v, key=len, default=""), "v.reduce((m, w) => w.length > m.length ? w : m, '')", "[...v].sort((a, b) => b.length - a.length)[0] || ''"),
]

WITH_CONSTANT = [
    ("add", "L>L", "add plus", "add {k} to every number", lambda k: lambda v: [x + k for x in v], "v.map((x) => x + {k})", "v.map((x) => {k} + x)"),
    ("multiply", "L>L", "times multiply", "multiply every number by {k}", lambda k: lambda v: [x * k for x in v], "v.map((x) => x * {k})", "v.map((x) => {k} * x)"),
    ("divide", "L>L", "divide over", "divide every number by {k}, rounding down", lambda k: lambda v: [floor(x, k) for x in v], "v.map((x) => Math.floor(x / {k}))", "v.map((x) => (x - ((x % {k}) + {k}) % {k}) / {k})"),
    ("above", "L>L", "above greater", "keep the numbers above {k}", lambda k: lambda v: [x for x in v if x > k], "v.filter((x) => x > {k})", "v.filter((x) => !(x <= {k}))"),
    ("take", "L>L", "take firstN", "keep the first {k}", lambda k: lambda v: v[:k], "v.slice(0, {k})", "v.filter((_, i) => i < {k})"),
    ("drop", "L>L", "drop skip", "drop the first {k}", lambda k: lambda v: v[k:], "v.slice({k})", "v.filter((_, i) => i >= {k})"),
    ("take_last", "L>L", "takeLast lastN", "keep the last {k}", lambda k: lambda v: v[-k:], "v.slice(-{k})", "v.filter((_, i) => i >= v.length - {k})"),
    ("rotate", "L>L", "rotate cycle", "rotate it to the left by {k}", lambda k: lambda v: v if not v else v[k % len(v):] + v[:k % len(v)], "v.map((_, i) => v[(i + {k}) % v.length])", "[...v.slice({k} % v.length), ...v.slice(0, {k} % v.length)]"),
    ("longer", "W>W", "longerThan keepLong", "keep the words longer than {k} letters", lambda k: lambda v: [w for w in v if len(w) > k], "v.filter((w) => w.length > {k})", "v.filter((w) => w[{k}] !== undefined)"),
]


def primitives() -> list[Primitive]:
    """All primitives; one that has a constant counts once for each value of it."""
    result = []
    for key, types, names, words, meaning, *code in PLAIN:
        takes, gives = types.split(">")
        result.append(Primitive(key, takes, gives, tuple(names.split(" ")), words, meaning, tuple(code)))
    for key, types, names, words, make, *code in WITH_CONSTANT:
        takes, gives = types.split(">")
        for k in CONSTANTS:
            filled = [part.replace("{k}", str(k)) for part in (*names.split(" "), words, *code)]
            called = (f"{filled[0]}{k}", f"{filled[1]}{k}")
            result.append(Primitive(f"{key}{k}", takes, gives, called, filled[2], make(k), (filled[3], filled[4])))
    return result
