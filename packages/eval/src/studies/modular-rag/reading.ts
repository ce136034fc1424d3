import type { Hit, LanguageModel, Passage } from "@tessera/core";
import { support, verify } from "@tessera/generator";
import { compress, critique, extractive } from "@tessera/reranker";
import { ResourceHost } from "@tessera/tessera/internal";
import { converters } from "../../data-sets/converters/catalogue.js";
import { type HallucinationPair, readHaluEval } from "../../data-sets/converters/halueval.js";
import { containsAnswer } from "../../measures/answers.js";
import { studyContext } from "../study.js";
import type { CheckContext, RowCheck, RowFigure } from "./check.js";

const hitOf = (passage: Passage): Hit => ({ passage, score: 1, provenance: [] });

/** The model, or nothing where none was named. */
function modelOf({ model }: CheckContext): LanguageModel | undefined {
  try {
    return model();
  } catch {
    return undefined;
  }
}

type Compression = (
  input: { query: string; hits: Hit[] },
  context: ReturnType<typeof studyContext>,
) => Promise<{ hits: Hit[] }>;

/** Row 30: of the gold passages of NQ that hold an answer, those that still hold it when they are shortened. */
const compression: RowCheck = {
  row: 30,
  about: "compression",
  async measure(context) {
    const { folder, limit, signal, progress } = context;
    const data = await converters.get("nq")!.read(folder);
    const passages = new Map(data.passages.map((passage) => [passage.id, passage]));
    const language = modelOf(context);
    const host = new ResourceHost({ ...(language && { model: { model: () => language } }) });
    const ways: [string, number, Compression][] = [];
    for (const unit of ["sentence", "phrase"] as const)
      for (const ratio of [0.5, 0.7, 0.9])
        ways.push([`by ${unit} to ${ratio}`, ratio, (await extractive.setup({ ratio, unit }, host)) as Compression]);
    if (language?.capabilities.has("score"))
      ways.push([
        `by perplexity of ${language.revision} to 0.5`,
        0.5,
        (await compress.setup(compress.config.parse({ model: "model", ratio: 0.5 }), host)) as Compression,
      ]);
    const asked = data.questions
      .map(({ question, answers = [], gold = [] }) => ({ question, answers, passage: passages.get(gold[0]!)! }))
      .filter(({ answers, passage }) => containsAnswer(passage.text, answers) === 1)
      .slice(0, limit);
    const figures: RowFigure[] = [];
    for (const [name, ratio, shorten] of ways) {
      const [kept, ratios, shorter]: [number[], number[], number[]] = [[], [], []];
      for (const [index, { question, answers, passage }] of asked.entries()) {
        progress(index, asked.length);
        const { hits } = await shorten({ query: question, hits: [hitOf(passage)] }, studyContext(signal));
        const { text } = hits[0]!.passage;
        kept.push(containsAnswer(text, answers));
        ratios.push(text.length / passage.text.length / ratio);
        shorter.push(Number(text.length < passage.text.length));
      }
      figures.push(
        { what: `${name}: strictly shorter`, values: shorter, exactly: 1 },
        { what: `${name}: length, of the target`, values: ratios, least: 0.95, most: 1.05 },
        { what: `${name}: gold answer kept`, values: kept, least: 0.9 },
      );
    }
    return figures;
  },
};

/** Statements of a pair: its question with one answer or the other. */
const statements = ({ question, right, hallucinated }: HallucinationPair): [string, string] => [
  `${question} ${right}`,
  `${question} ${hallucinated}`,
];

/** Row 32: a passage with what is known and one that was made up, judged by the model. */
const selection: RowCheck = {
  row: 32,
  about: "selection by critique",
  async measure({ folder, limit, signal, progress, model }) {
    const language = model();
    const host = new ResourceHost({ model: { model: () => language } });
    const judge = await critique.setup(critique.config.parse({ model: "model" }), host);
    const pairs = (await readHaluEval(folder)).slice(0, limit);
    const [dropped, kept]: [number[], number[]] = [[], []];
    for (const [index, pair] of pairs.entries()) {
      progress(index, pairs.length);
      const known = hitOf({ id: "known", text: pair.knowledge, metadata: {} });
      const wrong = hitOf({ id: "wrong", text: statements(pair)[1], metadata: {} });
      const { hits } = await judge({ query: pair.question, hits: [known, wrong] }, studyContext(signal));
      const ids = new Set(hits.map(({ passage }) => passage.id));
      dropped.push(Number(!ids.has("wrong")));
      kept.push(Number(ids.has("known")));
    }
    return [
      { what: `made-up passages that ${language.revision} drops`, values: dropped },
      { what: "passages with what is known that it keeps", values: kept },
    ];
  },
};

/** Row 37: whether the right statement is better supported by what is known than the made-up one; a tie counts half. */
const verification: RowCheck = {
  row: 37,
  about: "verification by knowledge",
  async measure(context) {
    const { folder, limit, signal, progress } = context;
    const language = modelOf(context);
    const host = new ResourceHost({ ...(language && { model: { model: () => language } }) });
    const ways = { "by words alone": await support.setup(support.config.parse({}), host) };
    if (language)
      Object.assign(ways, {
        [`by ${language.revision}`]: await verify.setup(verify.config.parse({ model: "model" }), host),
      });
    const pairs = (await readHaluEval(folder)).slice(0, limit);
    const figures: RowFigure[] = [];
    for (const [name, check] of Object.entries(ways)) {
      const [right, supported]: [number[], number[]] = [[], []];
      for (const [index, pair] of pairs.entries()) {
        progress(index, pairs.length);
        const known = hitOf({ id: "known", text: pair.knowledge, metadata: {} });
        const { claims } = await check({ claims: statements(pair), hits: [known] }, studyContext(signal));
        const [one, other] = claims.map(({ score }) => score) as [number, number];
        right.push(one > other ? 1 : one === other ? 0.5 : 0);
        supported.push(Number(claims[0]!.verdict === "supported"));
      }
      figures.push(
        { what: `${name}: pairs in the right order (by chance 0.5)`, values: right },
        { what: `${name}: right statements called supported`, values: supported },
      );
    }
    return figures;
  },
};

export const reading: readonly RowCheck[] = [compression, selection, verification];
