import { describe, expect, it } from "@jest/globals";
import type { Passage } from "@tessera/core";
import { documentOf } from "../file-text.js";
import { chunkCode } from "../outline.js";
import { htmlReader } from "./html.js";
import { readerLimits } from "./reader.js";
import { Reading } from "./reading.js";

const passagesOf = async (path: string, text: string): Promise<Passage[]> => {
  const read = await new Reading([htmlReader], readerLimits).file({ path, bytes: new TextEncoder().encode(text) });
  const { document } = documentOf(path, read);
  return document ? chunkCode(document, { maximum: 400 }) : [];
};

const page = `<!doctype html>
<html><head><title>Ferries</title><style>p { color: red }</style><script>let x = "</p>";</script></head>
<body>
<nav><a href="/">Home</a></nav>
<header>The site</header>
<main>
<h1>Ferries</h1>
<p>They leave at <b>seven</b>.<br>Call <code>book()</code>.</p>
<h2>Fees <a class="headerlink" href="#fees">¶</a></h2>
<table><tr><th>Deck</th><th>Fee</th></tr><tr><td>Upper</td><td>12</td></tr></table>
<ul><li>Dogs<ul><li>small</li></ul></li><li>Bikes</li></ul>
<pre class="language-js">
const a = 1;
  let b;
</pre>
</main>
<footer>All rights</footer>
</body></html>`;

describe("the HTML reader", () => {
  it("reads the main text by headings, with the lines of the source", async () => {
    const found = await passagesOf("a.html", page);
    expect(found.map(({ text }) => text)).toEqual([
      "# Ferries\n\nThey leave at seven.\nCall `book()`.",
      "## Fees\n\n| Deck | Fee |\n| --- | --- |\n| Upper | 12 |\n\n- Dogs\n   - small\n- Bikes\n\n```js\nconst a = 1;\n  let b;\n```",
    ]);
    expect(found.map(({ source }) => source?.lines)).toEqual([
      [7, 8],
      [9, 15],
    ]);
    expect(found[1]!.title).toBe("Ferries > Fees");
  });

  it("is found by how a file without an extension that is known begins", async () => {
    expect((await passagesOf("page.cgi", page))[0]?.text).toContain("They leave at seven.");
  });

  it("reads a page without a main part, and one that is broken", async () => {
    expect((await passagesOf("b.html", "<h1>A</h1><p>B<div>C<table><tr><td>D"))[0]?.text).toBe("# A\n\nB\n\nC\n\nD");
    expect(await passagesOf("c.html", "<script>x</script>")).toEqual([]);
  });
});
