import { describe, expect, it } from "@jest/globals";
import { TesseraError } from "@tessera/core";
import { chatPrompt } from "./chat-template.js";

const open = (template: string) => chatPrompt({ template, tokens: { bos_token: "<s>" } }, "model");
const turns =
  "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";

describe("a chat template", () => {
  it("renders messages, the tokens of its file, and the beginning of an answer", async () => {
    const render = await open(`{{ bos_token }}${turns}`);
    expect(
      render([
        { role: "system", content: "be brief" },
        { role: "user", content: "{{ 1 + 1 }}" },
      ]),
    ).toBe("<s>[system]be brief[user]{{ 1 + 1 }}[assistant]");
  });

  it("says which messages it refuses", async () => {
    const render = await open(
      `{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}${turns}`,
    );
    expect(() => render([{ role: "system", content: "x" }])).toThrow(
      expect.objectContaining({ code: "BAD_ARGUMENT", message: expect.stringContaining("no system") }),
    );
  });

  const hundred = `[${Array.from({ length: 100 }, (_, i) => i).join()}]`;
  it.each([
    ["is no template", "{% for x in %}"],
    ["names what is not there", "{{ messages[0].content | nothing }}"],
    ["loops without end", `${`{% for a in ${hundred} %}`.repeat(9)}x${"{% endfor %}".repeat(9)}`],
    ["counts to a billion", "{% for a in range(1000000000) %}{% for b in range(1000000000) %}{% endfor %}{% endfor %}"],
    ["calls itself", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"],
    ["is too long", "x".repeat(300_000)],
  ])("that %s is refused", async (_, template) => {
    const error = await open(template).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(TesseraError);
    expect(error).toMatchObject({ code: "BAD_BUNDLE", path: "model" });
  });
});
