import { defaultLanguageModel } from "@tessera/models";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { defaultEncoder, type SourceOptions } from "./codebase.js";
import type * as addedModels from "./commands/added-models.js";
import type { AskOptions } from "./commands/ask.js";
import type { ChatOptions } from "./commands/chat.js";
import type { CoderRunOptions } from "./commands/coder.js";
import type { DatabaseIndexOptions } from "./commands/index-database.js";
import type * as languageModels from "./commands/language-models.js";
import type * as models from "./commands/models.js";
import type { RepairOptions } from "./commands/repair.js";
import type { RunCommandOptions } from "./commands/run.js";
import type { KeyOptions, ServeCommandOptions, studio } from "./commands/serve.js";
import { engineOption } from "./engine.js";
import { languageModelOptions } from "./language-model.js";
import { runCommands } from "./run-commands.js";
import { exitCodeOf, Terminal, type TerminalOptions, UsageError } from "./terminal.js";

interface CommandLine {
  /** The words after the program's name. */
  readonly words: readonly string[];
  readonly out: NodeJS.WritableStream;
  readonly err: NodeJS.WritableStream;
  /** Ends what runs. */
  readonly signal: AbortSignal;
}

const collect = (value: string, before: string[] = []): string[] => [...before, value];

/** `--reader`: a module that exports a reader of a further kind of file. */
const readerOption = (): Option =>
  new Option("--reader <module>", "a module that reads further kinds of files; may be given again").argParser(collect);

/** `--json-schema`: what the answer is held to. */
const schemaOption = (): Option =>
  new Option("--json-schema <file>", 'a JSON Schema that the answer meets; the input "schema" of a flow');

/** Makes of what a command does what commander calls. */
type Action = (
  work: (terminal: Terminal, ...args: never[]) => number | Promise<number>,
) => (...args: unknown[]) => Promise<void>;

interface Commands {
  readonly program: Command;
  readonly action: Action;
  readonly signal: AbortSignal;
}

/** Runs one command line; what it prints goes to `out` and `err`. @returns the exit code */
export async function commandLine({ words, out, err, signal }: CommandLine): Promise<number> {
  const asksForJson = words.includes("--json");
  let exitCode = 0;
  const program = new Command("tessera")
    .description("Modular RAG: index a folder, ask it, run and check flows.")
    .configureHelp({ showGlobalOptions: true })
    .option("--json", "print one JSON value and nothing else", false)
    .option("--stack", "show stack traces of errors", false)
    .option("--config <file>", "the config to read; by default tessera.config.{ts,mjs,json} here or above")
    .option("--no-config", "read no config")
    .configureOutput({
      writeOut: (text) => void out.write(text),
      // under --json what is wrong with the call is told there
      writeErr: (text) => void (asksForJson || err.write(text)),
    })
    .exitOverride();
  const action: Action =
    (work) =>
    async (...args) => {
      const terminal = new Terminal(program.opts<TerminalOptions>(), out, err);
      try {
        exitCode = await work(terminal, ...(args as never[]));
      } catch (error) {
        terminal.error(error);
        exitCode = exitCodeOf(error);
      }
    };
  const adding = [
    indexCommand,
    sourceCommands,
    indexCommands,
    flowCommands,
    listCommands,
    serviceCommand,
    studioCommand,
    keyCommands,
    runCommands,
    modelCommands,
    coderCommand,
  ];
  for (const add of adding) add({ program, action, signal });
  await addEvaluation({ program, action, signal }, words);

  try {
    await program.parseAsync(words, { from: "user" });
    return exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // for people, commander has printed its own message
    if (asksForJson && error.exitCode !== 0)
      new Terminal({ json: true, stack: false }, out, err).error(
        new UsageError(error.code === "commander.help" ? "there is no command" : error.message.replace(/^error: /, "")),
      );
    return error.exitCode === 0 ? 0 : 2;
  }
}

/** The commands that measure are many and are loaded for their own words and for help alone. */
async function addEvaluation({ program, action, signal }: Commands, words: readonly string[]): Promise<void> {
  const known = new Set(program.commands.map((command) => command.name()));
  const first = words.find((word) => !word.startsWith("-"));
  if (first !== undefined && first !== "help" && known.has(first)) return;
  const { dataSetOf, evaluationCommands } = await import("./commands/evaluate.js");
  const { tuneCommand } = await import("./commands/tune.js");
  evaluationCommands(program.command("eval"), action, signal);
  tuneCommand(program, { action, signal }, dataSetOf);
}

