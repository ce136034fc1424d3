import { join } from "node:path";
import { TesseraError } from "@tessera/core";
import { type Converter, readPublished } from "../converter.js";

const languages = ["python", "csharp", "sql"];

interface Titled {
  readonly id: string;
  readonly title: string;
  readonly code: string;
  readonly language: string;
}

/** The lines of one file: two numbers, a title, the code with its line feeds escaped, and a flag, between tabs. */
async function readTitled(folder: string, language: string, part: string): Promise<Titled[]> {
  const file = `stackoverflow/${language}-${part}.txt`;
  return (await readPublished(folder, file)).split("\n").flatMap((line, index) => {
    if (line.trim() === "") return [];
    const [, id = "", title = "", code = "", flag] = line.split("\t");
    if (flag === undefined || id === "" || title.trim() === "" || code.trim() === "")
      throw new TesseraError("BAD_SOURCE", "a line has two numbers, a title, code and a flag, between tabs", {
        path: `${join(folder, file)}:${index + 1}`,
      });
    const unescaped = code.replace(/\\(n|\\)/g, (_, mark) => (mark === "n" ? "\n" : "\\"));
    return [{ id: `${language}-${id}`, title: title.trim(), code: unescaped, language }];
  });
}

/** Titles of questions on Stack Overflow with the code that answers them (CODE-NN, Iyer et al. 2016). */
export const stackoverflow: Converter = {
  name: "stackoverflow",
  about: "Stack Overflow: titles of questions, answered by a piece of Python, C# or SQL each",
  read: async (folder) => {
    const titled: Titled[] = [];
    for (const language of languages)
      for (const part of ["valid", "test"]) titled.push(...(await readTitled(folder, language, part)));
    // the same code in the same language is one passage
    const keyOf = ({ language, code }: Titled) => `${language}\n${code}`;
    const passages = new Map<string, Titled>();
    for (const one of titled) if (!passages.has(keyOf(one))) passages.set(keyOf(one), one);
    return {
      passages: [...passages.values()].map(({ id, code, language }) => ({ id, text: code, metadata: { language } })),
      questions: titled.map((one) => ({ id: one.id, question: one.title, gold: [passages.get(keyOf(one))!.id] })),
    };
  },
};
