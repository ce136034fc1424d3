import { type ReactNode, useState } from "react";
import type { Answer, Citation, Hit, Json, Passage } from "../api/types.js";
import { type SourceAt, whereOf } from "../source/source-drawer.js";
import { texts } from "../texts.js";
import { score } from "../ui/numbers.js";
import { ErrorNote, Loading } from "../ui/parts.js";
import { useLoaded } from "../ui/use.js";
import { hashIn, isAnswer, isHits, isPassage, isRow, soughtWords, whole } from "./values.js";

/** What the parts of a value need to be shown. */
export interface ValueLinks {
  readonly run: string;
  readonly query: string;
  readonly open: (at: SourceAt) => void;
  /** Ids of passages that the answer cites. */
  readonly cited?: ReadonlySet<string> | undefined;
}

/** A text in which the words of the question are marked. */
export function Marked({ text, query }: { text: string; query: string }) {
  const sought = soughtWords(query);
  if (!sought) return text;
  const parts: (string | { readonly word: string; readonly at: number })[] = [];
  let from = 0;
  for (const match of text.matchAll(sought)) {
    parts.push(text.slice(from, match.index), { word: match[0], at: match.index });
    from = match.index + match[0].length;
  }
  parts.push(text.slice(from));
  return parts.map((part) => (typeof part === "string" ? part : <mark key={part.at}>{part.word}</mark>));
}

export function PassageText({ text, query }: { text: string; query: string }) {
  const [isWhole, setWhole] = useState(text.length < 700);
  return (
    <>
      <p className="text passage">
        <Marked text={isWhole ? text : `${text.slice(0, 500)} …`} query={query} />
      </p>
      {!isWhole && (
        <button type="button" className="link small" onClick={() => setWhole(true)}>
          {texts.run.show}
        </button>
      )}
    </>
  );
}

export const PassageLink = ({ passage, open }: { passage: Passage; open: ValueLinks["open"] }) =>
  passage.source ? (
    <button type="button" className="link mono breaking" onClick={() => open({ ...passage.source!, passage })}>
      {whereOf(passage.source)}
    </button>
  ) : (
    <span className="mono breaking">{passage.title ?? passage.id}</span>
  );

function HitRow({ hit, rank, links }: { hit: Hit; rank: number; links: ValueLinks }) {
  const { passage, provenance } = hit;
  return (
    <li className="hit stack tight">
      <div className="row tight">
        <span className="number muted">{rank}</span>
        <PassageLink passage={passage} open={links.open} />
        {links.cited?.has(passage.id) && <span className="tag cited">{texts.run.cited}</span>}
        <span className="row end number">{score(hit.score)}</span>
      </div>
      <div className="row tight small muted">
        {provenance.map((mark) => (
          <span key={`${mark.operator} ${mark.rank} ${mark.score}`} className="tag">
            {mark.operator} #{mark.rank} · {score(mark.score)}
          </span>
        ))}
      </div>
      <PassageText text={passage.text} query={links.query} />
    </li>
  );
}

const step = 10;

export function HitList({ hits, links }: { hits: readonly Hit[]; links: ValueLinks }) {
  const [shown, setShown] = useState(step);
  return (
    <div className="stack tight">
      <ol className="stack">
        {hits.slice(0, shown).map((hit, index) => (
          <HitRow key={hit.passage.id} hit={hit} rank={index + 1} links={links} />
        ))}
      </ol>
      {hits.length > shown && (
        <button type="button" className="button small" onClick={() => setShown(shown + 50)}>
          {texts.run.more(Math.min(50, hits.length - shown))}
        </button>
      )}
    </div>
  );
}

export const citedAt = (citation: Citation, passage: Passage | undefined): SourceAt => ({
  path: citation.path ?? passage?.source?.path ?? citation.passage,
  lines: citation.lines,
  place: citation.place,
  passage,
});