function indexCommand({ program, action, signal }: Commands): void {
  program
    .command("index")
    .description("make or update the index of a folder")
    .argument("<folder>")
    .option(
      "--encoder <name>",
      `what makes the vectors: hash, a model's name or folder, or hash+<model> (default: "${defaultEncoder}")`,
    )
    .addOption(engineOption())
    .addOption(readerOption())
    .option("--rebuild", "write everything anew")
    .option("--database <url>", "a PostgreSQL database that holds the index, which several processes make")
    .option("--name <name>", "the name of the index in that database", "docs")
    .option("--workers <number>", "processes that work on it besides; with 0 this one does", count, 0)
    .option("--join", "work on what another process hands in, until stopped")
    .action(
      action(
        async (terminal, folder: string, { database, ...options }: SourceOptions & Partial<DatabaseIndexOptions>) =>
          database === undefined
            ? (await import("./commands/index-folder.js")).indexSource(terminal, folder, { ...options, signal })
            : (await import("./commands/index-database.js")).indexIntoDatabase(terminal, folder, {
                ...(options as DatabaseIndexOptions),
                database,
                signal,
              }),
      ),
    );
}

function sourceCommands({ program, action, signal }: Commands): void {
  languageModelOptions(
    program
      .command("ask")
      .description("answer a question about a folder, with citations; in prose where a model is given"),
  )
    .argument("[question]", '"-" reads it from standard input')
    .option("--question-file <file>", "the question is what this file holds")
    .option("--source <folder>", "what the question is about; the working directory by default")
    .option("--flow <name or file>", "the flow that answers; rag with a model, hybrid without one")
    .addOption(schemaOption())
    .option(
      "--encoder <name>",
      `what makes the vectors: hash, a model's name or folder, or hash+<model> (default: "${defaultEncoder}")`,
    )
    .addOption(engineOption())
    .addOption(readerOption())
    .option("--trace", "show every step")
    .option("--events", "under --json: with every event of the run")
    .action(
      action(async (terminal, question: string | undefined, options: Omit<AskOptions, "signal">) =>
        (await import("./commands/ask.js")).ask(terminal, question, { ...options, signal }),
      ),
    );
  program
    .command("init")
    .description("write a small tessera.config.json, and say which models were found")
    .action(action(async (terminal) => (await import("./commands/init.js")).init(terminal)));
  languageModelOptions(
    program
      .command("chat")
      .description("a conversation about a folder with a model, in the terminal or a line a question"),
  )
    .option("--source <folder>", "what the questions are about; the working directory by default")
    .option("--flow <name or file>", "the flow that answers", "chat")
    .option("--thread <id>", "go on with a conversation of this name, which is kept for the next time")
    .option("--encoder <name>", `what makes the vectors: hash, a model, or hash+<model> (default: "${defaultEncoder}")`)
    .addOption(engineOption())
    .action(
      action(async (terminal, options: Omit<ChatOptions, "signal">) =>
        (await import("./commands/chat.js")).chat(terminal, { ...options, input: process.stdin, signal }),
      ),
    );
}

function indexCommands({ program, action }: Commands): void {
  const all = program.command("indexes").description("the indexes of this user: list, prune");
  all
    .command("list")
    .description("list them, with the folders that they are of")
    .action(action(async (terminal) => (await import("./commands/indexes.js")).indexes(terminal)));
  all
    .command("prune")
    .description("remove those whose folder is no more")
    .option("--older-than <days>", "and those that were not used for so long")
    .action(
      action(async (terminal, options: { olderThan?: string }) =>
        (await import("./commands/indexes.js")).prune(terminal, options),
      ),
    );
}

const count = (value: string): number => {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 0) throw new InvalidArgumentError("It is no whole number.");
  return number;
};

