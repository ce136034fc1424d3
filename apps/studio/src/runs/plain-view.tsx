import type { Citation, Json, Passage } from "../api/types.js";
import { MarkAnswer } from "../evaluate/mark-answer.js";
import { whereOf } from "../source/source-drawer.js";
import { texts } from "../texts.js";
import { ErrorNote, Loading } from "../ui/parts.js";
import { useLoaded } from "../ui/use.js";
import type { RunModel } from "./run-model.js";
import { AnswerText, citedAt, PassageText, type ValueLinks } from "./value-view.js";
import { answerOf, isHits, questionOf } from "./values.js";
import { whyOf } from "./why.js";

/** The passages that a run gave, by id. */
export function passagesOf(output: Readonly<Record<string, Json>> | undefined): ReadonlyMap<string, Passage> {
  const hits = (Object.values(output ?? {}) as unknown[]).filter(isHits).flat();
  return new Map(hits.map(({ passage }) => [passage.id, passage]));
}

function Sources({ citations, passages, links }: SourcesProps) {
  const once = [...new Map(citations.map((citation) => [citation.marker, citation])).values()];
  return (
    <ol className="stack">
      {once
        .sort((a, b) => a.marker - b.marker)
        .map((citation) => {
          const passage = passages.get(citation.passage);
          const at = citedAt(citation, passage);
          return (
            <li key={citation.marker} className="hit stack tight">
              <div className="row tight">
                <span className="marker still">{citation.marker}</span>
                <button type="button" className="link mono breaking" onClick={() => links.open(at)}>
                  {whereOf(at)}
                </button>
              </div>
              {passage && <PassageText text={passage.text} query={links.query} />}
            </li>
          );
        })}
    </ol>
  );
}
interface SourcesProps {
  readonly citations: readonly Citation[];
  readonly passages: ReadonlyMap<string, Passage>;
  readonly links: ValueLinks;
}

function Why({ run }: { run: RunModel }) {
  const { value } = useLoaded(() => whyOf(run), [run, run.state]);
  if (!value) return <Loading />;
  return (
    <ul className="stack tight why">
      {value.map((sentence) => (
        <li key={sentence}>{sentence}</li>
      ))}
    </ul>
  );
}

/** A run for people who know the subject and not the flow: question, answer, sources, and why. */
export function PlainView({ run, links }: { run: RunModel; links: ValueLinks }) {
  const { state } = run;
  const question = questionOf(state?.input);
  const answer = answerOf(state?.output);
  const passages = passagesOf(state?.output);
  const { streamed } = run;
  const isOver = state !== undefined && state.status !== "running";
  return (
    <div className="plain stack wide" aria-live="polite">
      {question !== undefined && <p className="asked breaking">{question}</p>}
      {state?.error && <ErrorNote finding={state.error} />}
      {answer ? (
        <section className="stack" aria-label={texts.run.answer}>
          <AnswerText answer={answer} links={links} passages={passages} />
          {answer.refused && <p className="note">{texts.run.refused}</p>}
        </section>
      ) : streamed ? (
        <p className="text answer">{streamed}</p>
      ) : (
        <p className="muted">{isOver ? texts.run.nothing : texts.run.noAnswer}</p>
      )}
      {answer && answer.citations.length > 0 && (
        <section className="stack" aria-labelledby="sources">
          <h2 id="sources">{texts.run.sources}</h2>
          <Sources citations={answer.citations} passages={passages} links={links} />
        </section>
      )}
      {isOver && answer && question !== undefined && (
        <MarkAnswer
          question={question}
          cited={[...new Set(answer.citations.map(({ passage }) => passage))]}
          run={links.run}
        />
      )}
      {isOver && (
        <section className="stack tight" aria-labelledby="why">
          <h2 id="why">{texts.run.why}</h2>
          <Why run={run} />
        </section>
      )}
    </div>
  );
}
