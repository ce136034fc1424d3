import { next, zero } from "./kernel-parts.js";
import {
  type Code,
  FunctionBuilder,
  f32x4,
  i32,
  type Local,
  type Locals,
  loop,
  repeat,
  shuffle32,
  v128,
  when,
} from "./wasm.js";

// Attention by softmax, of one query or of two that meet the same head of keys and values: keys and values that were loaded serve
// both. Keys and values are rows of `stride` bytes; token j lies in place table[j / blockTokens] · blockTokens + j mod blockTokens.
// `entry` is where in the table the first block stands; `count` tokens follow from its first one on. Blocks have a multiple of four
// tokens, and the room for scores is that of whole blocks. What a query gets is the same alone and in a pair.

const keysAtOnce = 4;

/** `count` variables that are parameters: `queries` of each kind, then the rest. */
const parametersOf = (queries: 1 | 2, rest: number, last: "i32" | "f32"): ("i32" | "f32")[] => [
  ...Array.from({ length: 2 * queries + rest - 1 }, () => "i32" as const),
  last,
];

const move = (pointers: readonly Local[], bytes: number): Code[] => pointers.map((pointer) => next(pointer, bytes));

/**
 * (queries, scores, keys, bytes, stride, entry, blockTokens, count, scale): the scores q · k_j · scale of heads of `bytes` bytes,
 * with `queries` queries and as many places for scores. What stands behind `count` up to a multiple of four is overwritten.
 */
export const scoreKeys = (name: string, queries: 1 | 2): FunctionBuilder =>
  new FunctionBuilder(name, parametersOf(queries, 7, "f32"), undefined, (procedure, ...given) => {
    const query = given.slice(0, queries);
    const scores = given.slice(queries, 2 * queries);
    const [keys, bytes, stride, entry, blockTokens, count, scale] = given.slice(2 * queries) as Locals<7>;
    const [t, within, row, end] = procedure.variables(4, "i32");
    const key = procedure.variables(keysAtOnce, "i32");
    const at = query.map(() => procedure.variable("i32"));
    const sums = query.map(() => procedure.variables(keysAtOnce, "v128"));
    const x = query.map(() => procedure.variable("v128"));
    const [k, low, high] = procedure.variables(3, "v128");
    const step = (place: number): Code[] => [
      ...x.map((value, r) => value.set(v128.load(at[r]!.get, place))),
      ...key.flatMap((from, i) => [
        k.set(v128.load(from.get, place)),
        ...sums.map((some, r) => some[i]!.set(f32x4.madd(x[r]!.get, k.get, some[i]!.get))),
      ]),
    ];
    const whole = i32.add(query[0]!.get, i32.and(bytes.get, i32.const(-64)));
    return [
      t.set(i32.const(0)),
      repeat(
        [
          row.set(i32.add(keys.get, i32.mul(i32.mul(i32.load(entry.get), blockTokens.get), stride.get))),
          within.set(i32.const(0)),
          repeat(
            [
              ...key.map((local, i) => local.set(i === 0 ? row.get : i32.add(key[i - 1]!.get, stride.get))),
              row.set(i32.add(key[3]!.get, stride.get)),
              ...at.map((local, r) => local.set(query[r]!.get)),
              ...sums.flat().map((sum) => sum.set(zero)),
              end.set(whole),
              loop(i32.lt(at[0]!.get, end.get), [...[0, 16, 32, 48].flatMap(step), ...move([...at, ...key], 64)]),
              end.set(i32.add(query[0]!.get, bytes.get)),
              loop(i32.lt(at[0]!.get, end.get), [...step(0), ...move([...at, ...key], 16)]),
              ...sums.flatMap((some, r) => {
                const [a, b, c, d] = some.map(({ get }) => get) as [Code, Code, Code, Code];
                return [
                  low.set(f32x4.add(shuffle32(a, b, [0, 4, 2, 6]), shuffle32(a, b, [1, 5, 3, 7]))),
                  high.set(f32x4.add(shuffle32(c, d, [0, 4, 2, 6]), shuffle32(c, d, [1, 5, 3, 7]))),
                  low.set(
                    f32x4.add(shuffle32(low.get, high.get, [0, 1, 4, 5]), shuffle32(low.get, high.get, [2, 3, 6, 7])),
                  ),
                  v128.store(scores[r]!.get, f32x4.mul(low.get, f32x4.splat(scale.get))),
                ];
              }),
              ...move(scores, 16),
              ...move([t, within], keysAtOnce),
            ],
            i32.and(i32.lt(within.get, blockTokens.get), i32.lt(t.get, count.get)),
          ),
          next(entry, 4),
        ],
        i32.lt(t.get, count.get),
      ),
    ];
  });

