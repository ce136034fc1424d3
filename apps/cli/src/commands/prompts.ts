import { TesseraError } from "@tessera/core";
import { didYouMean, sha256 } from "@tessera/core/internal";
import { colors } from "../colors.js";
import { settingsFor } from "../settings.js";
import type { Terminal } from "../terminal.js";

/** Lists every prompt that an operator sends, and shows the texts if asked to: those of the config in place of ours. */
export async function prompts(
  terminal: Terminal,
  only: string | undefined,
  { show = false }: { readonly show?: boolean },
): Promise<number> {
  const { operators, prompts: own, config } = await settingsFor(terminal);
  const all = operators.flatMap(({ prompts = [] }) => prompts).sort((a, b) => (a.name < b.name ? -1 : 1));
  const wanted = only === undefined ? all : all.filter(({ name }) => name === only);
  if (wanted.length === 0)
    throw new TesseraError("NOT_FOUND", `there is no prompt "${only}"`, {
      hint: didYouMean(
        only!,
        all.map(({ name }) => name),
      ),
    });
  const list = wanted.map(({ name, places, needed, longest, ...ours }) => {
    const { version, text } = own[name] ?? ours;
    const given = config.prompts?.[name];
    const from = given === undefined ? "the catalogue" : typeof given === "string" ? given : given.file;
    return { name, version, hash: sha256(text).slice(0, 16), places, needed, longest, from, text };
  });
  terminal.result(show ? list : list.map(({ text: _, ...rest }) => rest));
  if (!show)
    terminal.table(
      ["prompt", "version", "text", "places", "from"],
      list.map(({ name, version, hash, places, needed, from }) => [
        name,
        version,
        hash.slice(0, 8),
        places.map((place) => `{${place}}${needed.includes(place) ? "*" : ""}`).join(" "),
        from,
      ]),
    );
  else
    for (const { name, text } of list) {
      if (only === undefined) terminal.say(colors.bold(`${name}\n`));
      terminal.say(`${text}${only === undefined ? "\n" : ""}`);
    }
  return 0;
}
