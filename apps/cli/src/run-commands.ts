import type { Command } from "commander";
import { Option } from "commander";
import type * as runs from "./commands/runs.js";
import type { Terminal } from "./terminal.js";

type Action = (
  work: (terminal: Terminal, ...args: never[]) => number | Promise<number>,
) => (...args: unknown[]) => Promise<void>;

/** The commands about runs of a service. */
export function runCommands({
  program,
  action,
  signal,
}: {
  readonly program: Command;
  readonly action: Action;
  readonly signal: AbortSignal;
}): void {
  const load = () => import("./commands/runs.js");
  const of = (name: string, description: string) =>
    program
      .command(name)
      .description(description)
      .addOption(new Option("--url <url>", "the service").env("TESSERA_URL").default("http://127.0.0.1:8080"))
      .addOption(new Option("--key <key>", "a key of it").env("TESSERA_KEY").hideHelp());
  of("runs", "list the runs of a service (its key: TESSERA_KEY)")
    .option("--state <state>", "running, waiting, done, budget, failed, cancelled, interrupted")
    .option("--limit <count>", "how many at most", "50")
    .action(
      action(async (terminal, options: runs.ListOptions) => (await load()).listRuns(terminal, { ...options, signal })),
    );
  of("answer", "answer what a run of a service waits for")
    .argument("<run>")
    .argument("<path>", "where it waits, as `tessera runs --state waiting` shows")
    .argument("<answer>", "JSON, or a text as it is")
    .action(
      action(async (terminal, run: string, path: string, value: string, service: runs.ServiceOptions) =>
        (await load()).answer(terminal, { run, path, value }, { ...service, signal }),
      ),
    );
  of("signal", "send a signal to a run of a service")
    .argument("<run>")
    .argument("<name>")
    .argument("[value]", "JSON, or a text as it is")
    .action(
      action(async (terminal, run: string, name: string, value: string | undefined, service: runs.ServiceOptions) =>
        (await load()).signal(terminal, { run, name, value }, { ...service, signal }),
      ),
    );
  of("fork", "run a run of a service once more with one change, and only what follows from it")
    .argument("<run>")
    .argument("<path>", "the path of a step; without an option it is run once more")
    .option("--answer <answer>", "another answer to a wait: JSON, or a text as it is")
    .option("--output <json>", "what the step gives, by port")
    .option("--settings <json>", "the settings of the node, in place of its own")
    .option("--operator <name>", "another operator for the node")
    .action(
      action(async (terminal, run: string, path: string, options: runs.ForkOptions) =>
        (await load()).fork(terminal, run, path, { ...options, signal }),
      ),
    );
  of("diff", "show the steps in which two runs of a service differ")
    .argument("<run>")
    .argument("<other>")
    .action(
      action(async (terminal, run: string, other: string, service: runs.ServiceOptions) =>
        (await load()).diff(terminal, run, other, { ...service, signal }),
      ),
    );
}
