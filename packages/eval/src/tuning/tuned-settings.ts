// public: TunedSetting, SettingChange
// internal: readTunedSetting
import type { FlowDocument, Json, NodeDocument } from "@tessera/core";
import { TesseraError } from "@tessera/core";
import { didYouMean } from "@tessera/core/internal";

/** A setting of a flow, and the values to try. */
export interface TunedSetting {
  /**
   * Where it stands: `node.setting`, such as "fuse.k". A node inside a nested flow is `outer/node.setting`; a value inside
   * a setting is `node.setting.member`, and an element of a list `node.setting.0`.
   */
  readonly at: string;
  /** At least one value; each is JSON. */
  readonly values: readonly Json[];
}

/** How a candidate differs from the flow that is tuned. */
export interface SettingChange {
  readonly at: string;
  /** The value in the flow that is tuned; undefined where its document leaves the setting to the operator. */
  readonly from: Json | undefined;
  readonly to: Json;
}

/** The most combinations that may be asked for. */
const mostCombinations = 2 ** 40;

const refuse = (at: string, message: string, hint?: string): never => {
  throw new TesseraError("BAD_ARGUMENT", message, { path: at, hint });
};

/** What a place names: the nodes from the outside in, and the members of the settings. */
function partsOf(at: string): { nodes: string[]; members: string[] } {
  const dot = at.indexOf(".");
  const nodes = at.slice(0, dot).split("/");
  const members = at.slice(dot + 1).split(".");
  if (dot < 1 || [...nodes, ...members].includes(""))
    refuse(at, `"${at}" names no setting`, 'write node.setting, such as "fuse.k"');
  return { nodes, members };
}

function nodeAt(document: FlowDocument, at: string): { node: NodeDocument; members: string[] } {
  const { nodes, members } = partsOf(at);
  let flow: FlowDocument | undefined = document;
  let node: NodeDocument | undefined;
  for (const id of nodes) {
    if (!flow) return refuse(at, `"${at}": there is no flow inside that node`);
    node = Object.hasOwn(flow.nodes, id) ? flow.nodes[id] : undefined;
    if (!node) return refuse(at, `the flow has no node "${id}"`, didYouMean(id, Object.keys(flow.nodes)));
    flow = typeof node.run === "string" ? undefined : node.run;
  }
  if (flow)
    return refuse(at, `"${at}" is a nested flow, which has no settings`, "name a node inside it, as outer/node");
  return { node: node!, members };
}

const isObject = (value: unknown): value is { [name: string]: Json } => typeof value === "object" && value !== null;

/** The value of a setting, undefined where the document does not give it. @throws TesseraError BAD_ARGUMENT */
export function settingOf(document: FlowDocument, at: string): Json | undefined {
  const { node, members } = nodeAt(document, at);
  let value: Json | undefined = node.with;
  for (const member of members) value = isObject(value) && Object.hasOwn(value, member) ? value[member] : undefined;
  return value;
}

/** The document with other values of some settings. @throws TesseraError BAD_ARGUMENT */
export function withSettings(
  document: FlowDocument,
  changes: readonly Pick<SettingChange, "at" | "to">[],
): FlowDocument {
  const changed = structuredClone(document);
  for (const { at, to } of changes) {
    const { node, members } = nodeAt(changed, at);
    if (!isObject(node.with)) node.with = {};
    let place = node.with as { [name: string]: Json };
    for (const member of members.slice(0, -1)) {
      if (!Object.hasOwn(place, member) || !isObject(place[member])) put(place, member, {}, at);
      place = place[member] as { [name: string]: Json };
    }
    put(place, members.at(-1)!, to, at);
  }
  return changed;
}

/** Sets a member, also one named as a built-in of objects is. */
function put(place: { [name: string]: Json }, member: string, value: Json, at: string): void {
  if (Array.isArray(place) && !(Number(member) < place.length && /^\d+$/.test(member)))
    refuse(at, `"${at}": the list has no element ${member}`);
  Object.defineProperty(place, member, { value, writable: true, enumerable: true, configurable: true });
}

/** How many combinations of values there are. @throws TesseraError BAD_ARGUMENT */
export function combinationsOf(settings: readonly TunedSetting[]): number {
  if (settings.length === 0)
    refuse("settings", "there is no setting to tune", 'name one, such as "fuse.k" with its values');
  const seen = new Set<string>();
  let count = 1;
  for (const { at, values } of settings) {
    if (seen.has(at)) refuse(at, `"${at}" is named twice`);
    seen.add(at);
    if (values.length === 0) refuse(at, `"${at}" has no values to try`);
    count *= values.length;
  }
  if (count > mostCombinations) refuse("settings", `${count} combinations are too many`, "give fewer values");
  return count;
}

/** The combination of that number, from 0; the last setting changes fastest. */
export function combination(settings: readonly TunedSetting[], number: number): Pick<SettingChange, "at" | "to">[] {
  let rest = number;
  return [...settings]
    .reverse()
    .map(({ at, values }) => {
      const to = values[rest % values.length]!;
      rest = Math.floor(rest / values.length);
      return { at, to };
    })
    .reverse();
}

const range = /^(-?[\d.]+(?:e-?\d+)?)\.\.(-?[\d.]+(?:e-?\d+)?):(\d+)( log)?$/i;

/**
 * Reads a setting with its values as a command line gives them: `fuse.k=0,20,60` (each value JSON, or else a text),
 * `sparse.top=10..50:5` (5 values at equal distances; whole numbers where both ends are and there are as many), or `closer.weight=0.01..1:3 log` (at equal ratios).
 * @throws TesseraError BAD_ARGUMENT
 */
export function readTunedSetting(text: string): TunedSetting {
  const equals = text.indexOf("=");
  const at = text.slice(0, equals);
  const values = text.slice(equals + 1);
  if (equals < 1 || values === "") return refuse(text, `"${text}" gives no values`, "write node.setting=value,value,…");
  partsOf(at);
  const found = range.exec(values);
  return { at, values: found ? rangeValues(text, found) : listValues(values) };
}

function rangeValues(text: string, [, low, high, count, log]: RegExpExecArray): number[] {
  const [from, to, steps] = [Number(low), Number(high), Number(count)];
  if (!(from < to) || steps < 2 || steps > 1000 || (log && from <= 0))
    refuse(text, `"${text}" is no range`, "write low..high:count; with log, low is above 0");
  const whole = !log && Number.isInteger(from) && Number.isInteger(to) && to - from >= steps - 1;
  const values = Array.from({ length: steps }, (_, index) => {
    const share = index / (steps - 1);
    const value = log ? from * (to / from) ** share : from + (to - from) * share;
    return whole ? Math.round(value) : Number(value.toPrecision(6));
  });
  return values;
}

/** Parts at the commas that stand outside of brackets and quotes; each is JSON, or a text as it stands. */
function listValues(text: string): Json[] {
  const parts: string[] = [""];
  let [depth, quoted] = [0, false];
  for (const [index, sign] of [...text].entries()) {
    if (sign === '"' && text[index - 1] !== "\\") quoted = !quoted;
    if (!quoted && "[{".includes(sign)) depth++;
    if (!quoted && "]}".includes(sign)) depth--;
    if (sign === "," && depth === 0 && !quoted) parts.push("");
    else parts[parts.length - 1] += sign;
  }
  return parts.map((part) => {
    try {
      return JSON.parse(part) as Json;
    } catch {
      return part.trim();
    }
  });
}
