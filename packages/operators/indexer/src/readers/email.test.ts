import { describe, expect, it } from "@jest/globals";
import { fixture, read, shown } from "./reading.fixture.js";

describe("the readers of e-mail", () => {
  it("reads the head, the plain text, and attachments by their own readers", async () => {
    expect(await shown("ferry.eml")).toEqual([
      [
        "ferry.eml",
        "# Fähre am Montag\n\nFrom: Mira Holm <mira@example.org>\nTo: crew@example.org\nDate: Mon, 30 Nov 2026 10:00:00 +0100\n\nThe fähre leaves at seven.",
      ],
      ["ferry.eml, stations.csv", "Station: Alder; Fee: 12"],
    ]);
    expect(await read("ferry.eml", fixture("ferry.eml"))).toMatchObject({
      unread: [{ reason: "partial", detail: "the attachment plan.png is binary" }],
    });
  });

  it("reads what Python writes: a workbook and a message within the message", async () => {
    const found = await shown("raeder-python.eml");
    expect(found[0]![1]).toContain("Die Räder kosten drei Euro.");
    expect(found.map(([where]) => where)).toContain("raeder-python.eml, fees.xlsx, Summer, row 4");
    expect(found.at(-1)).toEqual([
      expect.stringMatching(/^raeder-python\.eml, message \d\.eml$/),
      "# Forwarded inside\n\nFrom: a@example.org\n\nInner words.",
    ]);
  });

  it("reads the mailbox that Python writes, with a line that begins as a message does, and a name with letters of its own", async () => {
    expect(await shown("log-python.mbox")).toEqual([
      ["log-python.mbox, message 1", expect.stringContaining("# Watch\n\nFrom: Øre <watch@example.org>")],
      ["log-python.mbox, message 2", expect.stringContaining("From the bridge all was quiet.\nThe log says so.")],
    ]);
  });

  it("reads a mailbox message by message; a line that begins with From is text", async () => {
    expect(await shown("box.mbox")).toEqual([
      ["box.mbox, message 1", "# One\n\nFrom: mira@example.org\n\nFrom here on it rains.\nFrom there it snows."],
      ["box.mbox, message 2", "# Two\n\nSecond."],
    ]);
    expect(await read("inbox", fixture("box.mbox"))).toMatchObject({ reader: "mbox" });
  });
});
