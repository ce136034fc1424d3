import { counts, type Kernel, kernel, type Numbers } from "./kernel.js";

const threads = 128;

/** A row's settings: temperature, top-p, random as bits of fp32, and the number of alternatives. */
export const samplingWords = 4;

/**
 * Draws a token from each row of logits among the allowed ids, and reports its log-probability at temperature 1 among them.
 *
 * Temperature 0 takes the likeliest, of equal ones the lower id. Else the nucleus is the fewest likeliest tokens, in order
 * of falling probability and rising id, whose mass reaches topP; of it, in that order, the first token at which the running
 * mass exceeds random · mass(nucleus). No row is sorted: a threshold is found by halving the interval of the bits of fp32,
 * which rise with the (positive) weights.
 * `masks` has one bit an id. out [rows, 1 + alternatives]: ids; logprobs beside them. Dispatch: drawn rows.
 */
export function sample(vocabulary: number, alternatives: number): Kernel {
  const stretch = Math.ceil(vocabulary / threads);
  return kernel(
    `sample-${vocabulary}-${alternatives}`,
    { logits: "f32", settings: "u32", masks: "u32", ids: "out u32", logprobs: "out f32" },
    `
const vocabulary = ${vocabulary}u;
const words = ${Math.ceil(vocabulary / 32)}u;
var<workgroup> sums: array<f32, ${threads}>;
var<workgroup> best_ids: array<u32, ${threads}>;
var<workgroup> chosen: u32;
var<workgroup> hot: u32;

fn allowed(row: u32, id: u32) -> bool { return ((masks[row * words + (id >> 5u)] >> (id & 31u)) & 1u) == 1u; }
fn total(thread: u32, value: f32) -> f32 {
  workgroupBarrier();
  sums[thread] = value;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < ${threads}u; i++) { sum += sums[i]; }
  return sum;
}
// the likeliest allowed id after (value, id) in falling order of value and rising order of id
fn next_best(row: u32, thread: u32, value: f32, after: u32, all: bool) -> u32 {
  var best = -3.4e38;
  var best_id = vocabulary;
  for (var id = thread; id < vocabulary; id += ${threads}u) {
    let z = logits[row * vocabulary + id];
    let open = all || z < value || (z == value && id > after);
    if (open && allowed(row, id) && (best_id == vocabulary || z > best)) { best = z; best_id = id; }
  }
  workgroupBarrier();
  best_ids[thread] = best_id;
  workgroupBarrier();
  var winner = vocabulary;
  for (var i = 0u; i < ${threads}u; i++) {
    let id = best_ids[i];
    if (id == vocabulary) { continue; }
    if (winner == vocabulary) { winner = id; continue; }
    let z = logits[row * vocabulary + id];
    let w = logits[row * vocabulary + winner];
    if (z > w || (z == w && id < winner)) { winner = id; }
  }
  return winner;
}
fn weight(row: u32, id: u32, peak: f32, temperature: f32) -> f32 {
  return select(0.0, exp((logits[row * vocabulary + id] - peak) / temperature), allowed(row, id));
}
// the mass of the tokens whose weight has bits above \`bits\`
fn above(row: u32, thread: u32, bits: u32, peak: f32, temperature: f32) -> f32 {
  var sum = 0.0;
  for (var id = thread; id < vocabulary; id += ${threads}u) {
    let w = weight(row, id, peak, temperature);
    if (bitcast<u32>(w) > bits) { sum += w; }
  }
  return total(thread, sum);
}
// the greatest bits such that the mass above them is under (or at most, strictly) the target
fn threshold(row: u32, thread: u32, target_mass: f32, strict: bool, peak: f32, temperature: f32) -> u32 {
  var low = 0u;
  var high = 0x3f800000u;
  for (var step = 0u; step < 31u; step++) {
    let middle = (low + high) / 2u;
    let mass = above(row, thread, middle, peak, temperature);
    let under = select(mass < target_mass, mass <= target_mass, strict);
    if (under) { high = middle; } else { low = middle + 1u; }
    if (low >= high) { high = low; }
  }
  return high;
}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = group.x;
  let temperature = bitcast<f32>(settings[row * ${samplingWords}u]);
  let top_p = bitcast<f32>(settings[row * ${samplingWords}u + 1u]);
  let random = bitcast<f32>(settings[row * ${samplingWords}u + 2u]);
  let top = next_best(row, thread, 0.0, 0u, true);
  let peak = logits[row * vocabulary + top];
  var sum = 0.0;
  for (var id = thread; id < vocabulary; id += ${threads}u) { sum += weight(row, id, peak, 1.0); }
  let log_total = log(total(thread, sum));
  if (thread == 0u) { chosen = top; hot = u32(temperature > 0.0); }
  if (workgroupUniformLoad(&hot) == 1u) {
    sum = 0.0;
    for (var id = thread; id < vocabulary; id += ${threads}u) { sum += weight(row, id, peak, temperature); }
    let mass = total(thread, sum);
    // the last weight of the nucleus, and how many tokens of exactly that weight are in it
    let edge = threshold(row, thread, top_p * mass, false, peak, temperature);
    let over = above(row, thread, edge, peak, temperature);
    let edge_weight = bitcast<f32>(edge);
    let ties = select(0.0, ceil((top_p * mass - over) / edge_weight - 1e-6), edge_weight > 0.0);
    var equal = 0.0;
    for (var id = thread; id < vocabulary; id += ${threads}u) {
      if (edge_weight > 0.0 && bitcast<u32>(weight(row, id, peak, temperature)) == edge) { equal += 1.0; }
    }
    let inside = clamp(ties, 1.0, max(total(thread, equal), 1.0));
    let goal = random * (over + inside * edge_weight);
    // the token at the goal: its weight, then its place among those of equal weight
    let bits = max(threshold(row, thread, goal, true, peak, temperature), edge);
    let before = above(row, thread, bits, peak, temperature);
    // each thread counts those in its own stretch of ids; the stretch that holds the place is then walked
    let first = thread * ${stretch}u;
    var here = 0.0;
    for (var id = first; id < min(first + ${stretch}u, vocabulary); id++) {
      if (bitcast<u32>(weight(row, id, peak, temperature)) == bits) { here += 1.0; }
    }
    let all = total(thread, here);
    let place = clamp(floor((goal - before) / bitcast<f32>(bits)), 0.0, max(all - 1.0, 0.0));
    var earlier = 0.0;
    for (var i = 0u; i < thread; i++) { earlier += sums[i]; }
    if (place >= earlier && place < earlier + here) {
      var left = place - earlier;
      for (var id = first; id < min(first + ${stretch}u, vocabulary); id++) {
        if (bitcast<u32>(weight(row, id, peak, temperature)) != bits) { continue; }
        if (left < 0.5) { chosen = id; break; }
        left -= 1.0;
      }
    }
    workgroupBarrier();
  }
  if (thread == 0u) {
    ids[row * ${1 + alternatives}u] = chosen;
    logprobs[row * ${1 + alternatives}u] = logits[row * vocabulary + chosen] - peak - log_total;
  }
  var value = 0.0;
  var after = 0u;
  for (var j = 0u; j < ${alternatives}u; j++) {
    let id = next_best(row, thread, value, after, j == 0u);
    if (id < vocabulary) { value = logits[row * vocabulary + id]; after = id; }
    if (thread == 0u) {
      ids[row * ${1 + alternatives}u + 1u + j] = id;
      logprobs[row * ${1 + alternatives}u + 1u + j] = value - peak - log_total;
    }
  }
}`,
  );
}

