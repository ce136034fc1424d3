// What a program of the quickjs driver finds around itself: console, process, require("fs") and module.
// worker.js runs this first, with `host` as a global: { print(stream, text), exit(code), readInput() }.
(() => {
  const { print, exit, readInput } = host;
  const toText = String;
  delete globalThis.host;
  const show = (value) => {
    if (typeof value === "string") return value;
    if (typeof value === "function" || typeof value === "symbol") return String(value);
    try {
      return JSON.stringify(value) ?? String(value);
    } catch {
      return String(value);
    }
  };
  const line =
    (stream) =>
    (...values) =>
      print(stream, `${values.map(show).join(" ")}\n`);
  const stream = (number) => ({
    write: (text) => {
      print(number, toText(text));
      return true;
    },
  });
  globalThis.console = { log: line(1), info: line(1), debug: line(1), warn: line(2), error: line(2) };
  globalThis.process = { argv: ["quickjs", "program.js"], env: {}, exit, stdout: stream(1), stderr: stream(2) };
  const fs = {
    readFileSync: (path) => {
      if (path === 0 || path === "/dev/stdin") return readInput();
      throw new Error("there are no files");
    },
  };
  globalThis.module = { exports: {} };
  globalThis.exports = globalThis.module.exports;
  globalThis.require = (name) => {
    if (name === "fs" || name === "node:fs") return fs;
    throw new Error(`there is no module ${name}`);
  };
})();
