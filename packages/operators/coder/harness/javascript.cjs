// Runs a candidate inside a driver. It reads one JSON task from its input, `{ nonce, code, entry?, calls?, names?, tests? }`,
// and writes one line for each call and one at the end, all of them beginning with the nonce:
//
//     <nonce>{"value": …} | <nonce>{"error": "…"}
//     <nonce>{"done": true, "assertions": 3, "failed": false, "error": null}
//
// Expected values never enter the sandbox; the nonce is read before the candidate runs.
(() => {
  "use strict";
  const fs = require("fs");
  const { nonce, code, entry, calls, names, tests } = JSON.parse(fs.readFileSync(0, "utf8"));
  // whatever the candidate replaces, this program uses what it has taken here
  const evaluate = eval,
    { stringify } = JSON,
    { keys, is, defineProperty } = Object,
    { isArray } = Array;
  const AsyncFunction = (async () => {}).constructor,
    apply = Reflect.apply,
    toText = String;
  const hostRequire = require,
    dates = Date.prototype.getTime,
    write = process.stdout.write.bind(process.stdout);
  const say = (text) => write("\n" + nonce + text + "\n");
  const { isPrototypeOf, toString: tag } = Object.prototype;
  const kinds = {
    Map: Map.prototype,
    Set: Set.prototype,
    Date: Date.prototype,
    Promise: Promise.prototype,
    RegExp: RegExp.prototype,
    Error: Error.prototype,
  };
  const isA = (kind, value) => apply(isPrototypeOf, kind, [value]);
  const mapEntries = Map.prototype.forEach,
    setEntries = Set.prototype.forEach;
  // loops over arrays, spreading and awaiting look these up each time
  const listIterator = Object.getPrototypeOf([][Symbol.iterator]());
  for (const [owner, key] of [
    [Array.prototype, Symbol.iterator],
    [listIterator, "next"],
    [Promise.prototype, "constructor"],
  ])
    defineProperty(owner, key, { writable: false, configurable: false });

  const insert = (items, item) => {
    let place = items.length++;
    while (place > 0 && items[place - 1] > item) {
      items[place] = items[place - 1];
      place -= 1;
    }
    items[place] = item;
  };

  // JSON with what JSON lacks: {"$": "undefined" | "NaN" | "Infinity" | "-Infinity" | "function"},
  // {"$": "bigint" | "date", text}, {"$": "map" | "set", items}
  const encode = (value, depth) => {
    if (depth > 200) throw new Error("the value is nested too deeply");
    switch (typeof value) {
      case "undefined":
        return '{"$":"undefined"}';
      case "function":
        return '{"$":"function"}';
      case "symbol":
        return '{"$":"symbol"}';
      case "bigint":
        return '{"$":"bigint","text":"' + value + '"}';
      case "number":
        return value - value === 0 ? "" + value : '{"$":"' + value + '"}';
      case "object":
        break;
      default:
        return stringify(value);
    }
    if (value === null) return "null";
    let text = "";
    const add = (part) => {
      text += (text === "" ? "" : ",") + part;
    };
    if (isArray(value)) {
      for (let i = 0; i < value.length; i++) add(encode(value[i], depth + 1));
      return "[" + text + "]";
    }
    // members of maps and sets in the order of their texts: two that hold the same are written the same
    const map = isA(kinds.Map, value);
    if (map || isA(kinds.Set, value)) {
      const items = { __proto__: null, length: 0 };
      apply(map ? mapEntries : setEntries, value, [
        (member, key) => {
          const own = encode(member, depth + 1);
          insert(items, map ? "[" + encode(key, depth + 1) + "," + own + "]" : own);
        },
      ]);
      for (let i = 0; i < items.length; i++) add(items[i]);
      return '{"$":"' + (map ? "map" : "set") + '","items":[' + text + "]}";
    }
    if (isA(kinds.Date, value)) return '{"$":"date","text":"' + apply(dates, value, []) + '"}';
    if (isA(kinds.Promise, value)) return '{"$":"promise"}';
    for (const key of keys(value)) add(stringify(key) + ":" + encode(value[key], depth + 1));
    return "{" + text + "}";
  };

  const equal = (a, b, depth = 0) => {
    if (is(a, b) || a === b) return true;
    if (typeof a !== "object" || typeof b !== "object" || a === null || b === null || depth > 200) return false;
    if (apply(tag, a, []) !== apply(tag, b, [])) return false;
    if (isA(kinds.Set, a) || isA(kinds.Map, a) || isA(kinds.Date, a)) return encode(a, 0) === encode(b, 0);
    // what tells these apart is no key of theirs
    if (isA(kinds.Promise, a)) return false;
    if ((isA(kinds.RegExp, a) || isA(kinds.Error, a)) && toText(a) !== toText(b)) return false;
    if (isArray(a) !== isArray(b)) return false;
    const left = keys(a),
      right = keys(b);
    if (left.length !== right.length) return false;
    for (const key of left) if (!(key in b) || !equal(a[key], b[key], depth + 1)) return false;
    return true;
  };

  const failure = (error) => {
    try {
      return error instanceof Error ? error.name + ": " + error.message : toText(error);
    } catch {
      return "unprintable";
    }
  };

  let assertions = 0,
    failed = false;
  class AssertionError extends Error {
    get name() {
      return "AssertionError";
    }
  }
  const differ = (a, b) => "expected " + shown(b) + ", got " + shown(a);
  const shown = (value) => {
    try {
      const text = encode(value, 0);
      return text.length > 300 ? text.slice(0, 300) + "…" : text;
    } catch {
      return "a value that cannot be printed";
    }
  };
  const toolsOf = (note) => {
    const compare = (holds) => {
      note(holds);
      return holds;
    };
    const must = (holds, message) => {
      if (!compare(holds))
        throw message instanceof Error
          ? message
          : new AssertionError(message === undefined ? "the assertion does not hold" : message);
    };
    const assert = (holds, message) => must(!!holds, message);
    const throwsIn = (work, message) => {
      let threw = false;
      try {
        work();
      } catch {
        threw = true;
      }
      must(threw, typeof message === "string" ? message : "no error was thrown");
    };
    const methods = {
      ok: assert,
      equal: (a, b, message) => must(a == b || is(a, b), message ?? differ(a, b)),
      notEqual: (a, b, message) => must(a != b, message),
      strictEqual: (a, b, message) => must(is(a, b), message ?? differ(a, b)),
      notStrictEqual: (a, b, message) => must(!is(a, b), message),
      deepEqual: (a, b, message) => must(equal(a, b), message ?? differ(a, b)),
      deepStrictEqual: (a, b, message) => must(equal(a, b), message ?? differ(a, b)),
      notDeepEqual: (a, b, message) => must(!equal(a, b), message),
      notDeepStrictEqual: (a, b, message) => must(!equal(a, b), message),
      throws: throwsIn,
      fail: (message) => must(false, message),
    };
    for (const key of keys(methods)) assert[key] = methods[key];
    assert.strict = assert;
    assert.AssertionError = AssertionError;
    for (const key of keys(assert)) Object.freeze(assert[key]);
    const lodash = Object.freeze({ isEqual: (a, b) => compare(equal(a, b)) });
    const known = {
      __proto__: null,
      assert,
      "node:assert": assert,
      "assert/strict": assert,
      "node:assert/strict": assert,
      lodash,
    };
    const console = Object.freeze({
      __proto__: globalThis.console,
      assert: (holds, ...rest) => must(!!holds, rest.length > 0 ? rest.join(" ") : undefined),
    });
    return { assert, console, require: (name) => known[name] ?? hostRequire(name) };
  };
  const own = toolsOf((holds) => {
    assertions += 1;
    failed = !holds;
  });
  for (const value of [AssertionError, JSON, Math, Object, Reflect]) Object.freeze(value);
  const shared = [own.assert, own.require, own.console, JSON, Math, Object];

  // what the candidate asserts counts for nothing
  globalThis.require = toolsOf(() => {}).require;
  if (typeof globalThis.module === "undefined") {
    globalThis.module = { exports: {} };
    globalThis.exports = globalThis.module.exports;
  }
  const end = (error) =>
    say(
      '{"done":true,"assertions":' +
        assertions +
        ',"failed":' +
        failed +
        ',"error":' +
        (error === undefined ? "null" : stringify(failure(error))) +
        "}",
    );

  (async () => {
    try {
      if (calls) {
        let work = evaluate(code + "\n;typeof " + entry.split(".")[0] + ' === "undefined" ? undefined : ' + entry);
        if (work === undefined)
          work =
            globalThis.module.exports[entry] ??
            (typeof globalThis.module.exports === "function" ? globalThis.module.exports : undefined);
        if (typeof work !== "function") throw new Error(entry + " is not a function");
        for (const values of calls) {
          let text;
          try {
            text = '{"value":' + encode(await work(...values), 0) + "}";
          } catch (error) {
            text = '{"error":' + stringify(failure(error)) + "}";
          }
          say(text);
        }
      } else {
        let fields = "";
        for (const name of names)
          fields += (fields === "" ? "" : ",") + name + ":typeof " + name + ' === "undefined" ? undefined : ' + name;
        const found = evaluate(code + "\n;({" + fields + "})");
        for (const name of names) {
          const value = found[name] ?? globalThis.module.exports[name];
          if (value !== undefined)
            try {
              defineProperty(globalThis, name, { value, configurable: true, writable: true });
            } catch {}
        }
        await new AsyncFunction("assert", "require", "console", "JSON", "Math", "Object", tests)(...shared);
      }
      end(undefined);
    } catch (error) {
      end(error ?? "an error without a value");
    }
  })();
})();
