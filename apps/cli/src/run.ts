import type { FlowDocument, FlowEvent } from "@tessera/core";
import { type Budget, type CompiledFlow, type CompileOptions, compile, type RunResult } from "@tessera/graph";
import type { Resources } from "@tessera/tessera";
import { ResourceHost } from "@tessera/tessera/internal";
import { colors } from "./colors.js";
import { resourceHints } from "./resource-hints.js";
import { settingsFor } from "./settings.js";
import type { Terminal } from "./terminal.js";

interface Ran {
  readonly result: RunResult;
  readonly events: FlowEvent[];
}

/** How a run is shown and what bounds it. */
interface RunFlowOptions {
  readonly trace?: boolean | undefined;
  /** The output whose parts are written as they come. */
  readonly streamed?: string | undefined;
  /** Called with each of these parts. */
  readonly hear?: (() => void) | undefined;
  readonly budget?: Budget | undefined;
  readonly signal?: AbortSignal | undefined;
  /** The conversation that it works on, in the records with which the flow was opened. */
  readonly thread?: string | undefined;
}

/** A flow that is compiled with its resources. Closing it closes them. */
export interface OpenedFlow {
  readonly flow: CompiledFlow;
  close(): Promise<void>;
}

/** Compiles a flow with the operators of the catalogue and of the config. */
export async function openFlow(
  terminal: Terminal,
  document: FlowDocument,
  resources: Resources,
  records?: CompileOptions["records"],
): Promise<OpenedFlow> {
  const host = new ResourceHost(resources, resourceHints);
  try {
    const { operators } = await settingsFor(terminal);
    return { flow: await compile(document, { operators, host, records }), close: () => host.close() };
  } catch (error) {
    await host.close();
    throw error;
  }
}

/** Runs a flow, writes the parts of one of its outputs as they come, and shows what happens if asked to. */
export async function runOpened(
  terminal: Terminal,
  { flow }: OpenedFlow,
  input: Record<string, unknown>,
  options: RunFlowOptions,
): Promise<Ran & { wrote: boolean }> {
  const stream = flow.stream(input, { budget: options.budget, signal: options.signal, thread: options.thread });
  const events: FlowEvent[] = [];
  let wrote = false;
  const writing = (async () => {
    for await (const { port, delta } of stream.output)
      if (port === options.streamed && typeof delta === "string") {
        options.hear?.();
        if (options.trace) continue;
        terminal.write(delta);
        wrote = true;
      }
  })();
  const watching = (async () => {
    for await (const event of stream) {
      events.push(event);
      if (options.trace) trace(terminal, event);
    }
  })();
  // together: where the run fails, all three do
  const [result] = await Promise.all([stream.result, writing, watching]);
  if (wrote) terminal.say();
  return { result, events, wrote };
}

/** Compiles a flow, runs it once and closes it: `openFlow` and `runOpened`. */
export async function runFlow(
  terminal: Terminal,
  document: FlowDocument,
  input: Record<string, unknown>,
  resources: Resources,
  options: RunFlowOptions,
): Promise<Ran & { wrote: boolean }> {
  const opened = await openFlow(terminal, document, resources);
  try {
    return await runOpened(terminal, opened, input, options);
  } finally {
    await opened.close();
  }
}

const depthOf = (path: string): number => path.split("/").length - 1;

/** One line an event, indented by its depth. */
function trace(terminal: Terminal, event: FlowEvent): void {
  const indent = "  ".repeat(depthOf(event.path));
  const name = event.path.slice(event.path.lastIndexOf("/") + 1);
  switch (event.type) {
    case "node-end":
      return terminal.say(
        `${indent}${colors.green("✓")} ${name} ${colors.dim(`${event.ms.toFixed(1)} ms${event.from ? `, from ${event.from}` : ""}  ${summary(event.output)}`)}`,
      );
    case "node-skip":
      return terminal.say(`${indent}${colors.yellow("–")} ${name} ${colors.dim(`skipped: ${event.reason}`)}`);
    case "node-error":
      return terminal.say(`${indent}${colors.red("✗")} ${name} ${event.error.code}: ${event.error.message}`);
    case "warning":
      return terminal.say(`${indent}${colors.yellow("!")} ${name} ${event.message}`);
    case "flow-start":
      return terminal.say(`${indent}${colors.bold(name)}`);
    case "flow-end":
      return terminal.say(`${indent}${colors.bold(name)} ${colors.dim(`${event.ms.toFixed(1)} ms, ${event.status}`)}`);
    default:
      return;
  }
}

const mostNames = 6;

/** A few things by their names, others by their number. */
function members(list: readonly unknown[]): string {
  const names = list.map((one) => (one as { name?: unknown } | null)?.name);
  const named = names.length > 0 && names.length <= mostNames && names.every((name) => typeof name === "string");
  return named ? names.join(", ") : String(list.length);
}

/** What an output holds, short enough for a line. */
function summary(output: unknown): string {
  if (typeof output !== "object" || output === null) return "";
  return Object.entries(output)
    .map(([port, value]) => {
      if (Array.isArray(value)) return `${port}: ${members(value)}`;
      if (typeof value === "object" && value !== null) return `${port}: {…}`;
      // what a model wrote must not speak to the terminal
      const text = String(value).replace(/[\s\p{Cc}\p{Cf}]+/gu, " ");
      return `${port}: ${text.length > 40 ? `${text.slice(0, 39)}…` : text}`;
    })
    .join(", ");
}
