import { answer } from "./flow.js";

const passages = [
  { id: "a", text: "The ferry leaves at noon.", metadata: { label: "public" } },
  { id: "b", text: "The ferry leaves at dawn for the crew.", metadata: { label: "internal" } },
];
console.log(await answer(passages, process.argv[2] ?? "when does the ferry leave?"));
