import { describe, expect, it } from "@jest/globals";
import { shown } from "./reading.fixture.js";

describe("the PPTX reader", () => {
  it("reads titles, lists, tables and notes, slide by slide", async () => {
    const name = "harbours-python-pptx.pptx";
    expect(await shown(name)).toEqual([
      [
        `${name}, slide 1`,
        "# Harbours\n\n- Alder opens at six\n- Birch opens at eight\n\nNotes: Tell the story of the lighthouse.",
      ],
      [`${name}, slide 2`, "# Plans\n\nA third berth in 2027"],
      [`${name}, slide 3`, "# Costs\n\n| Item | Million |\n| --- | --- |\n| Berth | 3.4 |"],
    ]);
  });

  it("reads what pandoc writes, and never puts two slides into one passage", async () => {
    const found = await shown("handbook-pandoc.pptx");
    expect(found.map(([where]) => where.split(", ")[1])).toEqual([
      "slide 1",
      "slide 2",
      "slide 3",
      "slide 4",
      "slide 5",
    ]);
    expect(found[2]![1]).toContain("| Upper | 12 | with a window |");
    expect(found[3]![1]).toContain("Dogs travel for free");
  });
});
