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
