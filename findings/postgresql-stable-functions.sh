#!/bin/sh
# One would guess: a function that PostgreSQL's catalogue calls STABLE "cannot modify the database", so that all functions
# which are not VOLATILE only give a value.
# What happens: txid_current() is STABLE, and takes a transaction number in a transaction that may only read.
# pg_timezone_names() and pg_available_extensions() are STABLE and read files of the server; table_to_xml() is STABLE and reads
# any table by its name.
# Seen with PostgreSQL 18.7 in @electric-sql/pglite 0.5.17; the same on PostgreSQL 15.18.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @electric-sql/pglite@0.5.17 >/dev/null
cat >stable.mjs <<'JS'
import { PGlite } from "@electric-sql/pglite";
const db = new PGlite();
const first = ({ rows }) => Object.values(rows[0])[0];
console.log("PostgreSQL", first(await db.query("SHOW server_version")));
let stable = true;
for (const name of ["txid_current", "pg_timezone_names", "pg_available_extensions", "table_to_xml"]) {
  const kind = first(await db.query("SELECT DISTINCT provolatile FROM pg_proc WHERE proname = $1", [name]));
  console.log(`${name}: provolatile = ${kind}`);
  stable &&= kind === "s";
}
const taken = () =>
  db.transaction(async (transaction) => {
    await transaction.query("SET TRANSACTION READ ONLY");
    return Number(first(await transaction.query("SELECT txid_current()")));
  });
const [one, two] = [await taken(), await taken()];
console.log(`numbers taken by two transactions that may only read: ${one}, ${two}`);
process.exit(stable && two > one ? 0 : 1);
JS
node stable.mjs
