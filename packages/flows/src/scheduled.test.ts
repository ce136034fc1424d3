import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "@jest/globals";
import type { FlowDocument, Hit, Resource } from "@tessera/core";
import { SqliteDatabase } from "@tessera/query";
import { headOf } from "@tessera/retriever/internal";
import { ExactStore } from "@tessera/stores";
import { hostOf, scriptedEncoder, scriptedModel } from "@tessera/testkit";
import { flows } from "./catalogue.js";
import { corpus, hostOver, modelOf } from "./corpus.fixture.js";
import { drRag } from "./dr-rag/flow.js";
import { hyde } from "./hyde/flow.js";
import { multiHeadRag } from "./multi-head-rag/flow.js";
import { operators } from "./operators.fixture.js";
import { planrag } from "./planrag/flow.js";
import { ids, trace } from "./trace.fixture.js";
import { treeOfClarifications } from "./tree-of-clarifications/flow.js";

/** The operators that a document and the flows in it run. */
const operatorsOf = ({ nodes }: FlowDocument): string[] => [
  ...new Set(Object.values(nodes).flatMap(({ run }) => (typeof run === "string" ? [run] : operatorsOf(run)))),
];

describe("the paper's claims of extensibility", () => {
  const aboutOf = (name: string) => operators.find((operator) => operator.name === name)!.about;

  it.each(["dr-rag", "planrag"])(
    "row 57: %s has only operators of the paper, none made for it, and plumbing",
    (name) => {
      for (const { module, paper } of operatorsOf(flows.get(name)!.flow.document).map(aboutOf)) {
        if (module === "data") continue;
        expect(paper).toMatch(/Modular RAG, (operator|equation)/);
        expect(paper).not.toMatch(/DR-RAG|PlanRAG/);
      }
    },
  );

  it("tree-of-clarifications adds one scheduler to operators of the paper and plumbing, and nothing else", () => {
    const known = new Set(
      [...flows].flatMap(([name, { flow }]) => (name === "tree-of-clarifications" ? [] : operatorsOf(flow.document))),
    );
    const own = operatorsOf(treeOfClarifications.document);
    expect(own.filter((name) => !known.has(name))).toEqual(["router.tree"]);
    expect(aboutOf("router.tree")).toMatchObject({ module: "orchestration", submodule: "scheduling" });
    for (const { module, paper } of own.filter((name) => name !== "router.tree").map(aboutOf))
      if (module !== "data") expect(paper).toMatch(/Modular RAG, (operator|equation)/);
  });

  it("row 24: multi-head-rag adds one retriever, and nothing else", () => {
    const known = new Set(
      [...flows].flatMap(([name, { flow }]) => (name === "multi-head-rag" ? [] : operatorsOf(flow.document))),
    );
    expect(operatorsOf(multiHeadRag.document).filter((operator) => !known.has(operator))).toEqual([
      "retriever.multi-vector",
    ]);
    expect(aboutOf("retriever.multi-vector")).toMatchObject({ module: "retrieval", submodule: "retriever selection" });
  });

  it("row 24: multi-head-rag runs, and finds passages of both aspects of a question", async () => {
    const resources: Record<string, Resource> = {};
    for (const index of [0, 1, 2, 3]) {
      const encoder = headOf(scriptedEncoder(4096), index, 4);
      const store = new ExactStore({ space: encoder.space({}), width: 1024 });
      const texts = corpus.map(({ text }) => text);
      await store.upsert(corpus, await encoder.encode(texts, { kind: "text" }));
      Object.assign(resources, { [`store/head-${index}`]: store, [`encoder/head-${index}`]: encoder });
    }
    const model = modelOf([{ asked: "You answer questions", says: "Red [1]." }]);
    const asked = { query: "red lantern, rye bread" };
    const { output } = await trace(multiHeadRag, asked, model, hostOver(model, resources));
    expect(new Set(ids(output.hits).slice(0, 2))).toEqual(new Set(["lighthouse", "bakery"]));
    expect(output.text).toBe("Red [1].");
  });
});

