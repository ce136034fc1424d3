import { describe, expect, it } from "@jest/globals";
import { read, shown } from "./reading.fixture.js";

const notebook = {
  nbformat: 4,
  metadata: { language_info: { name: "julia" } },
  cells: [
    { cell_type: "markdown", source: ["# Tides\n", "\n", "High water at six. ![plot](attachment:a.png)"] },
    {
      cell_type: "code",
      source: "plot(x)",
      outputs: [
        {
          output_type: "display_data",
          data: { "image/png": "iVBORw0KGgo".repeat(5000), "text/plain": ["<Figure size 640x480 with 1 Axes>"] },
        },
        { output_type: "stream", name: "stdout", text: ["\u001b[31m42\u001b[0m\n"] },
        { output_type: "error", ename: "ValueError", evalue: "too deep", traceback: ["x"] },
      ],
    },
    { cell_type: "raw", source: "raw words" },
  ],
};

describe("the notebook reader", () => {
  it("reads cells of text, code in the kernel's language, and what was printed, without pictures", async () => {
    const found = await shown("a.ipynb", JSON.stringify(notebook));
    expect(found).toEqual([
      [
        "a.ipynb, cells 1-3",
        "# Tides\n\nHigh water at six. plot\n\n```julia\nplot(x)\n```\n\n```text\n42\nValueError: too deep\n```\n\nraw words",
      ],
    ]);
  });

  it("reads what nbformat writes: a stream and a result as text, in the language of its kernel", async () => {
    const name = "depths-nbformat.ipynb";
    expect(await shown(name)).toEqual([
      [
        `${name}, cells 1-2`,
        "# Depths\n\nThe pier was sounded in June.\n\n```r\nmean(depths)\n```\n\n```text\neleven soundings\n[1] 4.2\n```",
      ],
      [`${name}, cell 3`, "## Dredging\n\nThe channel is dredged every third year."],
    ]);
  });

  it("reads what pandoc writes, by the headings of its cells, and notebooks of the third format", async () => {
    expect((await shown("handbook-pandoc.ipynb")).map(([where, text]) => [where, text.split("\n")[0]])).toEqual([
      ["handbook-pandoc.ipynb, cell 1", "# Boarding"],
      ["handbook-pandoc.ipynb, cell 1", "## Refunds"],
      ["handbook-pandoc.ipynb, cell 1", "# Fees"],
    ]);
    const old = { worksheets: [{ cells: [{ cell_type: "code", input: ["1 + 1"], outputs: [] }] }] };
    expect(await shown("b.ipynb", JSON.stringify(old))).toEqual([["b.ipynb, cell 1", "```python\n1 + 1\n```"]]);
  });

  it("says that a damaged one is damaged", async () => {
    expect(await read("a.ipynb", "{")).toMatchObject({ reason: "damaged" });
  });
});