function flowCommands({ program, action, signal }: Commands): void {
  languageModelOptions(program.command("run").description("run a flow on an input"))
    .argument("<name or file>")
    .argument("[question]", "the text of a flow of one text input; - reads it from standard input")
    .option("--input <json, file or text>", "the flow's inputs; - reads them from standard input", "{}")
    .addOption(schemaOption())
    .option("--source <folder>", 'a folder whose index gives the stores "sparse" and "dense"')
    .option("--data <folder>", 'a data set whose corpus gives them, the graph "graph" and the heads of Multi-Head RAG')
    .option("--database <file>", 'a SQLite file as the database "database"')
    .option(
      "--admit <function>",
      "one that statements may call besides those that only read; may be given again",
      collect,
    )
    .option("--folder <name=path>", "a folder that the flow may read by that name; may be given again", collect)
    .option(
      "--encoder <name>",
      `what makes the vectors: hash, a model's name or folder, or hash+<model> (default: "${defaultEncoder}")`,
    )
    .addOption(engineOption())
    .addOption(readerOption())
    .option("--most-calls <number>", "calls of models; then the run ends with what was reached", count)
    .option("--most-tokens <number>", "tokens of models, likewise", count)
    .option("--out <folder>", "writes each output there, records of training data as train.jsonl and test.jsonl")
    .option("--trace", "show every step")
    .action(
      action(async (terminal, flow: string, question: string | undefined, options: Omit<RunCommandOptions, "signal">) =>
        (await import("./commands/run.js")).run(terminal, flow, { ...options, question, signal }),
      ),
    );
  program
    .command("check")
    .description("check a flow: findings, and the most it can spend")
    .argument("<name or file>")
    .option("--mermaid", "print a drawing")
    .option("--code", "print the flow as builder code")
    .action(
      action(async (terminal, flow: string, options: { mermaid?: boolean; code?: boolean }) =>
        (await import("./commands/check.js")).check(terminal, flow, options),
      ),
    );
}

function listCommands({ program, action }: Commands): void {
  program
    .command("mcp")
    .description("list the tools and resources of the config's MCP servers")
    .argument("[server]", "of one of them")
    .action(
      action(async (terminal, server: string | undefined) =>
        (await import("./commands/mcp.js")).listMcpServers(terminal, server),
      ),
    );
  program
    .command("flows")
    .description("list the named flows")
    .action(action(async (terminal) => (await import("./commands/list.js")).flows(terminal)));
  program
    .command("operators")
    .description("list the operators")
    .action(action(async (terminal) => (await import("./commands/list.js")).operators(terminal)));
  program
    .command("prompts")
    .description("list the prompts that operators send")
    .argument("[name]", "one of them")
    .option("--show", "print the texts; a file of one can stand in its place (docs/prompts.md)")
    .action(
      action(async (terminal, name: string | undefined, options: { show?: boolean }) =>
        (await import("./commands/prompts.js")).prompts(terminal, name, options),
      ),
    );
  program
    .command("schema")
    .description("print the JSON Schema of flow documents")
    .action(action(async (terminal) => (await import("./commands/check.js")).schema(terminal)));
}

function serviceCommand({ program, action, signal }: Commands): void {
  languageModelOptions(
    program.command("serve").description("serve flows over the index of a folder: HTTP, OpenAI's routes, MCP"),
  )
    .option("--source <folder>", "what the flows search; the working directory by default")
    .option(
      "--encoder <name>",
      `what makes the vectors: hash, a model's name or folder, or hash+<model> (default: "${defaultEncoder}")`,
    )
    .addOption(engineOption())
    .addOption(readerOption())
    .option("--host <address>", "where to listen", "127.0.0.1")
    .option("--port <number>", "0 takes any", "8080")
    .addOption(
      new Option(
        "--database <url>",
        "postgres://…: keeps runs, budgets, uploaded flows and indexes, shared by every service on it",
      ).env("DATABASE_URL"),
    )
    .option("--folder <name=path>", "a folder that flows may read by that name, uploaded ones too", collect)
    .option("--admit <function>", "one that queries for the graph database may call; may be given again", collect)
    .option("--keep-runs <count>", "how many runs are kept once they have ended", "10000")
    .option("--keep-days <days>", "and for how long", "30")
    .addOption(
      new Option("--otlp <url>", "send traces to an OTLP receiver, as in http://127.0.0.1:4318").env(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
      ),
    )
    .option("--otlp-content", "with texts: queries, passages, prompts and answers")
    .option("--origin <origin>", "pages of this origin may call; none by default", collect)
    .option("--trust-proxy <address>", "a proxy, or a network of them, whose X-Forwarded-For is believed", collect)
    .option("--studio", "with a page for the browser that shows flows and runs, on this machine alone")
    .option("--repair", "serve nothing; list what is lost of damaged logs")
    .option("--drop-damaged", "with --repair: keep what is whole, and move the damaged logs aside")
    .action(
      action(async (terminal, options: Omit<ServeCommandOptions, "signal"> & RepairOptions) =>
        options.repair || options.dropDamaged
          ? (await import("./commands/repair.js")).repairService(terminal, options)
          : (await import("./commands/serve.js")).serve(terminal, { ...options, signal }),
      ),
    );
}