/** x'[row] = x[rows[row]], for the rows whose logits are wanted. Dispatch: drawn rows. */
export const gatherRows = (hidden: number, values: Numbers = "f32"): Kernel =>
  kernel(
    `gather-${hidden}-${values}`,
    { counts: "u32", rows: "u32", x: values, y: `out ${values}` },
    `
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  if (group.x >= counts[${counts.drawn}]) { return; }
  for (var i = thread; i < ${hidden}u; i += ${threads}u) { y[group.x * ${hidden}u + i] = x[rows[group.x] * ${hidden}u + i]; }
}`,
  );

/** The log-probability of one given id of each row, among all ids. Dispatch: drawn rows. */
export const score = (vocabulary: number): Kernel =>
  kernel(
    `score-${vocabulary}`,
    { counts: "u32", logits: "f32", targets: "u32", scores: "out f32" },
    `
var<workgroup> values: array<f32, ${threads}>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  if (group.x >= counts[${counts.drawn}]) { return; }
  let row = group.x * ${vocabulary}u;
  var most = -3.4e38;
  for (var id = thread; id < ${vocabulary}u; id += ${threads}u) { most = max(most, logits[row + id]); }
  values[thread] = most;
  workgroupBarrier();
  for (var i = 0u; i < ${threads}u; i++) { most = max(most, values[i]); }
  workgroupBarrier();
  var sum = 0.0;
  for (var id = thread; id < ${vocabulary}u; id += ${threads}u) { sum += exp(logits[row + id] - most); }
  values[thread] = sum;
  workgroupBarrier();
  if (thread == 0u) {
    var all = 0.0;
    for (var i = 0u; i < ${threads}u; i++) { all += values[i]; }
    scores[group.x] = logits[row + targets[group.x]] - most - log(all);
  }
}`,
  );
