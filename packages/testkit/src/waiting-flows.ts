// public: approvalOf, hears
import type { FlowDocument } from "@tessera/core";

/**
 * A flow that drafts a text about a topic, waits for a yes or a no, and sends it or not.
 * @param input the name of its input
 */
export const approvalOf = (input: string): FlowDocument => ({
  version: 1,
  name: "approval",
  input: { [input]: "text" },
  nodes: {
    draft: { run: "text.template", with: { template: "About {topic}." }, in: { topic: `input.${input}` } },
    approve: { run: "flow.wait", with: { answer: { choice: ["yes", "no"] } }, in: { payload: "draft.text" } },
    sent: {
      run: "text.template",
      with: { template: "Sent: {text}" },
      in: { text: "draft.text" },
      when: { "approve.answer": "yes" },
    },
  },
  output: { text: { first: ["sent.text", { value: "nothing was sent" }] } },
});

/** A flow that waits for the signal "go", which brings a number. */
export const hears: FlowDocument = {
  version: 1,
  name: "hears",
  input: {},
  nodes: { hear: { run: "flow.receive", with: { signal: "go", value: "number" }, in: {} } },
  output: { value: "hear.value" },
};
