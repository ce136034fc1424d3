import { countSharedWords, measureCodePassages, measurePlaces, type PlacesSettings } from "@tessera/eval/internal";
import { Option } from "commander";
import type { EvaluationCommands } from "./evaluation.js";

interface PlacesOptions extends Pick<PlacesSettings, "half" | "against" | "encoder"> {
  readonly package?: string[];
  readonly sharedWords?: boolean;
}

/** Adds `tessera eval places`. */
export function placesCommand({ command, action, signal }: EvaluationCommands): void {
  command
    .command("places")
    .description(
      "how often one of the first three citations is the place that answers, over public packages that it fetches",
    )
    .addOption(
      new Option("--half <half>", "which half of the questions").choices(["choosing", "reporting"]).default("choosing"),
    )
    .option("--package <name...>", "only these packages")
    .option("--encoder <name>", "what makes the vectors; by default that of `tessera ask`")
    .option("--against <folder>", "a checkout that is built, to measure beside this one")
    .option("--shared-words", "counts the questions that share no content word with their place, and asks none")
    .action(
      action((terminal, { package: packages, sharedWords, ...options }: PlacesOptions) =>
        sharedWords
          ? countSharedWords(terminal, signal)
          : measurePlaces(terminal, { ...options, ...(packages && { packages }), signal }),
      ),
    );
  command
    .command("code-passages")
    .description("how functions and comments of four packages lie in passages: Go, Java, Rust and C++")
    .action(action((terminal) => measureCodePassages(terminal, signal)));
}