/** An answer whose markers open the places that they cite. */
export function AnswerText({ answer, links, passages }: AnswerTextProps) {
  const byMarker = new Map(answer.citations.map((citation) => [citation.marker, citation]));
  const { shown, more } = useBeginning(answer.text);
  const parts = shown.split(/(\[\d+\])/);
  return (
    <div className="stack tight">
      <p className="text answer">
        {parts.map((part, index) => {
          const citation = byMarker.get(Number(/^\[(\d+)\]$/.exec(part)?.[1]));
          if (!citation) return part;
          const at = citedAt(citation, passages?.get(citation.passage));
          return (
            <button
              // biome-ignore lint/suspicious/noArrayIndexKey: the parts of one text
              key={index}
              type="button"
              className="marker"
              aria-label={texts.run.openSource(citation.marker, whereOf(at))}
              title={whereOf(at)}
              onClick={() => links.open(at)}
            >
              {citation.marker}
            </button>
          );
        })}
      </p>
      {more}
    </div>
  );
}
interface AnswerTextProps {
  readonly answer: Answer;
  readonly links: ValueLinks;
  readonly passages?: ReadonlyMap<string, Passage> | undefined;
}

const longest = 20_000; // characters

/** The beginning of a text, and a button for more of it. */
function useBeginning(text: string): { shown: string; more: ReactNode } {
  const [most, setMost] = useState(longest);
  const more = text.length > most && (
    <div>
      <button type="button" className="button small" onClick={() => setMost(most * 4)}>
        {texts.run.show}
      </button>
    </div>
  );
  return { shown: text.slice(0, most), more };
}

function LongText({ text }: { text: string }) {
  const { shown, more } = useBeginning(text);
  return (
    <div className="stack tight">
      <p className="text">{shown}</p>
      {more}
    </div>
  );
}

/** A JSON value as a tree that opens and closes. */
function Tree({ value, depth = 0 }: { value: Json; depth?: number }) {
  const [isOpen, setOpen] = useState(depth < 1);
  if (typeof value !== "object" || value === null) return <code className="breaking">{JSON.stringify(value)}</code>;
  const entries = Object.entries(value);
  const words = Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`;
  if (entries.length === 0) return <code>{words.replace("0", "")}</code>;
  return (
    <details className="tree" open={isOpen} onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>
        <code>{words}</code>
      </summary>
      {isOpen && (
        <dl>
          {entries.slice(0, 200).map(([key, one]) => (
            <div key={key}>
              <dt className="mono">{key}</dt>
              <dd>
                <Tree value={one as Json} depth={depth + 1} />
              </dd>
            </div>
          ))}
          {entries.length > 200 && <p className="muted">… {entries.length - 200}</p>}
        </dl>
      )}
    </details>
  );
}

function Long({ hash, links }: { hash: string; links: ValueLinks }) {
  const { value, error } = useLoaded(() => whole(links.run, { $value: hash, bytes: 0 }), [hash]);
  if (error) return <ErrorNote finding={error} />;
  return value === undefined ? <Loading /> : <ValueView value={value} links={links} />;
}

/** A value of a port, as what it is: hits, an answer, a text, or JSON. Texts are texts, whatever they hold. */
export function ValueView({ value, links }: { value: Json; links: ValueLinks }) {
  const hash = hashIn(value);
  if (hash !== undefined) return <Long hash={hash} links={links} />;
  if (typeof value === "string") return <LongText text={value} />;
  if (isHits(value)) return <HitList hits={value} links={links} />;
  if (isAnswer(value)) return <AnswerText answer={value} links={links} />;
  if (isPassage(value)) return <PassageText text={(value as Passage).text} query={links.query} />;
  if (Array.isArray(value) && value.length > 0 && value.every(isHits))
    return value.map((hits, index) => (
      // biome-ignore lint/suspicious/noArrayIndexKey: lists without a name
      <details key={index} className="tree">
        <summary>{texts.run.hits((hits as unknown as Hit[]).length)}</summary>
        <HitList hits={hits as unknown as Hit[]} links={links} />
      </details>
    ));
  return <Tree value={value} />;
}

/** The values of ports, each under its name. */
export function PortValues({ row, links }: { row: Json | undefined; links: ValueLinks }) {
  if (!isRow(row)) return <p className="muted">–</p>;
  return (
    <dl className="values">
      {Object.entries(row).map(([port, value]) => (
        <div key={port}>
          <dt>{port}</dt>
          <dd>
            <ValueView value={value} links={links} />
          </dd>
        </div>
      ))}
    </dl>
  );
}
