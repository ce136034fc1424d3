import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { EndpointSettings, TesseraConfig } from "@tessera/tessera";
import { readSettings } from "../settings.js";
import { type Terminal, UsageError } from "../terminal.js";

/** A model that could answer, and where it was found. */
interface Candidate {
  readonly from: string;
  readonly model: Pick<EndpointSettings, "endpoint" | "model">;
}

/** Services of this machine at their usual ports. */
const usualPlaces: readonly { readonly name: string; readonly endpoint: string }[] = [
  { name: "Ollama", endpoint: "http://127.0.0.1:11434/v1" },
  { name: "llama.cpp", endpoint: "http://127.0.0.1:8080/v1" },
  { name: "LM Studio", endpoint: "http://127.0.0.1:1234/v1" },
  { name: "vLLM", endpoint: "http://127.0.0.1:8000/v1" },
];

/** Variables that hold the key of a service with OpenAI's chat completions, and its address. */
const services: readonly { readonly variable: string; readonly endpoint: string }[] = [
  { variable: "OPENAI_API_KEY", endpoint: "https://api.openai.com/v1" },
  { variable: "MISTRAL_API_KEY", endpoint: "https://api.mistral.ai/v1" },
  { variable: "OPENROUTER_API_KEY", endpoint: "https://openrouter.ai/api/v1" },
];

const patience = 1000; // milliseconds; a service of this machine answers at once

/** The names of the models of a service of this machine; none where there is no service. */
async function modelsAt(endpoint: string): Promise<string[]> {
  try {
    const response = await fetch(`${endpoint}/models`, { signal: AbortSignal.timeout(patience) });
    const { data } = (await response.json()) as { data?: { id?: unknown }[] };
    return (data ?? []).flatMap(({ id }) => (typeof id === "string" ? [id] : []));
  } catch {
    return []; // nobody listens there, or somebody else
  }
}

/** The models of the services that run on this machine. */
async function candidates(places: typeof usualPlaces): Promise<Candidate[]> {
  const running = places.map(async ({ name, endpoint }) =>
    (await modelsAt(endpoint)).map((model) => ({ from: `${name} at ${endpoint}`, model: { endpoint, model } })),
  );
  return (await Promise.all(running)).flat();
}

interface InitOptions {
  /** Where the config is written; the working directory by default. */
  readonly folder?: string;
  readonly places?: typeof usualPlaces;
}

/**
 * Writes a small config and says what was found: services of this machine, and keys in the environment or in `.env`. A
 * service that runs here becomes the model; a key alone is only told, since it would send texts away.
 */
export async function init(
  terminal: Terminal,
  { folder = process.cwd(), places = usualPlaces }: InitOptions = {},
): Promise<number> {
  const path = join(folder, "tessera.config.json");
  if (existsSync(path)) throw new UsageError(`there is a config already: ${path}`);
  const { environment } = await readSettings(false, folder);
  const found = await candidates(places);
  const keys = services.filter(({ variable }) => environment[variable]);
  const [first] = found;
  const config: TesseraConfig = { source: ".", ...(first && { model: first.model }) };
  await writeFile(path, `${JSON.stringify(config, undefined, 2)}\n`);

  terminal.result({ path, config, found, keys: keys.map(({ variable }) => variable) });
  for (const { from, model } of found) terminal.say(`found ${model.model} (${from})`);
  for (const { variable, endpoint } of keys)
    terminal.say(
      `found ${variable}; to use it: "model": { "endpoint": "${endpoint}", "model": "…", "keyVariable": "${variable}" }`,
    );
  if (found.length + keys.length === 0) terminal.say("found no model: `ask` quotes what it finds until one is named");
  terminal.say(`wrote ${path}`);
  return 0;
}
