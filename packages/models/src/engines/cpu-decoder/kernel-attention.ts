import { exponential, next, sumOfLanes, zero } from "./kernel-parts.js";
import {
  type Code,
  FunctionBuilder,
  f32,
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

/** What is left of a stick that no sum in fp32 feels: the tokens before it are not read. */
const spent = 1e-8;

/**
 * Stick-breaking attention of one head of one token over its first `visible` tokens, the nearest first:
 * out += stick · β_j · v_j, stick ·= 1 − β_j, β_j = sigmoid(q · k_j · scale). Keys and values are rows of `stride` bytes,
 * token j in place table[j / blockTokens] · blockTokens + j mod blockTokens; `scores` has room for the padded block.
 * `out` must be zeros and `visible` at least 1. Stops where the stick is spent.
 */
export const attend = new FunctionBuilder(
  "attend",
  Array.from({ length: 11 }, (_, i) => (i === 10 ? "f32" : "i32")),
  undefined,
  // biome-ignore lint/complexity/noExcessiveLinesPerFunction: one function of WebAssembly, written instruction by instruction
  (procedure, ...given) => {
    const [query, keys, values, out, scores, bytes, stride, table, blockTokens, visible, scale] = given as Locals<11>;
    const [block, count, t, row, at, end, place] = procedure.variables(7, "i32");
    const [sum, part, sign] = procedure.variables(3, "v128");
    const [stick, share] = procedure.variables(2, "f32");
    const power = exponential(procedure, sign.get);
    const rowOf = (base: Local): Code => i32.add(base.get, i32.mul(i32.add(place.get, t.get), stride.get));
    const score = i32.add(scores.get, i32.shl(t.get, i32.const(2)));
    return [
      stick.set(f32.const(1)),
      block.set(i32.div(i32.sub(visible.get, i32.const(1)), blockTokens.get)),
      count.set(i32.sub(visible.get, i32.mul(block.get, blockTokens.get))),
      loop(i32.ge(block.get, i32.const(0)), [
        place.set(i32.mul(i32.load(i32.add(table.get, i32.shl(block.get, i32.const(2)))), blockTokens.get)),
        t.set(i32.const(0)),
        repeat(
          [
            row.set(rowOf(keys)),
            at.set(query.get),
            end.set(i32.add(query.get, bytes.get)),
            sum.set(zero),
            repeat(
              [
                sum.set(f32x4.add(sum.get, f32x4.mul(v128.load(at.get), v128.load(row.get)))),
                next(at, 16),
                next(row, 16),
              ],
              i32.lt(at.get, end.get),
            ),
            f32.store(score, f32.mul(sumOfLanes(sum), scale.get)),
            next(t, 1),
          ],
          i32.lt(t.get, count.get),
        ),
        at.set(scores.get),
        end.set(score),
        repeat(
          [
            sign.set(f32x4.sub(zero, v128.load(at.get))),
            power.before,
            v128.store(at.get, f32x4.div(f32x4.const(1), f32x4.add(f32x4.const(1), power.value))),
            next(at, 16),
          ],
          i32.lt(at.get, end.get),
        ),
        repeat(
          [
            next(t, -1),
            share.set(f32.load(score)),
            part.set(f32x4.splat(f32.mul(stick.get, share.get))),
            stick.set(f32.mul(stick.get, f32.sub(f32.const(1), share.get))),
            row.set(rowOf(values)),
            at.set(out.get),
            end.set(i32.add(out.get, bytes.get)),
            repeat(
              [
                v128.store(at.get, f32x4.add(v128.load(at.get), f32x4.mul(part.get, v128.load(row.get)))),
                next(at, 16),
                next(row, 16),
              ],
              i32.lt(at.get, end.get),
            ),
          ],
          t.get,
        ),
        when(f32.lt(stick.get, f32.const(spent)), [block.set(i32.const(0))]),
        next(block, -1),
        count.set(blockTokens.get),
      ]),
    ];
  },
);

/** Keys that are scored together. */
const keysAtOnce = 4;

/**
 * The scores of one head of one token with its first `visible` tokens: q · k_j · scale, and their maximum. Keys are as for
 * `attend`; blocks have a multiple of four tokens, and `scores` has room for whole blocks: what stands behind the visible
 * ones is overwritten.
 */
export const scoreKeys = new FunctionBuilder(
  "scoreKeys",
  Array.from({ length: 9 }, (_, i) => (i === 8 ? "f32" : "i32")),
  "f32",
  (procedure, ...given) => {
    const [query, keys, scores, bytes, stride, table, blockTokens, visible, scale] = given as Locals<9>;
    const [t, row, at, end, offset, out] = procedure.variables(6, "i32");
    const sums = procedure.variables(keysAtOnce, "v128");
    const [x, low, high, peak] = procedure.variables(4, "v128");
    const last = procedure.variable("i32");
    const [a, b, c, d] = sums.map(({ get }) => get) as [Code, Code, Code, Code];
    const block = i32.load(i32.add(table.get, i32.shl(i32.div(t.get, blockTokens.get), i32.const(2))));
    const within = i32.sub(t.get, i32.mul(i32.div(t.get, blockTokens.get), blockTokens.get));
    const rowAt = (number: number): Code =>
      number === 0
        ? i32.add(row.get, offset.get)
        : i32.add(i32.add(row.get, offset.get), i32.mul(stride.get, i32.const(number)));
    return [
      t.set(i32.const(0)),
      out.set(scores.get),
      repeat(
        [
          row.set(i32.add(keys.get, i32.mul(i32.add(i32.mul(block, blockTokens.get), within), stride.get))),
          ...sums.map((sum) => sum.set(zero)),
          at.set(query.get),
          end.set(i32.add(query.get, bytes.get)),
          offset.set(i32.const(0)),
          repeat(
            [
              x.set(v128.load(at.get)),
              ...sums.map((sum, i) => sum.set(f32x4.add(sum.get, f32x4.mul(x.get, v128.load(rowAt(i)))))),
              next(at, 16),
              next(offset, 16),
            ],
            i32.lt(at.get, end.get),
          ),
          low.set(f32x4.add(shuffle32(a, b, [0, 4, 2, 6]), shuffle32(a, b, [1, 5, 3, 7]))),
          high.set(f32x4.add(shuffle32(c, d, [0, 4, 2, 6]), shuffle32(c, d, [1, 5, 3, 7]))),
          low.set(f32x4.add(shuffle32(low.get, high.get, [0, 1, 4, 5]), shuffle32(low.get, high.get, [2, 3, 6, 7]))),
          v128.store(out.get, f32x4.mul(low.get, f32x4.splat(scale.get))),
          next(out, 16),
          next(t, keysAtOnce),
        ],
        i32.lt(t.get, visible.get),
      ),
      // behind the visible ones nothing counts
      last.set(i32.add(scores.get, i32.shl(visible.get, i32.const(2)))),
      loop(i32.lt(last.get, out.get), [f32.store(last.get, f32.const(-3.4e38)), next(last, 4)]),
      peak.set(f32x4.const(-3.4e38)),
      at.set(scores.get),
      repeat([peak.set(f32x4.max(peak.get, v128.load(at.get))), next(at, 16)], i32.lt(at.get, out.get)),
      f32.max(
        f32.max(f32x4.lane(peak.get, 0), f32x4.lane(peak.get, 1)),
        f32.max(f32x4.lane(peak.get, 2), f32x4.lane(peak.get, 3)),
      ),
    ];
  },
);

/** Components of a value that are summed in registers, eight vectors of four. */
const valueLanes = 32;

/** out = rate · Σ_j shares_j · v_j over the first `visible` tokens, values as for `attend`, `bytes` a head. */
export const sumValues = new FunctionBuilder(
  "sumValues",
  Array.from({ length: 9 }, (_, i) => (i === 8 ? "f32" : "i32")),
  undefined,
  (procedure, ...given) => {
    const [shares, values, out, bytes, stride, table, blockTokens, visible, rate] = given as Locals<9>;
    const [offset, row, at, end, left, entry, most] = procedure.variables(7, "i32");
    const sums = procedure.variables(8, "v128");
    const share = procedure.variable("v128");
    const tile = (width: number): Code[] => {
      const some = sums.slice(0, width / 4);
      return [
        ...some.map((sum) => sum.set(zero)),
        at.set(shares.get),
        most.set(i32.add(shares.get, i32.shl(visible.get, i32.const(2)))),
        entry.set(table.get),
        repeat(
          [
            row.set(
              i32.add(
                i32.add(values.get, offset.get),
                i32.mul(i32.mul(i32.load(entry.get), blockTokens.get), stride.get),
              ),
            ),
            left.set(i32.add(at.get, i32.shl(blockTokens.get, i32.const(2)))),
            when(i32.lt(most.get, left.get), [left.set(most.get)]),
            repeat(
              [
                share.set(v128.splat(at.get)),
                ...some.map((sum, i) => sum.set(f32x4.add(sum.get, f32x4.mul(share.get, v128.load(row.get, 16 * i))))),
                row.set(i32.add(row.get, stride.get)),
                next(at, 4),
              ],
              i32.lt(at.get, left.get),
            ),
            next(entry, 4),
          ],
          i32.lt(at.get, most.get),
        ),
        ...some.map((sum, i) =>
          v128.store(i32.add(out.get, offset.get), f32x4.mul(sum.get, f32x4.splat(rate.get)), 16 * i),
        ),
        next(offset, 4 * width),
      ];
    };
    return [
      offset.set(i32.const(0)),
      end.set(i32.sub(bytes.get, i32.const(4 * valueLanes - 4))),
      // the rest of a head that is no multiple of the tile
      when(i32.lt(i32.const(4 * valueLanes - 4), bytes.get), [loop(i32.lt(offset.get, end.get), tile(valueLanes))], []),
      loop(i32.lt(offset.get, bytes.get), tile(4)),
    ];
  },
);