describe("hyde", () => {
  it("row 17: searches with the mean of eight invented vectors and the question's own", async () => {
    const model = scriptedModel(Array.from({ length: 9 }, () => "Rye bread [1]."));
    const { inputsOf } = await trace(hyde, { query: "lantern" }, model);
    const [input] = inputsOf("hyde/retrieve") as { query: string; vector: number[] }[];
    expect(input!.query).toBe("lantern");
    // eight times (rye, bread, 1) / √3 and once lantern, scaled to length 1
    const parts = input!.vector
      .map(Math.abs)
      .filter((component) => component > 0)
      .sort();
    const [invented, own] = [8 / Math.sqrt(3), 1];
    const length = Math.hypot(invented, invented, invented, own);
    expect(parts).toHaveLength(4);
    expect(parts[0]).toBeCloseTo(own / length, 6);
    for (const part of parts.slice(1)) expect(part).toBeCloseTo(invented / length, 6);
  });
});

describe("dr-rag", () => {
  it("row 57: asks the model once, and never twice for a passage", async () => {
    const model = modelOf([{ asked: "You answer questions", says: "By Ada Brandt [1]." }]);
    const { output, spent } = await trace(drRag, { query: "Ada Brandt harbour" }, model);
    expect(spent.calls).toBe(1);
    expect(new Set(ids(output.hits)).size).toBe(output.hits.length);
    expect(ids(output.hits).slice(0, 2)).toEqual(["harbour", "brandt"]);
    expect(output.hits.length).toBeLessThanOrEqual(6);
  });
});

describe("planrag", () => {
  const database = SqliteDatabase.open(fileURLToPath(new URL("./planrag/samples/towns.db", import.meta.url)));
  afterAll(() => database.close());
  const over = async (model: ReturnType<typeof modelOf>) =>
    hostOf({ "model/model": model, "database/database": database });

  it("asks what depends on an observation after it, with the observation in its place", async () => {
    const model = modelOf([
      { asked: "You split a question", says: "1. Which river is at Kolm?\n2. Which sea does #1 reach?" },
      { asked: ["SELECT statement", "Which river is at Kolm?"], says: "SELECT river FROM towns WHERE name = 'Kolm'" },
      { asked: ["SELECT statement", "Which sea does Isna"], says: "SELECT sea FROM rivers WHERE name = 'Isna'" },
      { asked: ["You answer questions", "Which river is at Kolm?"], says: "Isna" },
      { asked: ["You answer questions", "Which sea does Isna reach?"], says: "northern" },
      { asked: ["You answer questions", "northern"], says: "The northern sea [2]." },
      { asked: "You examine an answer", says: "A" },
    ]);
    const { output, inputsOf } = await trace(planrag, { query: "Which sea is below Kolm?" }, model, over(model));
    expect(inputsOf("/rows").map(({ query }) => query)).toEqual([
      "Which river is at Kolm?",
      "Which sea does Isna reach?",
    ]);
    expect(output).toMatchObject({ text: "The northern sea [2].", turns: 1, stopReason: "until" });
    expect(output.hits).toHaveLength(2);
  });

  it("plans again from the observations where the answer is not confirmed, three times at most", async () => {
    const model = modelOf([
      { asked: "You split a question", says: "1. Which river is at Kolm?" },
      { asked: "SELECT statement", says: "SELECT river FROM towns WHERE name = 'Kolm'" },
      { asked: ["You answer questions", "Which river"], says: "Isna" },
      { asked: "You answer questions", says: "Unknown [1]." },
      { asked: "You examine an answer", says: "B Name the sea." },
    ]);
    const { output, inputsOf } = await trace(planrag, { query: "Which sea is below Kolm?" }, model, over(model));
    expect(output).toMatchObject({ turns: 3, stopReason: "max" });
    const [first, second] = inputsOf("/plan").map(({ query }) => String(query));
    expect(first!.trim()).toBe("Which sea is below Kolm?");
    expect(second).toContain("Which river is at Kolm? Isna");
    expect(second).toContain("Name the sea.");
    // the same rows are one passage, however often they are read
    expect(output.hits).toHaveLength(1);
  });

  it.each([
    ["Kolm", "Isna", "northern"],
    ["Velden", "Tarle", "western"],
    ["Sarn", "Orm", "eastern"],
    ["Hagby", "Lude", "northern"],
    ["Monte", "Vey", "southern"],
  ])("row 56: plans, asks SQLite, observes and plans again: the sea below %s", async (town, river, sea) => {
    let verdicts = 0;
    const model = scriptedModel(({ messages }) => {
      const [system, user] = messages.map(({ content }) => content) as [string, string];
      // the first plan stops at the river, and the judge wants the sea
      if (system.includes("You split a question"))
        return `1. Which river is at ${town}?${user.includes("Name the sea.") ? "\n2. Which sea does #1 reach?" : ""}`;
      if (system.includes("SELECT statement")) {
        const reached = /Which sea does (\w+) reach/.exec(user)?.[1];
        return reached
          ? `SELECT sea FROM rivers WHERE name = '${reached}'`
          : `SELECT river FROM towns WHERE name = '${town}'`;
      }
      if (system.includes("You examine an answer")) return ++verdicts === 1 ? "B Name the sea." : "A";
      // a reader that only quotes what the database gave it
      return /sea\n(\w+)/.exec(user)?.[1] ?? /river\n(\w+)/.exec(user)?.[1] ?? "NO ANSWER";
    });
    const { output, inputsOf } = await trace(planrag, { query: `Which sea is below ${town}?` }, model, over(model));
    expect(inputsOf("/rows").map((input) => input.query)).toEqual([
      `Which river is at ${town}?`,
      `Which river is at ${town}?`,
      `Which sea does ${river} reach?`,
    ]);
    expect(output).toMatchObject({ turns: 2, stopReason: "until" });
    expect(output.text).toContain(sea);
  });

  it("goes on where no statement runs, after two repairs", async () => {
    const model = modelOf([
      { asked: "You split a question", says: "1. Which river is at Kolm?" },
      { asked: "SELECT statement", says: "DROP TABLE towns" },
      { asked: "You examine an answer", says: "A" },
    ]);
    const { output, ran } = await trace(planrag, { query: "Which sea is below Kolm?" }, model, over(model));
    expect(output.answer.refused).toBe(true);
    expect(model.requests.filter(({ messages }) => messages[0]!.content.includes("SELECT"))).toHaveLength(3);
    expect(ran["query.text-to-sql"]).toBe(1);
  });
});