function studioCommand({ program, action, signal }: Commands): void {
  languageModelOptions(
    program
      .command("studio")
      .description("open flows and runs in the browser: see, run, look into every step, change, compare"),
  )
    .argument("[folder]", "what is searched, and where flows are saved; the working directory by default")
    .option("--source <folder>", "search another folder than the one in which flows are saved")
    .option("--encoder <name>", `what makes the vectors, as in serve (default: "${defaultEncoder}")`)
    .addOption(engineOption())
    .addOption(readerOption())
    .option("--port <number>", "0 takes any", "0")
    .action(
      action(async (terminal, folder: string | undefined, options: Parameters<typeof studio>[2]) =>
        (await import("./commands/serve.js")).studio(terminal, folder, { ...options, signal }),
      ),
    );
}

function keyCommands({ program, action }: Commands): void {
  const keys = program.command("keys").description("the keys of the service: create, list, revoke");
  keys
    .command("create")
    .description("make a key and print it, this once")
    .argument("<name>")
    .option("--principal <id>", "who asks with it; by default the key itself")
    .option("--group <name>", "a group of the principal", collect)
    .option("--scope <scope>", "run (the default), flows, indexes, operate", collect)
    .option("--flow <name>", "a flow that it may run; all by default", collect)
    .option("--index <name>", "an index that it may use; all by default", collect)
    .option("--requests-per-minute <number>")
    .option("--concurrency <number>", "runs at once")
    .option("--calls-per-day <number>", "model calls")
    .option("--tokens-per-day <number>")
    .action(
      action(async (terminal, name: string, options: KeyOptions) =>
        (await import("./commands/serve.js")).createKey(terminal, name, options),
      ),
    );
  keys
    .command("list")
    .description("list the keys, without their secrets")
    .action(action(async (terminal) => (await import("./commands/serve.js")).listKeys(terminal)));
  keys
    .command("revoke")
    .description("revoke a key; a running service refuses it at once")
    .argument("<id>")
    .action(action(async (terminal, id: string) => (await import("./commands/serve.js")).revokeKey(terminal, id)));
}

function modelCommands(commands: Commands): void {
  const { program, action, signal } = commands;
  const model = program
    .command("models")
    .description("models of this machine: add, list, remove, inspect, verify, encode, generate, prune, emoe");
  addedModelCommands(model, commands);
  model
    .command("list")
    .description("list the models that are here")
    .action(action(async (terminal) => (await import("./commands/models.js")).list(terminal)));
  model
    .command("inspect")
    .description(
      "layers, exits and sizes of a model; of a language model, which modules serve which operator and language",
    )
    .argument("[model]")
    .option("--on <file>", 'count modules on text: {"text", "language"} or {"messages", "task"} lines')
    .option("--most <lines>", "lines of it at most", Number, 200)
    .option("--svg <file>", "draw them")
    .action(
      action(async (terminal, name: string | undefined, options: languageModels.InspectOptions) =>
        (await import("./commands/models.js")).inspect(terminal, name, { ...options, signal }),
      ),
    );
  model
    .command("verify")
    .description("compare every engine of this machine with the golden vectors or cases")
    .argument("[model]")
    .action(action(async (terminal, name?: string) => (await import("./commands/models.js")).verify(terminal, name)));
  model
    .command("encode")
    .description('encode {"text"} lines into row-major little-endian float32')
    .option("--model <name>", "the encoder")
    .addOption(engineOption())
    .option("--exit <layer>", "the layer to leave by", Number)
    .option("--width <components>", "how many leading components are kept", Number)
    .addOption(new Option("--kind <kind>", "what the texts are").choices(["query", "code", "text"]).default("text"))
    .requiredOption("--input <file>", "texts.jsonl")
    .requiredOption("--output <file>", "vectors.f32")
    .action(
      action(async (terminal, options: Parameters<typeof models.encode>[1]) =>
        (await import("./commands/models.js")).encode(terminal, { ...options, signal }),
      ),
    );
  languageModelCommands(model, commands);
}

