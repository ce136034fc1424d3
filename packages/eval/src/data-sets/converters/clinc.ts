import { join } from "node:path";
import { z } from "zod";
import { type Converter, readPublishedJson, shaped } from "../converter.js";

/** A question, and what its asker wants. */
export interface IntentExample {
  readonly text: string;
  readonly intent: string;
}

/** Questions by intent for training and validation, and some of neither intent. */
export interface Intents {
  readonly train: readonly IntentExample[];
  readonly validation: readonly IntentExample[];
  readonly outsideTrain: readonly string[];
  readonly outsideValidation: readonly string[];
}

const file = "clinc/train-val.json";
const pairs = z.array(z.tuple([z.string(), z.string()]));

/** CLINC150 (Larson et al. 2019). @throws TesseraError BAD_SOURCE where it is missing or shaped otherwise. */
export async function readClinc(folder: string): Promise<Intents> {
  const schema = z.object({ train: pairs, val: pairs, oos_train: pairs, oos_val: pairs });
  const { train, val, oos_train, oos_val } = shaped(schema, await readPublishedJson(folder, file), join(folder, file));
  const examples = (list: z.infer<typeof pairs>) => list.map(([text, intent]) => ({ text, intent }));
  const texts = (list: z.infer<typeof pairs>) => list.map(([text]) => text);
  return {
    ...{ train: examples(train), validation: examples(val) },
    ...{ outsideTrain: texts(oos_train), outsideValidation: texts(oos_val) },
  };
}

const nameOf = (intent: string): string => intent.replaceAll("_", " ");

/** CLINC150: a passage is an intent with its questions of training; out of scope no passage is gold. */
export const clincIntents: Converter = {
  name: "clinc",
  about: "CLINC150: what its asker wants, of 150 intents, or none of them",
  read: async (folder) => {
    const { train, validation, outsideValidation } = await readClinc(folder);
    const intents = new Map<string, string[]>();
    for (const { text, intent } of train) intents.set(intent, [...(intents.get(intent) ?? []), text]);
    return {
      passages: [...intents].map(([intent, texts]) => ({
        id: intent,
        title: nameOf(intent),
        text: texts.join("\n"),
        metadata: {},
      })),
      questions: [
        ...validation.map(({ text, intent }, index) => ({
          id: `${index}`,
          question: text,
          answers: [nameOf(intent)],
          gold: intents.has(intent) ? [intent] : [],
        })),
        ...outsideValidation.map((question, index) => ({ id: `outside-${index}`, question })),
      ],
    };
  },
};
