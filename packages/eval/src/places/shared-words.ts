// internal: countSharedWords
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Readers } from "@tessera/indexer";
import { passagesOfFile } from "@tessera/indexer/internal";
import { askedIn, formsOf, formWeights, languagesOf, WordList, words } from "@tessera/text";
import type { Output } from "../reports/output.js";
import { fetchPackage } from "./packages.js";
import { type PlaceQuestion, readPlaces, touchesPlace } from "./place-set.js";

/** Parts of a question that name a thing of the code: with a capital within, a digit, or a sign of paths and calls. */
const name = /\S*(?:\p{Ll}\p{Lu}|\p{Lu}{2}|[\d_/\\()[\]{}<>@$#=+*?.:-](?=\S)|-{1,2}\w)\S*/gu;
/** A word with a capital behind the first; in German that is a noun. */
const proper = /(?<=\S\s+)\p{Lu}\S*/gu;

/** The content words of a question that its place says too, in the same or another inflection; names left out. */
export function sharedWords(question: string, place: string, language: PlaceQuestion["language"]): string[] {
  const list = words(place);
  const without = question.replace(name, " ");
  const plain = language === "de" ? without : without.replace(proper, " ");
  const { words: asked, languages } = askedIn(plain, languagesOf(list));
  const vocabulary = new WordList(list);
  return [...asked]
    .filter(([, { content, piece }]) => content && !piece)
    .map(([word]) => word)
    .filter((word) => {
      const forms = formsOf(word, languages.length > 0 ? languages : ["en"], vocabulary);
      return [...forms.values()].some((weight) => weight >= formWeights.stem);
    });
}

/** Counts the questions that share no content word with their place but names, and prints the words of the others. */
export async function countSharedWords(output: Output, signal?: AbortSignal): Promise<number> {
  const { packages, questions } = await readPlaces();
  const readers = await Readers.open();
  const counts = { choosing: [0, 0], reporting: [0, 0] };
  try {
    for (const [key, pack] of packages) {
      const root = join(await fetchPackage(key, pack), pack.root);
      for (const question of questions.filter((one) => one.package === key)) {
        signal?.throwIfAborted();
        const shared = sharedWords(question.question, await textOf(question, root, readers), question.language);
        counts[question.half][0]! += Number(shared.length === 0);
        counts[question.half][1]! += 1;
        output.line({ id: question.id, half: question.half, shared });
      }
    }
  } finally {
    await readers.close();
  }
  output.say("Questions that share no content word with their place but names:");
  output.table(
    ["half", "none shared", "questions"],
    Object.entries(counts).map(([half, [none, all]]) => [half, none!, all!]),
  );
  return 0;
}

/** What a place says, with the titles above it. */
async function textOf(question: PlaceQuestion, root: string, readers: Readers): Promise<string> {
  const { path, lines } = question;
  const bytes = await readFile(join(root, path));
  if (lines && !/\.x?html?$/.test(path)) {
    const rows = bytes.toString("utf8").split("\n");
    return rows.slice(lines[0] - 1, lines[1]).join("\n");
  }
  const { passages = [] } = await passagesOfFile({ path, bytes }, readers);
  return passages
    .filter(({ source }) => touchesPlace(source ?? {}, question))
    .map(({ title = "", text }) => `${title}\n${text}`)
    .join("\n");
}