/**
 * (shares, out, values, bytes, stride, entry, blockTokens, count, fresh): out = Σ_j share_j · v_j, added to what is there where
 * `fresh` is 0. Shares behind `count` up to a multiple of four must be 0.
 */
export const sumValues = (name: string, queries: 1 | 2): FunctionBuilder =>
  new FunctionBuilder(name, parametersOf(queries, 7, "i32"), undefined, (procedure, ...given) => {
    const shares = given.slice(0, queries);
    const out = given.slice(queries, 2 * queries);
    const [values, bytes, stride, entry, blockTokens, count, fresh] = given.slice(2 * queries) as Locals<7>;
    const [offset, row, t, within, place, end] = procedure.variables(6, "i32");
    const at = shares.map(() => procedure.variable("i32"));
    const widest = 8 / queries;
    const sums = shares.map(() => Array.from({ length: widest }, () => procedure.variable("v128")));
    const share = shares.map(() => procedure.variable("v128"));
    const value = procedure.variable("v128");
    const tile = (width: number): Code[] => {
      const some = sums.map((all) => all.slice(0, width));
      const outAt = (r: number): Code => i32.add(out[r]!.get, offset.get);
      return [
        when(
          fresh.get,
          some.flat().map((sum) => sum.set(zero)),
          some.flatMap((all, r) => all.map((sum, i) => sum.set(v128.load(outAt(r), 16 * i)))),
        ),
        ...at.map((local, r) => local.set(shares[r]!.get)),
        t.set(i32.const(0)),
        place.set(entry.get),
        repeat(
          [
            row.set(
              i32.add(
                i32.add(values.get, offset.get),
                i32.mul(i32.mul(i32.load(place.get), blockTokens.get), stride.get),
              ),
            ),
            within.set(i32.const(0)),
            repeat(
              [
                ...Array.from({ length: keysAtOnce }, (_, key) => [
                  ...share.map((local, r) => local.set(v128.splat(at[r]!.get, 4 * key))),
                  ...Array.from({ length: width }, (_, i) => [
                    value.set(v128.load(row.get, 16 * i)),
                    ...some.map((all, r) => all[i]!.set(f32x4.madd(share[r]!.get, value.get, all[i]!.get))),
                  ]).flat(),
                  row.set(i32.add(row.get, stride.get)),
                ]).flat(),
                ...move(at, 16),
                ...move([t, within], keysAtOnce),
              ],
              i32.and(i32.lt(within.get, blockTokens.get), i32.lt(t.get, count.get)),
            ),
            next(place, 4),
          ],
          i32.lt(t.get, count.get),
        ),
        ...some.flatMap((all, r) => all.map((sum, i) => v128.store(outAt(r), sum.get, 16 * i))),
        next(offset, 16 * width),
      ];
    };
    return [
      offset.set(i32.const(0)),
      end.set(i32.mul(i32.div(bytes.get, i32.const(16 * widest)), i32.const(16 * widest))),
      loop(i32.lt(offset.get, end.get), tile(widest)),
      loop(i32.lt(offset.get, bytes.get), tile(1)),
    ];
  });
