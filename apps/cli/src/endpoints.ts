import type { Encoder, Reranker } from "@tessera/core";
import { endpointEncoder, endpointReranker } from "@tessera/models";
import { isOfThisMachine } from "@tessera/models/internal";
import type { EncoderSettings, RerankerSettings } from "@tessera/tessera";
import { type Settings, settingsFor } from "./settings.js";
import type { Terminal } from "./terminal.js";

interface Addressed {
  readonly endpoint: string;
  readonly model: string;
  readonly keyVariable?: string;
}

/** Whether settings name an address. */
export const isEndpoint = <T>(given: T): given is Extract<T, { readonly endpoint: string }> =>
  typeof given === "object" && given !== null && "endpoint" in given;

/** What every client of a service takes, from its settings; says where texts go unless it is this machine. */
export function clientOf<T extends Addressed>(
  terminal: Terminal,
  { endpoint: baseUrl, keyVariable = "OPENAI_API_KEY", ...rest }: T,
  { environment }: Settings,
  what: string,
) {
  const apiKey = environment[keyVariable];
  if (!isOfThisMachine(baseUrl)) terminal.note(`${what} go to ${new URL(baseUrl).origin} (model ${rest.model})`);
  return { baseUrl, ...rest, ...(apiKey && { apiKey: () => apiKey }) };
}

/** The encoder of an index: a name as `updateCodebase` takes it, or an open one with a name for the place of its index. */
export interface IndexEncoder {
  readonly name: string;
  readonly encoder: string | Encoder;
}

/**
 * What makes the vectors of an index: what the option says, else the config. A name of the config's `encoders` stands for
 * what is there.
 */
export async function indexEncoderOf(
  terminal: Terminal,
  given: EncoderSettings | undefined,
  byDefault: string,
): Promise<IndexEncoder> {
  const settings = await settingsFor(terminal);
  const { encoders = {} } = settings.config;
  const chosen = given ?? byDefault;
  const isNamed = typeof chosen === "string" && Object.hasOwn(encoders, chosen);
  const found = isNamed ? encoders[chosen]! : chosen;
  if (typeof found === "string") return { name: found, encoder: found };
  const encoder = await openEncoder(terminal, found, settings);
  const place = isEndpoint(found)
    ? `${found.shape ?? "openai"} ${found.endpoint}`
    : `${settings.path} ${isNamed ? chosen : "encoder"}`;
  return { name: `${place} ${encoder.space({})}`, encoder };
}

/** Opens an encoder that is no name. */
export async function openEncoder(
  terminal: Terminal,
  given: Exclude<EncoderSettings, string>,
  settings: Settings,
): Promise<Encoder> {
  if (typeof given === "function") return given();
  if (!isEndpoint(given)) return given;
  return endpointEncoder(clientOf(terminal, given, settings, "passages and questions"));
}

/** Opens a reranker that is no name. */
export async function openRerankerOf(
  terminal: Terminal,
  given: Exclude<RerankerSettings, string>,
  settings: Settings,
): Promise<Reranker> {
  if (typeof given === "function") return given();
  if (!isEndpoint(given)) return given;
  return endpointReranker(clientOf(terminal, given, settings, "questions and passages"));
}
