#!/bin/sh
# One would guess: a function that `pragma function_list` shows without flags only computes, since functions with side
# effects are marked DIRECTONLY.
# What happens: optimize() of FTS4 has the flags 0, and a SELECT that calls it merges the segments of the index: it writes.
# Seen with SQLite 3.54.1 in sql.js 1.17.0; the same with Python's SQLite.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund sql.js@1.17.0 >/dev/null
cat >optimize.cjs <<'JS'
require("sql.js")().then(({ Database }) => {
  const db = new Database();
  const first = (sql) => db.exec(sql)[0].values[0][0];
  console.log("SQLite", first("SELECT sqlite_version()"));
  db.run("CREATE VIRTUAL TABLE docs USING fts4(body)");
  const flags = first("SELECT flags FROM pragma_function_list WHERE name = 'optimize'");
  for (let n = 0; n < 40; n++) db.run("INSERT INTO docs VALUES (?)", [`word${n} text`]);
  const segments = () => first("SELECT count(*) FROM docs_segdir");
  const before = segments();
  const said = first("SELECT optimize(docs) FROM docs LIMIT 1");
  console.log(`flags of optimize: ${flags}; segments before: ${before}, after one SELECT: ${segments()}; it said: ${said}`);
  process.exit(flags === 0 && segments() < before ? 0 : 1);
});
JS
node optimize.cjs
