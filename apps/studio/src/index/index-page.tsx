import { useVirtualizer } from "@tanstack/react-virtual";
import { useMemo, useRef, useState } from "react";
import { ask } from "../api/client.js";
import type { Passage, SourceIndex } from "../api/types.js";
import { PassageLink, PassageText } from "../runs/value-view.js";
import { type SourceAt, SourceDrawer } from "../source/source-drawer.js";
import "../styles/index.css";
import "../styles/runs.css";
import { texts } from "../texts.js";
import { count, score } from "../ui/numbers.js";
import { ErrorNote, Loading, Tabs } from "../ui/parts.js";
import { Table } from "../ui/table.js";
import { useLoaded, useWork } from "../ui/use.js";

interface WordShare {
  readonly word: string;
  readonly passages: number;
  readonly times: number;
  readonly weight: number;
  readonly score: number;
}
interface Fusion {
  readonly words: number;
  readonly vectors: number;
  readonly share: number;
}
interface Found {
  readonly passage: Passage;
  readonly score: number;
  readonly parts?: readonly WordShare[] | Fusion;
}
interface Searched {
  readonly sparse: readonly Found[];
  readonly dense: readonly Found[];
  readonly hybrid?: readonly Found[];
  readonly ms: { readonly sparse: number; readonly dense: number };
  readonly sought?: {
    readonly passage: string;
    readonly terms?: readonly WordShare[];
    readonly places: Readonly<Record<string, { readonly rank?: number; readonly score?: number; readonly of: number }>>;
  };
}

/** How a score came about: the share of each word, or of words and vectors. */
function Explained({ found, way }: { found: Found; way: string }) {
  const { parts } = found;
  if (way === "dense") return <p className="small muted">{texts.index.cosine(score(found.score))}</p>;
  if (!parts) return null;
  if (!Array.isArray(parts)) {
    const { words, vectors, share } = parts as Fusion;
    return (
      <p className="small muted">{texts.index.fused(score(share), score(words), score(1 - share), score(vectors))}</p>
    );
  }
  return <Words words={parts} />;
}

function Words({ words }: { words: readonly WordShare[] }) {
  return (
    <Table
      className="words"
      head={[
        texts.index.word,
        ...[texts.index.times, texts.index.inPassages, texts.index.adds].map((number) => ({ number })),
      ]}
    >
      {words.slice(0, 12).map(({ word, times, passages, score: adds }) => (
        <tr key={word} className={times === 0 ? "muted" : ""}>
          <td className="breaking">{word}</td>
          <td className="number">{times}</td>
          <td className="number">{passages}</td>
          <td className="number">{score(adds)}</td>
        </tr>
      ))}
    </Table>
  );
}

function Way({ way, found, query, open, seek, ms }: WayProps) {
  return (
    <section className="stack way" aria-label={texts.index.ways[way]}>
      <h2>
        {texts.index.ways[way]} {ms !== undefined && <span className="muted small">{ms.toFixed(1)} ms</span>}
      </h2>
      {found.length === 0 && <p className="muted">{texts.run.noHits}</p>}
      <ol className="stack">
        {found.map((one, index) => (
          <li key={one.passage.id} className="hit stack tight">
            <div className="row tight">
              <span className="muted number">{index + 1}</span>
              <PassageLink passage={one.passage} open={open} />
              <span className="row end number">{score(one.score)}</span>
            </div>
            <PassageText text={one.passage.text} query={query} />
            <details className="small">
              <summary>{texts.index.why}</summary>
              <Explained found={one} way={way} />
              <button type="button" className="link" onClick={() => seek(one.passage.id)}>
                {texts.index.elsewhere}
              </button>
            </details>
          </li>
        ))}
      </ol>
    </section>
  );
}
interface WayProps {
  readonly way: "sparse" | "dense" | "hybrid";
  readonly found: readonly Found[];
  readonly query: string;
  readonly open: (at: SourceAt) => void;
  readonly seek: (id: string) => void;
  readonly ms?: number | undefined;
}

/** Why a passage is where it is, or is not there. */
function Sought({ sought }: { sought: NonNullable<Searched["sought"]> }) {
  return (
    <section className="note stack tight" aria-label={texts.index.whyNot}>
      <h2 className="mono breaking">{sought.passage}</h2>
      <ul>
        {Object.entries(sought.places).map(([way, { rank, score: reached, of }]) => (
          <li key={way}>
            {texts.index.ways[way as WayProps["way"]]}:{" "}
            {rank === undefined ? texts.index.notAmong(of) : texts.index.place(rank, of, score(reached!))}
          </li>
        ))}
      </ul>
      {sought.terms && sought.terms.length > 0 && (
        <>
          <p className="small">{texts.index.itsWords}</p>
          <Words words={sought.terms} />
        </>
      )}
    </section>
  );
}

