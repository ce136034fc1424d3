import { addModel, removeModel } from "@tessera/models/internal";
import { colors } from "../colors.js";
import type { Terminal } from "../terminal.js";

export interface AddOptions {
  readonly name?: string;
  readonly file?: string;
  readonly revision?: string;
  /** The address of the hub. */
  readonly hub?: string;
  readonly signal?: AbortSignal;
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

/** Gives a folder, a GGUF file or a model of the hub a name. */
export async function add(terminal: Terminal, source: string, { hub, ...options }: AddOptions): Promise<number> {
  const added = await addModel(source, {
    ...options,
    address: hub,
    progress: (file, done, total) => terminal.progress(`fetch ${file}`, done, total),
    licence: (licence) => terminal.note(`licence, as the model's card says: ${licence ?? "none is named"}`),
  });
  terminal.clear();
  terminal.result(added);
  const { name, architecture, kind, size, unread } = added;
  terminal.say(`${name}: ${architecture}, ${megabytes(size)}  ${colors.dim(added.path)}`);
  if (kind === "encoder") terminal.say(`use it: tessera ask "…" --encoder ${name}`);
  else if (kind === "decoder") terminal.say(`use it: tessera ask "…" --model ${name}`);
  else terminal.say(`Our engines do not read it: ${unread}\nllama.cpp may: tessera ask "…" --model llama.cpp:${name}`);
  return 0;
}

/** Forgets a model that was added. */
export async function remove(terminal: Terminal, name: string): Promise<number> {
  const removed = await removeModel(name);
  terminal.result(removed);
  const kept = removed.source.startsWith("hub:") ? "its files are deleted" : `${removed.path} stays where it is`;
  terminal.say(`${name} is no model any more; ${kept}`);
  return 0;
}