describe("tree-of-clarifications", () => {
  const query = "Ada Brandt";
  const growing = (verdict: string) => {
    let count = 0;
    return scriptedModel(({ messages }) => {
      const [system, user] = messages.map(({ content }) => content) as [string, string];
      if (system.includes("Do not answer the question"))
        return [1, 2, 3].map(() => `Is Ada Brandt number ${++count}?`).join(" ");
      if (system.includes("narrower question")) return verdict;
      return system.includes("Write one answer") ? "All of them [1]." : `Some [1] of ${user.length}.`;
    });
  };

  it("row 53: stops at ten questions, and asks none twice", async () => {
    const model = growing("yes");
    const { output } = await trace(treeOfClarifications, { query }, model);
    expect(output.stop).toBe("nodes");
    expect(output.questions).toHaveLength(10);
    expect(new Set(output.questions).size).toBe(10);
  });

  it("row 53: gives up after three restarts where no child passes, and still answers the root", async () => {
    const model = growing("no");
    const { inputsOf, output } = await trace(treeOfClarifications, { query }, model);
    // the root alone is expanded, again after each of three restarts, and then there is nothing left
    expect(inputsOf("/clarify")).toHaveLength(4);
    expect(output).toMatchObject({ stop: "restarts", questions: [] });
    expect(output.answer.refused).toBe(false);
  });

  it("judges every child against the root, with the passages nearest to its parent", async () => {
    const model = growing("yes");
    const { inputsOf } = await trace(treeOfClarifications, { query }, model, hostOver(model));
    const judged = inputsOf("/judge");
    expect(judged.length).toBeGreaterThan(0);
    for (const input of judged) {
      expect(input.query).toBe(query);
      expect((input.hits as Hit[]).length).toBeLessThanOrEqual(5);
      expect(corpus.map(({ id }) => id)).toEqual(expect.arrayContaining(ids(input.hits as Hit[])));
    }
  });
});