function Try({ open, ids }: { open: (at: SourceAt) => void; ids: readonly string[] }) {
  const [query, setQuery] = useState("");
  const [asked, setAsked] = useState("");
  const [passage, setPassage] = useState("");
  const [found, setFound] = useState<Searched>();
  const { busy, error, work } = useWork();
  const search = (sought: string) =>
    work(async () => {
      const body = { query, top: 8, ...(sought.trim() !== "" && { passage: sought.trim() }) };
      setFound(await ask<Searched>("/source/search", { method: "POST", body }));
      setAsked(query);
    });
  return (
    <div className="stack wide">
      <form
        className="row"
        onSubmit={(event) => {
          event.preventDefault();
          if (query.trim() !== "") search(passage);
        }}
      >
        <div className="field grow">
          <label htmlFor="query">{texts.index.query}</label>
          <input id="query" className="input" value={query} onChange={({ target }) => setQuery(target.value)} />
        </div>
        <div className="field grow">
          <label htmlFor="sought">{texts.index.sought}</label>
          <input
            id="sought"
            className="input mono"
            list="passages"
            value={passage}
            onChange={({ target }) => setPassage(target.value)}
          />
          <datalist id="passages">
            {ids.slice(0, 500).map((id) => (
              <option key={id} value={id} />
            ))}
          </datalist>
        </div>
        <button type="submit" className="button primary" disabled={busy || query.trim() === ""}>
          {texts.index.search}
        </button>
      </form>
      {error && <ErrorNote finding={error} />}
      {found?.sought && <Sought sought={found.sought} />}
      {found && (
        <div className="ways">
          {(["sparse", "dense", "hybrid"] as const).map(
            (way) =>
              found[way] && (
                <Way
                  key={way}
                  way={way}
                  found={found[way]}
                  query={asked}
                  open={open}
                  ms={way === "hybrid" ? undefined : found.ms[way]}
                  seek={(id) => {
                    setPassage(id);
                    search(id);
                  }}
                />
              ),
          )}
        </div>
      )}
    </div>
  );
}

function Files({ source, open }: { source: SourceIndex; open: (at: SourceAt) => void }) {
  const [words, setWords] = useState("");
  const [kind, setKind] = useState("");
  const holder = useRef<HTMLDivElement>(null);
  const kinds = useMemo(() => {
    const all = new Map<string, number>();
    for (const file of source.files) all.set(file.kind, (all.get(file.kind) ?? 0) + 1);
    return [...all].sort((a, b) => b[1] - a[1]);
  }, [source]);
  const files = source.files.filter(
    (file) => (kind === "" || file.kind === kind) && file.path.toLowerCase().includes(words.toLowerCase()),
  );
  const rows = useVirtualizer({
    count: files.length,
    getScrollElement: () => holder.current,
    estimateSize: () => 34,
    overscan: 12,
  });
  return (
    <div className="stack">
      <div className="row">
        <label className="visually-hidden" htmlFor="file-words">
          {texts.index.findFile}
        </label>
        <input
          id="file-words"
          type="search"
          className="input narrow"
          placeholder={texts.index.findFile}
          value={words}
          onChange={({ target }) => setWords(target.value)}
        />
        <div className="row tight">
          {kinds.slice(0, 14).map(([one, files]) => (
            <button
              key={one}
              type="button"
              className="button small"
              aria-pressed={kind === one}
              onClick={() => setKind(kind === one ? "" : one)}
            >
              {one} <span className="muted">{files}</span>
            </button>
          ))}
        </div>
      </div>
      <div ref={holder} className="scroll files">
        <ul style={{ height: rows.getTotalSize(), position: "relative" }}>
          {rows.getVirtualItems().map(({ index, start }) => {
            const { path, passages, characters } = files[index]!;
            return (
              <li key={path} className="filerow" style={{ transform: `translateY(${start}px)` }}>
                <button type="button" className="link mono" onClick={() => open({ path })}>
                  {path}
                </button>
                <span className="muted small number">{texts.index.passages(passages)}</span>
                <span className="muted small number">{texts.index.characters(count(characters))}</span>
              </li>
            );
          })}
        </ul>
      </div>
    </div>
  );
}

const tabs = [
  { id: "try", title: texts.index.tabs.try },
  { id: "files", title: texts.index.tabs.files },
  { id: "left", title: texts.index.tabs.left },
];

function LeftOut({ source }: { source: SourceIndex }) {
  if (source.skipped.length === 0) return <p className="muted">{texts.index.nothingLeft}</p>;
  return (
    <Table head={[texts.index.file, texts.index.reason]}>
      {source.skipped.slice(0, 2000).map(({ path, reason, detail }) => (
        <tr key={`${path} ${reason}`}>
          <td className="mono breaking">{path}</td>
          <td>
            {texts.index.reasons[reason] ?? reason} {detail && <span className="muted">{detail}</span>}
          </td>
        </tr>
      ))}
    </Table>
  );
}

/** What the flows search: its files, what was left out, and how a query finds what it finds. */
export default function IndexPage() {
  const { value, error } = useLoaded(() => ask<SourceIndex>("/source"), []);
  const [tab, setTab] = useState("try");
  const [source, setSource] = useState<SourceAt>();
  const ids = useMemo(() => (value?.files ?? []).map(({ path }) => path), [value]);
  return (
    <div className="page index">
      <header className="stack tight">
        <h1>{value ? texts.index.titleOf(value.root) : texts.index.title}</h1>
        {value && (
          <p className="muted">
            {texts.index.about(
              value.files.length,
              value.files.reduce((sum, { passages }) => sum + passages, 0),
              value.skipped.length,
            )}
          </p>
        )}
      </header>
      {error && <ErrorNote finding={error} />}
      {!value && !error && <Loading />}
      {value && (
        <>
          <Tabs tabs={tabs} chosen={tab} choose={setTab} label={texts.index.title} />
          <div role="tabpanel" aria-label={tabs.find(({ id }) => id === tab)?.title}>
            {tab === "try" && <Try open={setSource} ids={ids} />}
            {tab === "files" && <Files source={value} open={setSource} />}
            {tab === "left" && <LeftOut source={value} />}
          </div>
        </>
      )}
      {source && <SourceDrawer at={source} close={() => setSource(undefined)} />}
    </div>
  );
}
