#!/usr/bin/env bash
# V8 (Node 20.20 and 24.21): an object literal with a getter, made anew for every request, costs far more than its bytes. The getter is
# a part of the object's hidden class, so that each evaluation makes a hidden class of its own. Hidden classes lie among the old
# objects; the getter's closure hangs on it, with all that the closure sees. All of that therefore survives the collections of
# young objects, although nobody refers to it any more, until a collection of the whole heap. The same object from a class with
# the getter on its prototype does not.
# One would guess: both ways leave next to nothing among the old objects, since nobody keeps what they make.
# What happens: the literal leaves hundreds of bytes each, with all that its closure sees; the class leaves none.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/literal-getter.mjs" <<'JS'
import { getHeapSpaceStatistics } from "node:v8";

class Launched {
  constructor(state) {
    this.state = state;
  }
  get over() {
    return this.state.over;
  }
}
const ways = {
  "literal with a getter": (state) => ({
    get over() {
      return state.over;
    },
  }),
  "class with a getter": (state) => new Launched(state),
};
const old = () => getHeapSpaceStatistics().find(({ space_name }) => space_name === "old_space").space_used_size;
const [, , name] = process.argv;
const make = ways[name];
const runs = 50_000;
const rises = [];
for (let round = 0; round < 5; round++) {
  const before = old();
  for (let run = 0; run < runs; run++) globalThis.last = make({ over: false, text: `run ${run}`, list: [run, round] });
  rises.push((old() - before) / runs);
}
console.log(Math.round(rises.sort((a, b) => a - b)[2]));
JS
# each in a process of its own: what V8 has learnt of one would count for the other
literal=$(node "$folder/literal-getter.mjs" "literal with a getter")
class=$(node "$folder/literal-getter.mjs" "class with a getter")
echo "bytes each among the old objects: literal with a getter $literal, class with a getter $class"
test "$literal" -gt 100 && test "$class" -lt 20