function addedModelCommands(model: Command, { action, signal }: Commands): void {
  model
    .command("add")
    .description("give a folder, a GGUF file or a model of the hub a name, by which it may be called everywhere")
    .argument("<source>", "a folder, a file.gguf, or hub:owner/name")
    .option("--name <name>", "the name; by default that of the folder, file or repository")
    .option("--file <path>", "one GGUF file of a repository that has several")
    .option("--revision <name>", "a branch, tag or commit of the repository")
    .option("--hub <address>", "the hub; $HF_ENDPOINT or that of Hugging Face by default")
    .action(
      action(async (terminal, source: string, options: addedModels.AddOptions) =>
        (await import("./commands/added-models.js")).add(terminal, source, { ...options, signal }),
      ),
    );
  model
    .command("remove")
    .description("forget a model that was added; what was fetched for it is deleted")
    .argument("<name>")
    .action(
      action(async (terminal, name: string) => (await import("./commands/added-models.js")).remove(terminal, name)),
    );
}

function languageModelCommands(model: Command, { action, signal }: Commands): void {
  model
    .command("generate")
    .description("a language model's answer to a prompt, as it comes")
    .option("--model <name>", "the language model; its folder may be named by a path", defaultLanguageModel)
    .addOption(engineOption())
    .requiredOption("--prompt <text>", "what the user says")
    .option("--seed <number>", "the same answer for the same seed", Number)
    .option("--temperature <number>", "0 takes the likeliest token", Number)
    .option("--max-tokens <count>", "the longest answer", Number, 256)
    .option("--json-schema <file>", "a JSON Schema that the answer meets")
    .action(
      action(async (terminal, options: languageModels.GenerateOptions) =>
        (await import("./commands/language-models.js")).generate(terminal, { ...options, signal }),
      ),
    );
  model
    .command("prune")
    .description("a smaller language model, without the modules that some text uses least")
    .argument("[model]")
    .requiredOption("--on <file>", 'what it is to serve: {"text", "language"} or {"messages", "task"} lines')
    .requiredOption("--output <folder>", "the new bundle")
    .option("--keep <share>", "of the modules of each layer", Number, 0.5)
    .option("--most <lines>", "lines of the text at most", Number, 1000)
    .action(
      action(async (terminal, name: string | undefined, options: languageModels.PruneOptions) =>
        (await import("./commands/language-models.js")).prune(terminal, name, { ...options, signal }),
      ),
    );
  model
    .command("emoe")
    .description("a dense language model with emergent experts in some layers, and back")
    .argument("<model>")
    .requiredOption("--output <folder>", "the new bundle")
    .option("--layers <numbers>", "from 0, as in 2,3")
    .option("--experts <count>", "of each of these layers; 64 where not given", Number)
    .option("--top <count>", "experts that run for a token; 16 where not given", Number)
    .option("--seed <number>", "of the clusters", Number)
    .option("--merge", "make the layers dense again")
    .action(
      action(async (terminal, name: string, options: languageModels.EmergentOptions) =>
        (await import("./commands/language-models.js")).emergent(terminal, name, options),
      ),
    );
}

function coderCommand({ program, action, signal }: Commands): void {
  program
    .command("coder")
    .description("code that models wrote")
    .command("run")
    .description("run cases ({id, code, tests} a line) in the sandbox; one JSON line a result")
    .addOption(
      new Option("--driver <name>", "what isolates them")
        .choices(["quickjs", "bwrap", "docker", "remote"])
        .default("quickjs"),
    )
    .option("--url <address>", 'the server of the driver "remote"')
    .requiredOption("--input <file>", "cases.jsonl")
    .action(
      action(async (terminal, options: CoderRunOptions) =>
        (await import("./commands/coder.js")).runCases(terminal, { ...options, signal }),
      ),
    );
}
